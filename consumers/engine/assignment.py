"""A partition is read only after this worker has become its one writer, from where the row says.

Rebalances are heard on the client's own thread: there they are only noted. The worker's thread
then takes an epoch (which waits for a predecessor's open transaction, and ends one that has fallen
silent), checks that the log is still the log that was read, seeks, and resumes.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Lock
from typing import Any, NamedTuple

import structlog
from kafka import ConsumerRebalanceListener, TopicPartition

from consumers.engine.processing import Halt
from consumers.engine.records import Partition, record_digest
from schemas.door import Record
from storage.engine import Connection, LockNotAvailable
from storage.policies import learn_policies
from storage.positions import Position, take_epoch
from storage.silent_writers import end_silent

log = structlog.get_logger()


class Noted(ConsumerRebalanceListener):
    """What the group decided, until the worker's thread asks. Nothing here may block or raise.

    New partitions are paused at offset 0: a position that is never read from, so that the client
    neither asks for committed offsets nor fetches before the row was read.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._lock = Lock()
        self._assigned: set[Partition] = set()
        self._gone: set[Partition] = set()

    def on_partitions_assigned(self, assigned: Any) -> None:
        """Park the new partitions until they are adopted."""
        for partition in assigned:
            self._consumer.seek(partition, 0)
        self._consumer.pause(*assigned)
        with self._lock:
            self._assigned |= {(p.topic, p.partition) for p in assigned}

    def on_partitions_revoked(self, revoked: Any) -> None:
        """They may come back with the next assignment; then they are adopted anew."""
        with self._lock:
            gone = {(p.topic, p.partition) for p in revoked}
            self._gone |= gone
            self._assigned -= gone

    def on_partitions_lost(self, lost: Any) -> None:
        """Someone else reads them already: the fence has the last word; nothing is flushed."""
        self.on_partitions_revoked(lost)

    def pending(self) -> set[Partition]:
        """Partitions of which something is noted that nobody has taken yet."""
        with self._lock:
            return self._assigned | self._gone

    def take(self) -> tuple[set[Partition], set[Partition]]:
        """What is gone and what is new since the last question; gone comes first."""
        with self._lock:
            gone, assigned = self._gone, self._assigned
            self._gone, self._assigned = set(), set()
        return gone, assigned


class Unread(NamedTuple):
    """The last record that was read, to be read again and compared before going on."""

    offset: int
    digest: bytes


class Adoption(NamedTuple):
    """Where to go on reading, and what must be there first."""

    position: Position
    seek_to: int
    check: Unread | None


def adopt(
    connection: Connection, consumer: Any, stage: str, partition: Partition, cluster_id: str
) -> Adoption:
    """Take over one partition; raises Halt if its log is not the one that was read."""
    try:
        with connection.begin():
            position = take_epoch(connection, stage, *partition, cluster_id)
            learn_policies(connection)
    except LockNotAvailable:
        with connection.begin():
            if ended := end_silent(connection):
                log.warning("ended a silent predecessor", stage=stage, backends=ended)
        raise
    where = TopicPartition(*partition)
    begin = consumer.beginning_offsets([where])[where]
    end = consumer.end_offsets([where])[where]
    _check_log(stage, position, cluster_id, begin, end)
    check = None
    if position.last_offset is not None and position.last_offset >= begin:
        assert position.last_digest is not None
        check = Unread(position.last_offset, position.last_digest)
    return Adoption(position, position.next_offset if check is None else check.offset, check)


def let_flow(consumer: Any, where: TopicPartition, offset: int) -> bool:
    """Read on from `offset`; False if the client's own thread has taken the partition away."""
    try:
        consumer.seek(where, offset)
        consumer.resume(where)
    except (ValueError, KeyError):  # how kafka-python says: not assigned
        return False
    return True


def where_ours(
    change: Callable[[TopicPartition], None], partitions: Iterable[TopicPartition]
) -> None:
    """Pause or resume these, but for those that the client's own thread takes away meanwhile."""
    for where in partitions:
        with suppress(KeyError):
            change(where)


def is_new(stage: str, position: Position, expected: Unread | None, record: Record) -> bool:
    """False for the record that was read last and is read again; raises Halt if it is another one.

    Where nothing but a transaction's marker was when we read there, no record may be, either.
    """
    if expected is None and record.offset >= position.next_offset:
        return True
    is_expected = expected is not None and record.offset == expected.offset
    if not is_expected or record_digest(record) != expected.digest:  # type: ignore[union-attr]
        name = _name(stage, (record.topic, record.partition))
        offset = record.offset if expected is None else expected.offset
        raise Halt(
            f"{name}: offset {offset} no longer holds the record that was read there: the topic was"
            " recreated, or an old copy was restored and regrew. See docs/runbook.md,"
            " `the log changed`."
        )
    return False


def _check_log(stage: str, position: Position, cluster_id: str, begin: int, end: int) -> None:
    name = _name(stage, (position.topic, position.partition))
    if position.cluster_id != cluster_id:
        raise Halt(
            f"{name}: the position belongs to cluster {position.cluster_id}, this is {cluster_id}."
            " See docs/runbook.md, `another cluster`."
        )
    if position.next_offset > end:
        raise Halt(
            f"{name}: the log ends at {end}, but {position.next_offset} was reached: it was"
            " truncated or recreated. See docs/runbook.md, `the log is shorter`."
        )
    if position.next_offset < begin:
        raise Halt(
            f"{name}: retention has removed offsets {position.next_offset} to {begin - 1} before"
            " they were read: facts are lost. See docs/runbook.md, `retention passed us`."
        )


def _name(stage: str, partition: Partition) -> str:
    return f"stage {stage}, {partition[0]}[{partition[1]}]"
