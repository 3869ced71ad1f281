"""Where records come fast a small batch lingers for more; one that had to wait for its first does not."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from consumers.engine import polling
from consumers.engine.polling import LINGER_BELOW, poll

WHERE = TopicPartition("t", 0)


class Client:
    """Answers each poll with so many records; an empty answer takes all the time it was given."""

    def __init__(self, *answers: int, first_after_ms: int = 0) -> None:
        self._first_after_ms = first_after_ms
        self.waits: list[int] = []
        self.now = 0.0
        self._answers = iter(answers)
        self._offsets = iter(range(10_000))

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        self.waits.append(timeout_ms)
        count = min(next(self._answers, 0), max_records)
        if len(self.waits) == 1:
            self.now += self._first_after_ms / 1_000
        if not count:
            self.now += timeout_ms / 1_000
            return {}
        return {WHERE: [self._record() for _ in range(count)]}

    def _record(self) -> Any:
        return SimpleNamespace(
            topic="t", partition=0, offset=next(self._offsets), timestamp=0, key=b"k", value=b"v",
            headers=[],
        )  # fmt: skip


@pytest.fixture
def polled(monkeypatch: pytest.MonkeyPatch) -> Any:
    def take(client: Client, linger_ms: int = 5, records_max: int = 5_000) -> int:
        clock = SimpleNamespace(monotonic=lambda: client.now)
        monkeypatch.setattr(polling, "time", clock)
        return len(poll(client, 250, linger_ms, records_max, 1_000_000))

    return take


def test_a_few_records_wait_for_more(polled: Any) -> None:
    client = Client(1, 2, 0, 3)
    assert polled(client) == 3
    assert client.waits == [250, 5, 5]
    assert polled(client) == 3


def test_nothing_is_waited_for_where_nothing_came(polled: Any) -> None:
    client = Client()
    assert polled(client) == 0
    assert client.waits == [250]


def test_a_record_that_was_waited_for_is_decided_at_once(polled: Any) -> None:
    client = Client(1, 0, first_after_ms=6)
    assert polled(client) == 1
    assert client.waits == [250, 0]


def test_many_records_wait_for_nobody(polled: Any) -> None:
    client = Client(LINGER_BELOW, 0)
    assert polled(client) == LINGER_BELOW
    assert client.waits == [250, 0]


def test_without_a_linger_only_what_is_there_is_taken(polled: Any) -> None:
    client = Client(1, 1, 0, 1)
    assert polled(client, linger_ms=0) == 2
    assert client.waits == [250, 0, 0]


def test_the_limit_ends_it(polled: Any) -> None:
    client = Client(1, 9)
    assert polled(client, records_max=4) == 4
    assert client.waits == [250, 5]
