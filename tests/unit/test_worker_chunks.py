"""What was polled of a partition before it was adopted is not used: the seek brings it again."""

import time
from contextlib import nullcontext
from typing import Any

import pytest
from kafka import TopicPartition
from typing_extensions import override

from consumers.engine.assignment import Adoption, Noted, Unread
from consumers.engine.processing import Halt
from consumers.engine.records import record_digest
from consumers.engine.worker import Rejoin, _Session
from consumers.stages import STAGES
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
    made._stage = STAGES["payments"]
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


def test_a_record_where_only_a_marker_was_halts() -> None:
    """Position 5 had passed over a transaction's marker at 4; after a truncation a record lies there."""
    with pytest.raises(Halt, match="offset 4 no longer holds the record"):
        session()._chunk([record(4), record(5)], set())


def test_the_last_record_read_again_is_compared_with_its_headers() -> None:
    """In binary mode the identity is in the headers: another fact may have the same key and value."""
    made = session()
    read = record(4)._replace(headers=(("ce_id", b"1"),))
    made._unchecked = {("t", 0): Unread(4, record_digest(read))}
    with pytest.raises(Halt, match="offset 4 no longer holds the record"):
        made._chunk([read._replace(headers=(("ce_id", b"2"),))], set())
    made._unchecked = {("t", 0): Unread(4, record_digest(read))}
    assert [r.offset for r in made._chunk([read, record(5)], set()).records] == [5]


class Topic(Client):
    """A client that knows an empty topic of one partition, and was assigned nothing of it."""

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0}

    def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)


class Database:
    def begin(self) -> Any:
        return nullcontext()


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_partition_that_nobody_has_ever_taken_is_not_waited_for_in_vain(
    monkeypatch: pytest.MonkeyPatch, is_taken: bool
) -> None:
    """A client that assigned itself nothing reads nothing, and on an empty topic nobody is behind."""
    made = session()
    made._consumer, made._positions, made._moved_at = Topic(), {}, time.monotonic() - 60
    topic = made._stage.topic
    stands = [Position(topic, 0, "c", 3, 0, None, None)] if is_taken else []
    monkeypatch.setattr("consumers.engine.worker.rows.read", lambda *_: stands)
    with nullcontext() if is_taken else pytest.raises(Rejoin):
        made._watch(Database())


class Behind(Topic):
    """Records wait in the topic."""

    @override
    def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 9)


def test_what_could_not_move_while_the_database_was_away_is_not_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Taken again after more than 20 s it was called stuck, and the group was joined anew for nothing."""
    made = session()
    where, made._cluster_id = (made._stage.topic, 0), "c"
    made._consumer, made._moved_at = Behind(), time.monotonic() - 60
    made._noted, made._to_adopt, made._positions = Noted(made._consumer), {where}, {}
    position = Position(*where, "c", 4, 5, None, None)
    adopted = Adoption(position, 5, None)
    monkeypatch.setattr("consumers.engine.worker.adopt", lambda *_: adopted)
    monkeypatch.setattr("consumers.engine.worker.let_flow", lambda *_: True)
    monkeypatch.setattr("consumers.engine.worker.rows.read", lambda *_: [position])
    made._rebalance(Database())
    made._watch(Database())
    assert made._positions == {where: position}
