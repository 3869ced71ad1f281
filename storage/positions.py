"""How far a stage has read is a row, moved in the same commit as what was read.

Only the holder of the row's epoch can move it, and only from where it thinks it stands: a stale
worker loses in SQL.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection

from storage.rows import execute, fetch


class Position(NamedTuple):
    """Where one stage stands in one partition, and under which epoch."""

    topic: str
    partition: int
    cluster_id: str
    epoch: int
    next_offset: int
    last_offset: int | None
    last_digest: bytes | None


class Step(NamedTuple):
    """One batch's way in one partition: from `expected` to `next_offset`, under `epoch`."""

    topic: str
    partition: int
    epoch: int
    expected: int
    next_offset: int
    last_offset: int | None  # None: no record in between, markers only
    last_digest: bytes | None
    t_max: int  # largest timestamp of the facts in it; -1 if none


class Move(NamedTuple):
    """An operator's decision about where a stage goes on in one partition."""

    stage: str
    topic: str
    partition: int
    cluster_id: str
    next_offset: int
    operator_id: str
    reason: str


class MoveRow(NamedTuple):
    """A move that was made; `from_offset` None: the stage had never read there."""

    stage: str
    topic: str
    partition: int
    cluster_id: str
    from_offset: int | None
    to_offset: int
    operator_id: str
    reason: str
    at: datetime


_TAKE_EPOCH: Final = """
INSERT INTO consumer_positions AS p
  (stage, topic, partition, cluster_id, epoch, next_offset)
VALUES (%(stage)s, %(topic)s, %(partition)s, %(cluster_id)s, 1, %(start)s)
ON CONFLICT (stage, topic, partition) DO UPDATE SET epoch = p.epoch + 1
RETURNING topic, partition, cluster_id, epoch, next_offset, last_offset, last_digest
"""

_LOCK: Final = """
SELECT p.topic FROM consumer_positions p
JOIN unnest(%(topics)b::text[], %(partitions)b::int[]) AS s(topic, partition)
  ON p.topic = s.topic AND p.partition = s.partition
WHERE p.stage = %(stage)b
ORDER BY p.topic, p.partition FOR UPDATE OF p
"""

_FENCE: Final = """
UPDATE consumer_positions p
SET next_offset = s.next_offset,
    last_offset = coalesce(s.last_offset, p.last_offset),
    last_digest = coalesce(s.last_digest, p.last_digest),
    t_max = greatest(p.t_max, s.t_max)
FROM unnest(%(topics)b::text[], %(partitions)b::int[], %(epochs)b::bigint[], %(expected)b::bigint[],
  %(next_offsets)b::bigint[], %(last_offsets)b::bigint[], %(last_digests)b::bytea[],
  %(t_max)b::bigint[])
  AS s(topic, partition, epoch, expected, next_offset, last_offset, last_digest, t_max)
WHERE p.stage = %(stage)b AND p.topic = s.topic AND p.partition = s.partition
  AND p.epoch = s.epoch AND p.next_offset = s.expected
RETURNING p.topic, p.partition
"""

_READ: Final = """
SELECT topic, partition, cluster_id, epoch, next_offset, last_offset, last_digest
FROM consumer_positions WHERE stage = %(stage)b ORDER BY topic, partition
"""

# In a statement of its own, which waits for the running batch before it reads.
_NOTE_MOVE: Final = """
WITH here AS (
  SELECT next_offset FROM consumer_positions
  WHERE stage = %(stage)s AND topic = %(topic)s AND partition = %(partition)s FOR UPDATE
)
INSERT INTO position_moves
  (stage, topic, partition, cluster_id, from_offset, to_offset, operator_id, reason)
VALUES (%(stage)s, %(topic)s, %(partition)s, %(cluster_id)s, (SELECT next_offset FROM here),
  %(next_offset)s, %(operator_id)s, %(reason)s)
"""

_PUT: Final = """
INSERT INTO consumer_positions AS p (stage, topic, partition, cluster_id, epoch, next_offset)
VALUES (%(stage)s, %(topic)s, %(partition)s, %(cluster_id)s, 1, %(next_offset)s)
ON CONFLICT (stage, topic, partition) DO UPDATE SET epoch = p.epoch + 1,
  next_offset = excluded.next_offset, cluster_id = excluded.cluster_id,
  last_offset = NULL, last_digest = NULL
"""

_MOVES: Final = """
SELECT stage, topic, partition, cluster_id, from_offset, to_offset, operator_id, reason, at
FROM position_moves WHERE stage = %(stage)b ORDER BY move_no DESC LIMIT 20
"""

_PROGRESS: Final = """
SELECT coalesce(sum(next_offset), 0)::bigint FROM consumer_positions WHERE stage = %(stage)b
"""

_NOW: Final = "SELECT coalesce(max(t_max), -1) FROM consumer_positions"


def take_epoch(
    connection: Connection, stage: str, topic: str, partition: int, cluster_id: str, start: int = 0
) -> Position:
    """Become the one writer of this position; waits for a predecessor's open transaction.

    A missing row is created once, at `start`.
    """
    rows = fetch(
        connection,
        _TAKE_EPOCH,
        stage=stage,
        topic=topic,
        partition=partition,
        cluster_id=cluster_id,
        start=start,
    )
    return Position(*rows[0])


def fence(connection: Connection, stage: str, steps: Sequence[Step]) -> set[tuple[str, int]]:
    """Lock and move the positions; returns the partitions that are still ours.

    Anything missing in the answer was taken over: roll back and go on without it.
    """
    topics = [step.topic for step in steps]
    partitions = [step.partition for step in steps]
    fetch(connection, _LOCK, stage=stage, topics=topics, partitions=partitions)
    moved = fetch(
        connection,
        _FENCE,
        stage=stage,
        topics=topics,
        partitions=partitions,
        epochs=[step.epoch for step in steps],
        expected=[step.expected for step in steps],
        next_offsets=[step.next_offset for step in steps],
        last_offsets=[step.last_offset for step in steps],
        last_digests=[step.last_digest for step in steps],
        t_max=[step.t_max for step in steps],
    )
    return {(topic, partition) for topic, partition in moved}


def read(connection: Connection, stage: str) -> list[Position]:
    """Where the stage stands in each of its partitions."""
    return [Position(*row) for row in fetch(connection, _READ, stage=stage)]


def put(connection: Connection, move: Move) -> None:
    """Go on from where an operator says, and keep who said so and why.

    Ends the running worker's epoch, and forgets the last record read: the log may be another one.
    """
    execute(connection, _NOTE_MOVE, **move._asdict())
    execute(connection, _PUT, **move._asdict())


def moves(connection: Connection, stage: str) -> list[MoveRow]:
    """The last twenty times that an operator moved a position of this stage, newest first."""
    return [MoveRow(*row) for row in fetch(connection, _MOVES, stage=stage)]


def progress(connection: Connection, stage: str) -> int:
    """A number that grows whenever this stage commits a batch."""
    return int(fetch(connection, _PROGRESS, stage=stage)[0][0])


def decided_until(connection: Connection) -> int:
    """The largest record timestamp decided so far, ms: the ticker's now under CreateTime."""
    return int(fetch(connection, _NOW)[0][0])
