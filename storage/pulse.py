"""How far the whole line has come, in one look: who has taken what over, what waits, how one record ended.

Read by whoever starts the line and waits for it; nothing here writes.
"""

from typing import Final, NamedTuple

from schemas.reasons import Outcome
from storage.reading import Snapshot
from storage.rows import fetch


class OpenCommand(NamedTuple):
    """A command that has no final answer yet, and is not on hold."""

    order_id: str
    command_id: str
    amount_minor: int
    purpose: str
    failures: int


class Pulse(NamedTuple):
    """One moment: positions by (topic, partition), and what of the work is not finished."""

    positions: dict[tuple[str, int], int]
    unsent: int  # outbox rows that are not on hold
    open_commands: list[OpenCommand]
    due: int  # deadlines that have passed and were not decided yet


class Counts(NamedTuple):
    """What has been decided so far."""

    facts: int
    commands: int
    answered: int  # commands with a final answer
    dead_letters: int


class Fate(NamedTuple):
    """How a record ended: its outcome and code."""

    outcome: Outcome
    code: str | None


_EPOCHS: Final = "SELECT topic, partition, epoch FROM consumer_positions"
_SLICES: Final = "SELECT slice, epoch FROM outbox_slices"
_POSITIONS: Final = "SELECT topic, partition, next_offset FROM consumer_positions"
# What is on hold waits for a person: no waiting here would end it.
_UNSENT: Final = """
SELECT count(*) FROM outbox o WHERE sent_at IS NULL AND NOT EXISTS (
  SELECT FROM command_holds h WHERE h.order_id = o.key AND h.command_id = o.command_id)
"""
_OPEN: Final = """
SELECT order_id, command_id, amount_minor, purpose, failures FROM commands c
WHERE state IN ('PENDING', 'ACCEPTED') AND NOT EXISTS (
  SELECT FROM command_holds h WHERE h.order_id = c.order_id AND h.command_id = c.command_id)
"""
_DUE: Final = """
SELECT count(*) FROM deadlines
WHERE due_at <= (SELECT coalesce(max(t_max), -1) FROM consumer_positions)
"""
_COUNTS: Final = """
SELECT (SELECT count(*) FROM facts) + (SELECT count(*) FROM supplier_reports)
    + (SELECT coalesce(sum(facts), 0)::bigint FROM archived_counts),
  (SELECT count(*) FROM commands),
  (SELECT count(*) FROM commands WHERE state IN ('SETTLED', 'FAILED', 'RETURNED')),
  (SELECT count(*) FROM dead_letters)
"""
_COMMAND_STATES: Final = "SELECT kind, state, count(*) FROM commands GROUP BY kind, state"
_LETTER_CODES: Final = "SELECT code, count(*) FROM dead_letters GROUP BY code"
_FATE: Final = """
SELECT outcome, code FROM facts
WHERE order_id = %(order_id)b AND source = %(source)b AND id = %(id)b
  AND partition = %(partition)b AND "offset" = %(offset)b
UNION ALL
SELECT 'dead_letter', code FROM dead_letters
WHERE topic = %(topic)b AND partition = %(partition)b AND "offset" = %(offset)b
UNION ALL
SELECT 'duplicate', NULL FROM batches
WHERE topic = %(topic)b AND partition = %(partition)b AND duplicate > 0
  AND first_offset <= %(offset)b AND %(offset)b < next_offset
LIMIT 1
"""


def epochs(connection: Snapshot) -> dict[tuple[str, int], int]:
    """Which epoch each partition is in; absent where no worker was ever seen."""
    return {(topic, partition): epoch for topic, partition, epoch in fetch(connection, _EPOCHS)}


def slice_epochs(connection: Snapshot) -> dict[int, int]:
    """Which epoch each outbox slice is in; it grows when a relay takes the slice over."""
    return dict(fetch(connection, _SLICES))


def pulse(connection: Snapshot) -> Pulse:
    """What is read, what is not sent, what is not answered, what is overdue."""
    positions = {(row[0], row[1]): row[2] for row in fetch(connection, _POSITIONS)}
    ((unsent,),) = fetch(connection, _UNSENT)
    ((due,),) = fetch(connection, _DUE)
    return Pulse(positions, unsent, [OpenCommand(*row) for row in fetch(connection, _OPEN)], due)


def counts(connection: Snapshot) -> Counts:
    """Facts, commands, answers and dead letters so far."""
    (row,) = fetch(connection, _COUNTS)
    return Counts(*row)


def command_states(connection: Snapshot) -> dict[tuple[str, str], int]:
    """(kind, state) → how many commands."""
    return {(kind, state): count for kind, state, count in fetch(connection, _COMMAND_STATES)}


def dead_letter_codes(connection: Snapshot) -> dict[str, int]:
    """Code → how many dead letters are kept."""
    return dict(fetch(connection, _LETTER_CODES))


def fate_of(
    connection: Snapshot,
    identity: tuple[str, str],
    order_id: str,
    place: tuple[str, int, int],
) -> Fate | None:
    """How the record of this identity (source, id) at this (topic, partition, offset) ended.

    None: not decided yet.
    """
    rows = fetch(
        connection,
        _FATE,
        order_id=order_id,
        source=identity[0],
        id=identity[1],
        topic=place[0],
        partition=place[1],
        offset=place[2],
    )
    return Fate(*rows[0]) if rows else None
