"""What was polled of a partition before it was adopted is not used: the seek brings it again."""

from typing import Any

from kafka import TopicPartition

from consumers.engine.assignment import Noted, Unread
from consumers.engine.worker import _Session
from schemas.door import Record
from storage.positions import Position


class Client:
    """A consumer that owns one partition and stands at offset 7."""

    def __init__(self) -> None:
        self.sought: list[int] = []

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("t", 0)}

    def position(self, where: TopicPartition, timeout_ms: int) -> int:
        return 7

    def seek(self, where: TopicPartition, offset: int) -> None:
        self.sought.append(offset)

    def pause(self, *where: TopicPartition) -> None: ...


def session() -> Any:
    made = _Session.__new__(_Session)
    made._consumer = Client()
    made._positions = {("t", 0): Position("t", 0, "c", 3, 5, None, None)}
    made._unchecked = {}
    return made


def record(offset: int) -> Record:
    return Record("t", 0, offset, 1, b"k", b"v", ())


def test_records_of_a_partition_that_stays_are_used() -> None:
    chunk = session()._chunk([record(5), record(6)], set())
    assert [r.offset for r in chunk.records] == [5, 6]
    assert chunk.ends == {("t", 0): 7}


def test_records_polled_before_an_adoption_are_not_looked_at() -> None:
    """They came from offset 0, where a rebalance parks a partition: not the record to check."""
    made = session()
    made._unchecked = {("t", 0): Unread(4, b"digest")}
    chunk = made._chunk([record(0), record(1)], {("t", 0)})
    assert chunk.records == []
    assert chunk.ends == {}
    assert made._unchecked == {("t", 0): Unread(4, b"digest")}


def test_a_partition_with_notes_that_nobody_took_is_pending() -> None:
    noted = Noted(Client())
    noted.on_partitions_revoked([TopicPartition("t", 0)])
    noted.on_partitions_assigned([TopicPartition("t", 0)])
    assert noted.pending() == {("t", 0)}
    noted.take()
    assert noted.pending() == set()
