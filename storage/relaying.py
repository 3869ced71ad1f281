"""A row of the outbox is marked as sent only by the one writer of its slice, and only after the ack.

The writer of a slice is whoever took its epoch last: a stale one loses in SQL. Locks are taken in
the order orders → slices → outbox, each sorted.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from storage.rows import execute, fetch


class Unsent(NamedTuple):
    """One row that is still to be sent; `let_go` False: a hold may still stop it."""

    id: int
    slice: int
    topic: str
    key: str
    type: str
    sent_id: str
    t: int
    payload: str
    attributes: dict[str, str | int] | None
    let_go: bool | None


class Backlog(NamedTuple):
    """What waits in the outbox."""

    rows: int
    held: int  # of them, those that wait for a person


# Rows on hold are passed over; they come back by themselves when a person takes the hold away.
_NOT_HELD: Final = """(o.let_go IS DISTINCT FROM false OR NOT EXISTS (
  SELECT FROM command_holds h WHERE h.order_id = o.key AND h.command_id = o.command_id))"""
# While operators control sending: commands that are paused or held are passed over as well.
_NOT_STOPPED: Final = """(o.type NOT IN ('refund.issue', 'payout.release') OR (
  NOT EXISTS (SELECT FROM sending_pauses p
    WHERE p.scope = 'all' OR p.scope = split_part(o.type, '.', 1))
  AND NOT EXISTS (SELECT FROM sending_holds h
    WHERE h.order_id = o.key AND h.command_id = o.command_id AND NOT h.released)))"""
_UNSENT: Final = f"""
SELECT {", ".join("r." + name for name in Unsent._fields)}
FROM unnest(%(slices)b::int2[]) AS s(slice) CROSS JOIN LATERAL (
  SELECT q.*, sum(octet_length(q.payload)) OVER (ORDER BY q.id ROWS UNBOUNDED PRECEDING)
    - octet_length(q.payload) AS bytes_before
  FROM (SELECT {", ".join("o." + name for name in Unsent._fields)} FROM outbox o
        WHERE o.slice = s.slice AND o.sent_at IS NULL AND {_NOT_HELD}
        ORDER BY o.id LIMIT %(rows_max)b) q) r
WHERE r.bytes_before < %(bytes_max)b
"""  # noqa: S608  our own text
_UNSENT_UNSTOPPED: Final = _UNSENT.replace(_NOT_HELD, f"{_NOT_HELD} AND {_NOT_STOPPED}")
_LOCK_SLICES: Final = """
SELECT slice FROM outbox_slices WHERE slice = ANY(%(slices)b::int2[]) ORDER BY slice FOR UPDATE
"""
_LOCK_ABANDONED: Final = """
SELECT slice FROM outbox_slices WHERE slice = ANY(%(slices)b::int2[])
  AND (seen_at IS NULL OR seen_at < now() - make_interval(secs => %(lease_seconds)b::float8))
ORDER BY slice FOR UPDATE SKIP LOCKED
"""
_TAKE: Final = """
UPDATE outbox_slices SET epoch = epoch + 1, seen_at = now()
WHERE slice = ANY(%(slices)b::int2[]) RETURNING slice, epoch
"""
_STILL: Final = """
UPDATE outbox_slices s SET seen_at = CASE WHEN %(leave)b::bool THEN NULL ELSE now() END
FROM unnest(%(slices)b::int2[], %(epochs)b::int8[]) AS e(slice, epoch)
WHERE s.slice = e.slice AND s.epoch = e.epoch RETURNING s.slice
"""
# The share lock waits for one who is just taking the slice over, and then finds his epoch.
_MINE: Final = """
WITH mine AS MATERIALIZED (SELECT s.slice FROM outbox_slices s
  JOIN unnest(%(slices)b::int2[], %(epochs)b::int8[]) AS e(slice, epoch)
    ON s.slice = e.slice AND s.epoch = e.epoch
  ORDER BY s.slice FOR SHARE OF s)
"""
_MARK: Final = f"""{_MINE}
UPDATE outbox SET sent_at = now() WHERE id = ANY(%(ids)b::int8[]) AND sent_at IS NULL
  AND slice = ANY(ARRAY(SELECT slice FROM mine))
"""  # noqa: S608  our own text
_LOCK_ORDERS: Final = """
SELECT order_id FROM escrows WHERE order_id = ANY(%(order_ids)b::text[])
ORDER BY order_id FOR SHARE
"""
_LET_GO: Final = f"""{_MINE}
UPDATE outbox o SET let_go = true WHERE o.id = ANY(%(ids)b::int8[]) AND o.sent_at IS NULL
  AND o.slice = ANY(ARRAY(SELECT slice FROM mine)) AND {_NOT_HELD}
RETURNING o.id
"""  # noqa: S608  our own text
_BACKLOG: Final = f"""
SELECT count(*), count(*) FILTER (WHERE NOT {_NOT_HELD}) FROM outbox o WHERE o.sent_at IS NULL
"""  # noqa: S608  our own text
# Old rows stand in front: looking at these alone, never at the whole table.
_PURGE: Final = """
DELETE FROM outbox WHERE id = ANY(ARRAY(
  SELECT f.id FROM (SELECT id, sent_at FROM outbox ORDER BY id LIMIT %(rows_max)b) f
  WHERE f.sent_at < now() - make_interval(secs => %(retention_seconds)b::float8)))
"""


def take(connection: Connection, slices: Collection[int]) -> dict[int, int]:
    """Become the writer of these slices, whoever is now; slice → epoch.

    Waits for a predecessor's open mark, so that everything he has marked is seen.
    """
    fetch(connection, _LOCK_SLICES, slices=sorted(slices))
    return dict(fetch(connection, _TAKE, slices=sorted(slices)))


def take_abandoned(
    connection: Connection, slices: Collection[int], lease_seconds: float
) -> dict[int, int]:
    """Become the writer of those of these slices whose writer gave no sign of life for so long."""
    locked = fetch(
        connection, _LOCK_ABANDONED, slices=sorted(slices), lease_seconds=float(lease_seconds)
    )
    if not locked:
        return {}
    return dict(fetch(connection, _TAKE, slices=[row[0] for row in locked]))


def give_sign(
    connection: Connection, epochs: Mapping[int, int], *, leave: bool = False
) -> set[int]:
    """A sign of life, or the last one; returns the slices that are still ours."""
    slices, numbers = _split(epochs)
    return {row[0] for row in fetch(connection, _STILL, slices=slices, epochs=numbers, leave=leave)}


def read_unsent(
    connection: Connection,
    slices: Sequence[int],
    rows_max: int,
    bytes_max: int,
    *,
    guarded: bool = False,
) -> list[Unsent]:
    """Rows to send, in the order of their ids; at most so many rows and bytes a slice.

    `guarded`: without commands that operators, caps or the breaker have stopped.
    """
    sql = _UNSENT_UNSTOPPED if guarded else _UNSENT
    rows = fetch(connection, sql, slices=list(slices), rows_max=rows_max, bytes_max=bytes_max)
    rows.sort(key=_id)
    return [Unsent(*row) for row in rows]


def let_go(connection: Connection, epochs: Mapping[int, int], rows: Sequence[Unsent]) -> set[int]:
    """Decide that these rows will be sent, unless they are on hold; returns the ids let go.

    The decision that holds a command locks the order; so does this, in an earlier statement than
    the one that looks for the hold. Whichever commits first wins: a row that was let go counts as
    sent, also if we die before the send; a row on hold stays.
    """
    fetch(connection, _LOCK_ORDERS, order_ids=sorted({row.key for row in rows}, key=str.encode))
    slices, numbers = _split(epochs)
    ids = [row.id for row in rows]
    return {row[0] for row in fetch(connection, _LET_GO, slices=slices, epochs=numbers, ids=ids)}


def mark_sent(connection: Connection, epochs: Mapping[int, int], ids: Sequence[int]) -> int:
    """Mark acknowledged rows; returns how many. Fewer than given: a slice is ours no more."""
    slices, numbers = _split(epochs)
    return execute(connection, _MARK, slices=slices, epochs=numbers, ids=ids)


def backlog(connection: Connection) -> Backlog:
    """How many rows wait; those on hold wait for a person."""
    return Backlog(*fetch(connection, _BACKLOG)[0])


def purge(connection: Connection, retention_seconds: float, rows_max: int = 5_000) -> int:
    """Delete the oldest rows that were sent longer ago; returns how many, call again while some."""
    return execute(
        connection, _PURGE, retention_seconds=float(retention_seconds), rows_max=rows_max
    )


def _split(epochs: Mapping[int, int]) -> tuple[list[int], list[int]]:
    slices = sorted(epochs)
    return slices, [epochs[slice_] for slice_ in slices]


def _id(row: tuple[Any, ...]) -> int:
    number: int = row[0]
    return number
