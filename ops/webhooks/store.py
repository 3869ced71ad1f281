"""What is still to be told, and how far the topic was read: both move in one commit, so nothing is lost.

A SQLite file of its own, which knows nothing of the pipeline's database. A delivery leaves it only
when its receiver has taken it; given up, it stays as a dead letter until a person has it sent again.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Self

FILE: Final = "webhooks.sqlite3"
BUSY_SECONDS: Final = 10.0
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (cluster_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS positions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
  n INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, id TEXT NOT NULL,
  type TEXT NOT NULL, body BLOB NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  due_at REAL NOT NULL, dead_at REAL, error TEXT, UNIQUE (endpoint, id)
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (endpoint, due_at) WHERE dead_at IS NULL;
CREATE TABLE IF NOT EXISTS receivers (
  endpoint TEXT PRIMARY KEY, host TEXT NOT NULL, types TEXT NOT NULL, named INTEGER NOT NULL,
  taken INTEGER NOT NULL DEFAULT 0, taken_at REAL,
  failures INTEGER NOT NULL DEFAULT 0, failed_at REAL, error TEXT
);
CREATE TABLE IF NOT EXISTS looks (
  one INTEGER PRIMARY KEY CHECK (one = 1), at REAL NOT NULL, behind INTEGER NOT NULL
);
"""
COLUMNS: Final = "n, endpoint, id, type, body, attempts, due_at, dead_at, error"


class Delivery(NamedTuple):
    """One event for one receiver. Instants are seconds UTC."""

    n: int
    endpoint: str
    id: str
    type: str
    body: bytes
    attempts: int
    due_at: float
    dead_at: float | None
    error: str | None  # of the last try


class WrongCluster(Exception):
    """The data belong to another Kafka cluster."""


class Store:
    """One connection; each thread has its own."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(data_dir / FILE, isolation_level=None, timeout=BUSY_SECONDS)
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {SCHEMA}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def belongs_to(self, cluster_id: str) -> None:
        """Note the cluster at the first start. Raises WrongCluster later."""
        self._db.execute(
            "INSERT INTO meta SELECT ? WHERE NOT EXISTS (SELECT 1 FROM meta)", (cluster_id,)
        )
        (known,) = self._db.execute("SELECT cluster_id FROM meta").fetchone()
        if known != cluster_id:
            raise WrongCluster(f"the data belong to cluster {known}, this is {cluster_id}")

    def names(self, receivers: Iterable[tuple[str, str, str]]) -> None:
        """Endpoint, host and types of all that are told from now on; those of before stay known."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("UPDATE receivers SET named = 0")
            self._db.executemany(
                "INSERT INTO receivers (endpoint, host, types, named) VALUES (?, ?, ?, 1)"
                " ON CONFLICT (endpoint) DO UPDATE"
                " SET host = excluded.host, types = excluded.types, named = 1",
                list(receivers),
            )

    def looked(self, behind: int, now: float) -> None:
        """The topic was looked at, and so many of its records are not read yet."""
        self._db.execute("INSERT OR REPLACE INTO looks VALUES (1, ?, ?)", (now, behind))

    def positions(self) -> dict[int, int]:
        """Partition → next offset; empty at the first start."""
        return dict(self._db.execute("SELECT partition, next_offset FROM positions").fetchall())

    def take_in(
        self,
        deliveries: Iterable[tuple[str, str, str, bytes]],
        positions: Mapping[int, int],
        now: float,
    ) -> None:
        """Endpoint, id, type and body of each; one that waits already is not doubled."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR IGNORE INTO deliveries (endpoint, id, type, body, due_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [(*delivery, now) for delivery in deliveries],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?)", list(positions.items())
            )

    def waiting(self) -> int:
        """How many are to be told still."""
        query = "SELECT count(*) FROM deliveries WHERE dead_at IS NULL"
        return int(self._db.execute(query).fetchone()[0])

    def due(self, endpoint: str, now: float, limit: int) -> list[Delivery]:
        """Those that may be tried now, the longest waiting first."""
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM deliveries WHERE endpoint = ? AND dead_at IS NULL"  # noqa: S608
            " AND due_at <= ? ORDER BY due_at, n LIMIT ?",
            (endpoint, now, limit),
        )
        return [Delivery(*row) for row in rows]

    def taken(self, delivery: Delivery, now: float) -> None:
        """Its receiver has it."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("DELETE FROM deliveries WHERE n = ?", (delivery.n,))
            self._db.execute(
                "UPDATE receivers SET taken = taken + 1, taken_at = ?, failures = 0"
                " WHERE endpoint = ?",
                (now, delivery.endpoint),
            )

    def failed(self, delivery: Delivery, error: str, due_at: float | None, now: float) -> None:
        """Try again then; or, where `due_at` is None, give it up."""
        due, dead = (now, now) if due_at is None else (due_at, None)
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "UPDATE deliveries SET attempts = attempts + 1, error = ?, due_at = ?, dead_at = ?"
                " WHERE n = ?",
                (error, due, dead, delivery.n),
            )
            self._db.execute(
                "UPDATE receivers SET failures = failures + 1, failed_at = ?, error = ?"
                " WHERE endpoint = ?",
                (now, error, delivery.endpoint),
            )

    def dead(self, limit: int, endpoint: str | None = None) -> list[Delivery]:
        """Those that were given up, the newest first."""
        rows = self._db.execute(
            f"SELECT {COLUMNS} FROM deliveries WHERE dead_at IS NOT NULL"  # noqa: S608
            " AND (? IS NULL OR endpoint = ?) ORDER BY dead_at DESC, n DESC LIMIT ?",
            (endpoint, endpoint, limit),
        )
        return [Delivery(*row) for row in rows]

    def again(self, now: float, *, endpoint: str | None = None, id_: str | None = None) -> int:
        """Have those that were given up tried from the beginning; how many."""
        done = self._db.execute(
            "UPDATE deliveries SET attempts = 0, dead_at = NULL, due_at = ?"
            " WHERE dead_at IS NOT NULL AND (? IS NULL OR endpoint = ?) AND (? IS NULL OR id = ?)",
            (now, endpoint, endpoint, id_, id_),
        )
        return done.rowcount

    def again_these(self, now: float, numbers: Iterable[int]) -> int:
        """Those of these numbers that were given up, tried from the beginning; how many."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            done = self._db.executemany(
                "UPDATE deliveries SET attempts = 0, dead_at = NULL, due_at = ?"
                " WHERE dead_at IS NOT NULL AND n = ?",
                [(now, n) for n in numbers],
            )
        return done.rowcount
