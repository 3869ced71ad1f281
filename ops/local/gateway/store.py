"""The simulator's own truth: effects, answers and positions move in one commit, or not at all.

A SQLite file (WAL, synced at every commit) that knows nothing of the pipeline's database. `effects`
and `log` are append-only; one command id has one effect at most, by a unique key.
"""

import fcntl
import sqlite3
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, Self

from consumers.engine.processing import Halt
from consumers.engine.records import Partition
from ops.local.gateway.core import Case
from ops.local.gateway.reading import FILE, Effect, Entry
from ops.local.gateway.tricks import Saying

_SEND_MAX: Final = 10_000

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (cluster_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS positions (
  topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, PRIMARY KEY (topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cases (
  command_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, kind TEXT NOT NULL, party_id TEXT NOT NULL,
  amount_minor INTEGER NOT NULL, currency TEXT NOT NULL, purpose TEXT NOT NULL,
  attempt INTEGER NOT NULL, failures INTEGER NOT NULL, truth_type TEXT NOT NULL, reason_code TEXT,
  retryable INTEGER, is_told INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS effects (
  n INTEGER PRIMARY KEY AUTOINCREMENT, command_id TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL,
  kind TEXT NOT NULL, party_id TEXT NOT NULL, amount_minor INTEGER NOT NULL,
  currency TEXT NOT NULL, attempt INTEGER NOT NULL, t INTEGER NOT NULL,
  came_back INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS log (
  n INTEGER PRIMARY KEY, t INTEGER NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL,
  read_offset INTEGER NOT NULL, command_id TEXT, attempt INTEGER, does TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS unsent (
  n INTEGER PRIMARY KEY AUTOINCREMENT, due INTEGER NOT NULL, key TEXT NOT NULL, id TEXT NOT NULL,
  type TEXT NOT NULL, t INTEGER NOT NULL, value BLOB NOT NULL, trace TEXT
);
CREATE INDEX IF NOT EXISTS unsent_due ON unsent (due, n);  -- made last: readers look for it
"""
_CASE: Final = (
    "command_id, order_id, kind, party_id, amount_minor, currency, purpose, attempt, failures, "
    "truth_type, reason_code, retryable, is_told"
)


class Unsent(NamedTuple):
    """An answer that waits to be sent; `due` is the log line that it waits for."""

    due: int
    key: str
    id: str
    type: str
    t: int
    value: bytes
    trace: str | None = None  # of the command, as its sender wrote it


class Work(NamedTuple):
    """All that one poll leads to."""

    positions: Mapping[Partition, int]
    entries: list[Entry]
    cases: Mapping[str, Case]
    effects: list[Effect]
    answers: list[Unsent]


class Store:
    """The writing side; one process at a time, by a lock on the directory."""

    def __init__(self, data_dir: Path, cluster_id: str) -> None:
        """Raises Halt where another simulator works, or the data belong to another cluster."""
        data_dir.mkdir(parents=True, exist_ok=True)
        self._lock = (data_dir / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise Halt(
                f"another gateway simulator works in {data_dir}."
                " See docs/runbook.md, `another gateway simulator`."
            ) from None
        self._db = sqlite3.connect(data_dir / FILE, isolation_level=None)
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {SCHEMA}")
        columns = {row[1] for row in self._db.execute("PRAGMA table_info(unsent)")}
        if "trace" not in columns:  # a store of an older program
            self._db.execute("ALTER TABLE unsent ADD COLUMN trace TEXT")
        self._db.execute(
            "INSERT INTO meta SELECT ? WHERE NOT EXISTS (SELECT 1 FROM meta)", (cluster_id,)
        )
        (known,) = self._db.execute("SELECT cluster_id FROM meta").fetchone()
        if known != cluster_id:
            self.close()
            raise Halt(
                f"the gateway simulator's data in {data_dir} belong to cluster {known},"
                f" this is {cluster_id}. See docs/runbook.md, `another cluster`."
            )
        (self.entries,) = self._db.execute("SELECT coalesce(max(n), 0) FROM log").fetchone()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    def begin(self, positions: Mapping[Partition, int]) -> None:
        """Note where reading begins; partitions that were read before stay where they are."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR IGNORE INTO positions VALUES (?, ?, ?)",
                [(*partition, offset) for partition, offset in positions.items()],
            )

    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition that was ever read."""
        rows = self._db.execute("SELECT topic, partition, next_offset FROM positions")
        return {(topic, partition): next_offset for topic, partition, next_offset in rows}

    def cases(self, command_ids: Iterable[str]) -> dict[str, Case]:
        """What is known of these commands."""
        found: dict[str, Case] = {}
        ids = iter(command_ids)
        while some := list(islice(ids, 500)):
            marks = ",".join("?" * len(some))
            rows = self._db.execute(
                f"SELECT {_CASE} FROM cases WHERE command_id IN ({marks})",  # noqa: S608 -- marks
                some,
            )
            for *case, type_, reason, retryable, is_told in rows:
                retry = None if retryable is None else bool(retryable)
                truth = Saying(type_, reason_code=reason, retryable=retry)
                found[case[0]] = Case._make((*case, truth, bool(is_told)))
        return found

    def keep(self, work: Work) -> None:
        """Write it all, in one commit; raises sqlite3.Error, and then nothing is written."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._write(work)
        self.entries += len(work.entries)

    def _write(self, work: Work) -> None:
        places = [(*partition, end) for partition, end in work.positions.items()]
        lines = [(self.entries + 1 + i, *entry) for i, entry in enumerate(work.entries)]
        cases = [_case_row(case) for case in work.cases.values()]
        for statement, rows in (
            ("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", places),
            ("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?)", lines),
            ("INSERT OR REPLACE INTO cases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", cases),
            ("INSERT INTO effects VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", work.effects),
            ("INSERT INTO unsent VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", work.answers),
        ):
            self._db.executemany(statement, rows)

    def due(self, *, all_of_them: bool) -> list[tuple[int, Unsent]]:
        """Answers to send now, numbered, in order; with those that wait for later if told so."""
        rows = self._db.execute(
            "SELECT n, due, key, id, type, t, value, trace FROM unsent WHERE due <= ?"
            " ORDER BY due, n LIMIT ?",
            (2**63 - 1 if all_of_them else self.entries, _SEND_MAX),
        )
        return [(n, Unsent(*answer)) for n, *answer in rows]

    def forget(self, numbers: Iterable[int]) -> None:
        """These answers have been sent."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("DELETE FROM unsent WHERE n = ?", [(n,) for n in numbers])


def _case_row(case: Case) -> tuple[object, ...]:
    truth = case.truth
    return (*case[:9], truth.type, truth.reason_code, truth.retryable, case.is_told)
