"""How the webhooks stand, for people: who takes what it is sent, what is tried again, what was given up.

Reads only, from one snapshot of the store; whoever runs the webhooks is neither asked nor held up.
"""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote

from ops.webhooks.store import COLUMNS, FILE, Delivery

BUSY_SECONDS: Final = 2.0
STALE_SECONDS: Final = 30.0  # the topic is looked at every five
State = Literal["ok", "sending", "gave up", "failing", "not named"]
_WAITING: Final = """
SELECT endpoint, waiting, retried, next_at, (SELECT body FROM deliveries WHERE n = first_n) FROM (
  SELECT endpoint, count(*) AS waiting, sum(attempts > 0) AS retried, min(due_at) AS next_at, min(n) AS first_n
  FROM deliveries WHERE dead_at IS NULL GROUP BY endpoint
)
"""
_DEAD: Final = (
    "SELECT endpoint, count(*) FROM deliveries WHERE dead_at IS NOT NULL GROUP BY endpoint"
)
_RECEIVERS: Final = "SELECT endpoint, host, types, named, taken, taken_at, failures, failed_at, error FROM receivers"
_RETRIED: Final = (
    f"SELECT {COLUMNS} FROM deliveries WHERE dead_at IS NULL AND attempts > 0"  # noqa: S608  names of ours
    " ORDER BY due_at, n LIMIT ?"
)
_GIVEN_UP: Final = (
    f"SELECT {COLUMNS} FROM deliveries WHERE dead_at IS NOT NULL"  # noqa: S608  names of ours
    " AND (? = '' OR endpoint = ?) ORDER BY dead_at DESC, n DESC LIMIT ?"
)


class CannotRead(Exception):
    """The store cannot be read; the text says why."""


class Receiver(NamedTuple):
    """One endpoint: what waits for it, and how its last tries went. Instants are seconds UTC."""

    endpoint: str
    host: str
    types: str
    named: bool  # by the file with which the webhooks run now
    waiting: int  # events that it is still to be told
    retried: int  # of these: tried before, in vain
    next_at: float | None  # when the next of them may be tried
    oldest_at: float | None  # when the first of them came to the topic
    dead: int  # given up
    taken: int  # since the store was made
    taken_at: float | None
    failures: int  # tries in a row
    failed_at: float | None
    error: str | None  # of the last try that failed

    @property
    def state(self) -> State:
        """The worst that is true of it."""
        if not self.named and self.waiting:
            return "not named"
        if self.failures:
            return "failing"
        if self.dead:
            return "gave up"
        return "sending" if self.waiting else "ok"


class Standing(NamedTuple):
    """All of it at one instant."""

    looked_at: float | None  # when whoever runs the webhooks looked at the topic last
    behind: int  # records of it that were not read then
    receivers: tuple[Receiver, ...]
    retried: tuple[Delivery, ...]  # the next to be tried first
    given_up: tuple[Delivery, ...]  # the newest first

    def is_stale(self, now: float) -> bool:
        """Nobody seems to run the webhooks."""
        return self.looked_at is None or now - self.looked_at > STALE_SECONDS

    @property
    def dead(self) -> int:
        return sum(one.dead for one in self.receivers)


class Told(NamedTuple):
    """What people know an event by."""

    order_id: str
    at: float | None  # seconds UTC


def read_standing(data_dir: Path, *, limit: int, endpoint: str = "") -> Standing:
    """At most `limit` deliveries of either kind; those given up of this endpoint alone, if one is named.

    Raises CannotRead.
    """
    file = data_dir / FILE
    if not file.is_file():
        raise CannotRead(f"there is no {FILE}: no webhooks were ever run there")
    try:
        with closing(
            sqlite3.connect(
                f"file:{quote(str(file))}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=BUSY_SECONDS,
            )
        ) as db:
            db.execute("BEGIN")  # one snapshot for all that follows
            looks = db.execute("SELECT at, behind FROM looks").fetchone()
            at, behind = looks or (None, 0)
            return Standing(
                at,
                behind,
                _receivers(db),
                tuple(Delivery(*row) for row in db.execute(_RETRIED, (limit,))),
                tuple(Delivery(*row) for row in db.execute(_GIVEN_UP, (endpoint, endpoint, limit))),
            )
    except sqlite3.Error as error:
        raise CannotRead(f"{FILE} cannot be read: {error}") from None


def _receivers(db: sqlite3.Connection) -> tuple[Receiver, ...]:
    waiting: dict[str, Sequence[Any]] = {name: row for name, *row in db.execute(_WAITING)}
    dead: dict[str, int] = dict(db.execute(_DEAD).fetchall())
    known: dict[str, Sequence[Any]] = {name: row for name, *row in db.execute(_RECEIVERS)}
    found = []
    for name in sorted({*waiting, *dead, *known}):
        number, retried, next_at, body = waiting.get(name, (0, 0, None, None))
        host, types, named, *tries = known.get(name, ("", "", 0, 0, None, 0, None, None))
        oldest_at = None if body is None else told_of(body).at
        found.append(
            Receiver(
                name,
                host,
                types,
                bool(named),
                number,
                retried,
                next_at,
                oldest_at,
                dead.get(name, 0),
                *tries,
            )
        )
    return tuple(found)


def told_of(body: bytes) -> Told:
    """The order and the time that a body names."""
    try:
        event = json.loads(body)
        at = datetime.fromisoformat(event["timestamp"]).timestamp()
        return Told(str(event["data"].get("order_id", "")), at)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Told("", None)
