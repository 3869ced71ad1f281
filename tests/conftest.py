"""What all tests share: order and markers by folder, one seed for all chance, and one real stack a session."""

import hashlib
import os
import random
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import psutil
import pytest
import typer.testing
from sqlalchemy import NullPool, create_engine, text
from typing_extensions import override
from xdist.scheduler import LoadScopeScheduling

from ops.local.progress import Report, shown
from ops.local.stack import Stack
from tests.servers import Servers

# The order in which they run: what is quick to tell first, then long files before short ones, so
# that the workers end together.
FOLDERS: Final = ("unit", "acceptance", "integration")
# Of those that would come last by name, the files that take a quarter of a minute or more.
LONG: Final = frozenset(
    f"test_{name}.py"
    for name in ("simulation_is_true", "statement_pairs", "ticker", "webhooks_run", "worker")
)
ROOT: Final = Path(__file__).resolve().parent.parent
# Each test makes and drops a database: on a disk that costs more than most tests do. Room for all
# workers, each of whose stacks takes less than one of it.
IN_MEMORY: Final = Path("/dev/shm")
IN_MEMORY_BYTES_MIN: Final = 8 << 30
PACKAGES: Final = ("consumers", "escrow", "ops", "schemas", "storage", "streams", "tests")


# Put together for each call anew the program would take longer than most of its answers.
_RUNNER: Any = typer.testing
_RUNNER._get_command = cache(_RUNNER._get_command)


def _seed_of_the_sources() -> int:
    """CI's chance: new with every change, the same for the same code, so that a red run comes back."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:4])


def _chosen_seed() -> int:
    if given := os.environ.get("ESCROW_TEST_SEED"):
        return int(given)
    return (
        _seed_of_the_sources() if os.environ.get("CI") else random.SystemRandom().randrange(2**32)
    )


SEED: Final = _chosen_seed()
os.environ["ESCROW_TEST_SEED"] = str(SEED)  # workers of one run share it


def pytest_report_header() -> str:
    return f"seed of all chance: ESCROW_TEST_SEED={SEED}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def folder(item: pytest.Item) -> int:
        parts = item.path.relative_to(item.config.rootpath).parts
        return next((FOLDERS.index(name) for name in FOLDERS if name in parts), 0)

    for item in items:
        item.add_marker(FOLDERS[folder(item)])
    # stable: else the order within a folder stays
    items.sort(key=lambda item: (folder(item), item.path.name not in LONG))


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it comes without types
    """A file's tests stay together; unit tests all do, because some ask what the others have reached."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        return "tests/unit" if nodeid.startswith("tests/unit/") else nodeid.split("::", 1)[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    config.option.loadscopereorder = False  # it would put long files of few tests last
    return ByFile(config, log)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Chance of this test's own: the same for the same seed, whatever else runs."""
    seed = f"{SEED}:{request.node.nodeid}"
    request.node.add_report_section("setup", "seed", f"ESCROW_TEST_SEED={SEED}")
    return random.Random(seed)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """One Kafka and one PostgreSQL for the session.

    Embedded; those that the environment names (`ESCROW_KAFKA__BOOTSTRAP_SERVERS`, `ESCROW_DATABASE__URL`)
    where it does; containers where ESCROW_TEST_STACK=containers. Embedded ones keep their data in memory where
    there is room: lines of processes, which are killed, have disks (tests/acceptance).
    """
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with ExitStack() as until_the_end:
        with capture.global_and_fixture_disabled(), shown() as report, _in_memory():
            servers = until_the_end.enter_context(_chosen_stack(report))
        yield servers


@contextmanager
def _in_memory() -> Iterator[None]:
    """Temporary folders that are made meanwhile."""
    memory = psutil.virtual_memory().available
    if IN_MEMORY.is_dir() and min(memory, shutil.disk_usage(IN_MEMORY).free) > IN_MEMORY_BYTES_MIN:
        with patch.object(tempfile, "tempdir", str(IN_MEMORY)):
            yield
    else:
        yield


def _chosen_stack(report: Report) -> AbstractContextManager[Servers]:
    match os.environ.get("ESCROW_TEST_STACK", "embedded"):
        case "containers":
            from tests.containers import container_stack

            return container_stack()
        case "embedded":
            return Stack.from_environment(report=report)
        case other:
            raise pytest.UsageError(
                f"ESCROW_TEST_STACK is 'embedded' or 'containers', not {other!r}"
            )


@pytest.fixture
def kafka(stack: Servers) -> str:
    """The bootstrap servers of the session's Kafka. Its topics outlive the test: name them apart."""
    return stack.bootstrap_servers


@pytest.fixture(scope="session")
def database_template(stack: Servers) -> str:
    """The name of the database that every test's own database starts as a copy of."""
    return "template1"


@pytest.fixture
def database_url(stack: Servers, database_template: str) -> Iterator[str]:
    """A database of this test's own, dropped after it."""
    name = f"test_{uuid.uuid4().hex}"
    server = create_engine(stack.database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{database_template}"'))
    yield server.url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
