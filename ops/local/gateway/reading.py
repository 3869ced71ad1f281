"""What the simulator has done, for checkers: read beside it, at any time, without its help."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from consumers.engine.records import Partition

FILE: Final = "gateway.sqlite3"


class Effect(NamedTuple):
    """Money that has moved."""

    command_id: str
    order_id: str
    kind: str
    party_id: str
    amount_minor: int
    currency: str
    attempt: int
    t: int  # ms UTC, the record time of the command
    came_back: bool  # the payee's bank has returned it


class Entry(NamedTuple):
    """One line of the log: what was done with one record."""

    t: int
    topic: str
    partition: int
    offset: int
    command_id: str | None
    attempt: int | None  # null where it was a question
    does: str


class Standing(NamedTuple):
    """How far the simulator is; `unsent` includes answers that wait for later."""

    positions: dict[Partition, int]
    unsent: int


def effects(data_dir: Path) -> list[Effect]:
    """All money that has moved, in order."""
    rows = _read(
        data_dir,
        "SELECT command_id, order_id, kind, party_id, amount_minor, currency, attempt, t, came_back"
        " FROM effects ORDER BY n",
    )
    return [Effect._make((*row[:8], bool(row[8]))) for row in rows]


class Outcome(NamedTuple):
    """What is true of one command, whether it was told or not."""

    command_id: str
    order_id: str
    kind: str
    party_id: str
    amount_minor: int
    currency: str
    attempt: int
    truth: str  # type of the answer that a question gets
    t: int  # ms UTC, the record time of the last command or question about it


def outcomes(data_dir: Path) -> list[Outcome]:
    """All commands that were ever read, by id."""
    rows = _read(
        data_dir,
        "SELECT c.command_id, order_id, kind, party_id, amount_minor, currency, c.attempt,"
        " truth_type, max(l.t) FROM cases c JOIN log l USING (command_id)"
        " GROUP BY c.command_id ORDER BY c.command_id",
    )
    return [Outcome._make(row) for row in rows]


def entries(data_dir: Path) -> list[Entry]:
    """The log: one line for each record that was read."""
    rows = _read(
        data_dir,
        "SELECT t, topic, partition, read_offset, command_id, attempt, does FROM log ORDER BY n",
    )
    return [Entry(*row) for row in rows]


def standing(data_dir: Path) -> Standing:
    """How far it is; at the beginning where there is no file yet."""
    positions = _read(data_dir, "SELECT topic, partition, next_offset FROM positions")
    unsent = _read(data_dir, "SELECT count(*) FROM unsent")
    return Standing({(row[0], row[1]): row[2] for row in positions}, unsent[0][0] if unsent else 0)


def _read(data_dir: Path, query: str) -> list[tuple[Any, ...]]:
    file = data_dir / FILE
    if not file.exists():
        return []
    uri = f"{file.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
        is_made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'unsent_due'").fetchone()
        return db.execute(query).fetchall() if is_made else []
