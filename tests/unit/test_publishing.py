"""Sending without a broker: partitions, headers, and a client that never answers or refuses."""

from random import Random
from threading import Event
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError, KafkaTimeoutError
from kafka.future import Future
from kafka.partitioner.default import DefaultPartitioner
from sqlalchemy import create_engine
from typing_extensions import override

from consumers.engine import publishing
from consumers.engine.publishing import (
    KeyPartitioner,
    NotTried,
    Publisher,
    Wire,
    binary_headers,
)
from consumers.engine.relay import Relay
from schemas.envelope import from_headers
from storage.relaying import Unsent
from tests.builders import T0

WIRE = Wire("t", b"k", b"{}", [], T0)


class Cluster:
    """The metadata of one topic."""

    def __init__(self, partitions: int) -> None:
        self._partitions = set(range(partitions))

    def topics(self) -> set[str]:
        return {"t"}

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return self._partitions

    available_partitions_for_topic = partitions_for_topic


class Client:
    """A producer whose acks are the test's business."""

    def __init__(self, refuses: Exception | None = None) -> None:
        self.futures: list[Future] = []
        self.is_closed = False
        self._refuses = refuses
        self._sender = self
        self._closed = True  # every record takes the client's own way, through `send`

    def send(self, *_: Any, **__: Any) -> Future:
        if self._refuses is not None and self.futures:
            raise self._refuses
        self.futures.append(Future())
        return self.futures[-1]

    def force_close(self) -> None:
        self.is_closed = True

    def close(self, timeout: float) -> None:
        assert self.is_closed
        assert timeout > 0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Future, "get", _get, raising=False)


def _get(future: Any, timeout: float) -> None:
    if not future.is_done:
        Event().wait(timeout / 10)
        raise KafkaTimeoutError


def test_a_key_has_the_same_partition_as_with_every_other_client(rng: Random) -> None:
    ours, theirs = KeyPartitioner(), DefaultPartitioner()
    for partitions in (1, 4, 7):
        cluster = Cluster(partitions)
        for _ in range(300):
            key = rng.randbytes(rng.randrange(70))
            expected = theirs.partition("t", key, key, b"", b"", cluster)
            assert ours.partition("t", key, key, b"", b"", cluster) == expected


def test_headers_are_what_our_own_door_reads() -> None:
    sent: dict[str, str | int] = {"traceparent": "00", "n": 5, "sampled": True}
    headers = dict(binary_headers("escrow", "order.changed", "id-1", sent))
    envelope = from_headers(headers)
    assert (envelope.source, envelope.type, envelope.id) == ("escrow", "order.changed", "id-1")
    assert envelope.extensions == (("n", "5"), ("sampled", "true"), ("traceparent", "00"))


def test_a_client_that_never_acknowledges_is_given_up_and_built_anew() -> None:
    clients = [Client(), Client()]
    waiting = iter(clients)
    publisher = Publisher(lambda: next(waiting), ack_seconds=0.05)
    results = publisher.publish([WIRE, WIRE])
    assert [type(error) for error in results] == [NotTried, NotTried]
    assert publisher.failures == 1
    assert clients[0].is_closed
    publisher.publish([WIRE])
    assert len(clients[1].futures) == 1


def test_asked_to_stop_it_waits_no_longer_than_that_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publishing, "LEAVING_SECONDS", 0.05)
    stop = Event()
    stop.set()
    publisher = Publisher(Client, stop, ack_seconds=3_600)
    assert [type(error) for error in publisher.publish([WIRE])] == [NotTried]


def test_a_refusal_on_the_way_in_is_told_of_its_own_record_only() -> None:
    refusal = KafkaTimeoutError("no metadata")
    publisher = Publisher(lambda: Client(refusal), ack_seconds=0.05)
    first, second, third = publisher.publish([WIRE] * 3)
    assert second is refusal
    assert isinstance(first, NotTried)
    assert isinstance(third, NotTried)


def test_without_a_broker_nothing_is_acknowledged() -> None:
    def make() -> Client:
        raise KafkaConnectionError

    publisher = Publisher(make)
    results = publisher.publish([WIRE, WIRE])
    assert [type(error) for error in results] == [KafkaConnectionError, NotTried]
    assert publisher.failures == 1


class Answers(Publisher):
    """Answers as the test says."""

    def __init__(self, *answers: Exception | None) -> None:
        super().__init__(Client)
        self._answers = list(answers)

    @override
    def publish(self, records: Any) -> list[Exception | None]:
        assert len(list(records)) == len(self._answers)
        return self._answers


def test_of_each_slice_only_what_stands_before_the_first_failure_counts_as_sent() -> None:
    def row(id_: int, slice_: int) -> Unsent:
        return Unsent(id_, slice_, "t", "k", "order.changed", str(id_), T0, "{}", None, None)

    rows = [row(1, 0), row(2, 1), row(3, 0), row(4, 1), row(5, 0)]
    answers = Answers(None, None, KafkaTimeoutError(), None, None)
    relay = Relay(create_engine("postgresql+psycopg://"), answers, range(16))
    assert [sent.id for sent in relay.send(rows)] == [1, 2, 4]
    assert relay.counts["refused"] == 1
