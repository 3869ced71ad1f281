"""PostgreSQL gives up root, so what it needs must be reachable without it."""

import os
import pwd
from pathlib import Path

import pytest

from ops.local import postgres, postgres_programs
from ops.local.child import ChildFailedError
from ops.local.postgres import PostgresServer

NOBODY = "nobody"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder that others may enter, in one that they may not."""
    room = tmp_path / "closed" / "room"
    room.mkdir(parents=True)
    room.chmod(0o755)
    room.parent.chmod(0o700)
    return room


def test_the_first_closed_folder_on_the_way_is_the_obstacle(room: Path) -> None:
    assert postgres_programs.obstacle(room, NOBODY) == room.parent


def test_an_owner_passes(room: Path) -> None:
    assert postgres_programs.obstacle(room, pwd.getpwuid(os.geteuid()).pw_name) is None


def test_data_that_nobody_can_reach_are_refused_in_plain_words(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "run_as", lambda: NOBODY)
    with pytest.raises(ChildFailedError, match=r"cannot pass .*closed .*Choose a folder elsewhere"):
        PostgresServer(room / "data").start()


def test_a_copy_of_the_programs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    package = postgres_programs.copied(postgres_programs.programs().parents[1])
    folder = package / "pginstall18" / "bin"
    assert "PostgreSQL) 18" in postgres_programs.run(folder, "postgres", "--version")
    assert "PostgreSQL) 18" in postgres_programs.run(folder, "psql", "--version")
    assert postgres_programs.copied(Path("/not/read/again", package.name)) == package
