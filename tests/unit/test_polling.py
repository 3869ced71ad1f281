"""Where records come steadily Kafka keeps its answers back; after a pause the first is handed over at once."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import NoOffsetForPartitionError

from consumers.engine import polling
from consumers.engine.polling import ENOUGH_BYTES, IDLE_MS, Poller

WHERE = TopicPartition("t", 0)
AT_ONCE = (IDLE_MS, 1)
HELD = (15, ENOUGH_BYTES)


class Client:
    """Answers each poll with so many records; None: it does not know yet where it stands."""

    def __init__(self, *answers: int | None) -> None:
        self.asked: list[
            tuple[tuple[int, int], int]
        ] = []  # how answers are held, how long it waits
        self.held: tuple[int, int] = (0, 0)
        self._answers = iter(answers)

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        self.asked.append((self.held, timeout_ms))
        count = next(self._answers)
        if count is None:
            raise NoOffsetForPartitionError([WHERE])
        return {WHERE: [_record(n) for n in range(min(count, max_records))]} if count else {}


def _record(offset: int) -> Any:
    return SimpleNamespace(
        topic="t", partition=0, offset=offset, timestamp=0, key=b"k", value=b"v", headers=[]
    )


@pytest.fixture(autouse=True)
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    def hold(client: Client, wait_ms: int, enough_bytes: int) -> None:
        client.held = (wait_ms, enough_bytes)

    monkeypatch.setattr(polling, "hold_answers", hold)


def polled(client: Client, polls: int, hold_ms: int = 15) -> list[int]:
    poller = Poller(client, hold_ms)
    return [len(poller.poll(5)) for _ in range(polls)]


def test_while_records_come_answers_are_held_back() -> None:
    client = Client(1, 2, 7)
    assert polled(client, 3) == [1, 2, 5]
    assert client.asked == [(AT_ONCE, IDLE_MS), (HELD, 30), (HELD, 30)]


def test_after_a_pause_the_first_record_is_handed_over_at_once() -> None:
    client = Client(1, 0, 0, 1)
    assert polled(client, 4) == [1, 0, 0, 1]
    assert client.asked == [(AT_ONCE, IDLE_MS), (HELD, 30), (AT_ONCE, IDLE_MS), (AT_ONCE, IDLE_MS)]


def test_where_nothing_may_wait_nothing_does() -> None:
    client = Client(1, 2)
    assert polled(client, 2, hold_ms=0) == [1, 2]
    assert client.asked == [(AT_ONCE, IDLE_MS)] * 2


def test_a_client_that_does_not_know_where_it_stands_is_asked_again() -> None:
    assert polled(Client(None, 2), 2) == [0, 2]
