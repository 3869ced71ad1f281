"""What can be mutated, and the tests that are to notice it."""

import ast
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from tests.mutation.mutants import ROOT, Module, module_of, used_names

USERS: Final = ("schemas", "escrow", "storage", "consumers", "ops")  # who may use a name


class Package(NamedTuple):
    """A folder, and the tests of its own: quick ones that need nothing else."""

    name: str
    tests: tuple[str, ...]
    imported_before: tuple[str, ...]  # once for all children; nothing of it imports the package
    files: tuple[str, ...] = ()  # all of the folder, unless named
    named: Mapping[str, str] = MappingProxyType({})  # tests of a file that are named otherwise

    def modules(self) -> list[Module]:
        """Each file that holds something to change, with its mutants."""
        files = [file for user in USERS for file in _files(ROOT / user)]
        used = used_names({_name(file): ast.parse(file.read_text()) for file in files})
        paths = sorted(file.relative_to(ROOT).as_posix() for file in _files(ROOT / self.name))
        chosen = [path for path in paths if path in (self.files or paths)]
        return [module for path in chosen if (module := module_of(path, used)).mutants]

    def near(self, path: str) -> tuple[str, ...]:
        """The tests that are named after a file, or all."""
        name = self.named.get(path, f"test_{Path(path).name}")
        near = [test for test in self.tests if test.endswith(f"/{name}")]
        return tuple(near) or self.tests


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix().removesuffix(".py").replace("/", ".")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/{name}" for name in names)


PACKAGES: Final = {
    "escrow": Package(
        "escrow",
        _unit(
            "rules",
            "test_arrival.py",
            "test_chain.py",
            "test_identity.py",
            "test_naming.py",
            "test_parked_count.py",
            "test_parked_no_identity.py",
            "test_schedule.py",
            "test_state.py",
            "test_table.py",
            "test_telling.py",
        ),
        (
            "pydantic",
            "hypothesis",
            "sqlalchemy",
            "kafka",
            "psycopg",
            "schemas.door",
            "schemas.order_events",
        ),
        named={"escrow/transitions.py": "test_table.py", "escrow/policy.py": "test_state.py"},
    ),
    # what strangers' bytes meet first; the models of facts are tables, compared with those of RULES
    "schemas": Package(
        "schemas",
        _unit(
            "test_cards.py",
            "test_door.py",
            "test_door_data.py",
            "test_door_envelope.py",
            "test_door_json.py",
            "test_door_order.py",
            "test_media_types.py",
            "test_money.py",
            "test_schemas.py",
            "test_trust.py",
        ),
        ("pydantic", "hypothesis", "sqlalchemy", "kafka", "psycopg"),
        files=(
            "schemas/cards.py",
            "schemas/door.py",
            "schemas/envelope.py",
            "schemas/money.py",
            "schemas/strict_json.py",
            "schemas/trust.py",
        ),
    ),
}
