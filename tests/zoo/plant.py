"""Plants one bug while modules are imported; the files of the product stay as they are.

`ESCROW_ZOO_BUG=name python -m pytest -p tests.zoo.plant ...` runs tests of a product with that bug.
"""

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from tests.zoo.bugs import BUGS
from tests.zoo.shape import Edit

VARIABLE: Final = "ESCROW_ZOO_BUG"
ROOT: Final = Path(__file__).parents[2]


def edited(edits: Sequence[Edit], module: str) -> str:
    """The source of a module with those edits that are meant for it; each must fit exactly once."""
    source = file_of(module).read_text()
    for edit in edits:
        if edit.module == module:
            assert source.count(edit.old) == 1, f"{module}: {source.count(edit.old)} × {edit.old!r}"
            source = source.replace(edit.old, edit.new)
    return source


def file_of(module: str) -> Path:
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


class _Loader(SourceFileLoader):
    """Compiles the edited source, past every cache."""

    def __init__(self, name: str, source: str) -> None:
        super().__init__(name, str(file_of(name)))
        self._source = source

    def get_code(self, fullname: str) -> CodeType | None:  # type: ignore[explicit-override]
        code: CodeType = compile(self._source, self.path, "exec")
        return code


class _Finder(MetaPathFinder):
    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def find_spec(  # type: ignore[explicit-override]
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname not in self._sources:
            return None
        loader = _Loader(fullname, self._sources[fullname])
        return importlib.util.spec_from_file_location(fullname, file_of(fullname), loader=loader)


def plant(name: str) -> None:
    """From now on, this bug; the modules it is in must not be imported yet."""
    edits = BUGS[name].edits
    plant_sources({edit.module: edited(edits, edit.module) for edit in edits})


def plant_sources(sources: Mapping[str, str]) -> None:
    """From now on, these modules are imported from these texts."""
    early = [module for module in sources if module in sys.modules]
    assert not early, f"imported before the bug was planted: {early}"
    sys.meta_path.insert(0, _Finder(sources))


if name := os.environ.get(VARIABLE):
    plant(name)
