"""What is said on topics, heard from the moment of asking on: nothing sent after the start is missed.

In no group, so that listening changes nothing. Only committed records are heard.
"""

import json
import time
from collections.abc import Callable, Collection
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from kafka import TopicPartition

from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_consumer

POLL_MS: Final = 100


class Heard(NamedTuple):
    """One record in binary mode, and when we heard it."""

    topic: str
    partition: int
    offset: int
    key: str
    t: int  # ms UTC, the record's time
    source: str
    id: str
    type: str
    data: dict[str, Any]
    at: float  # time.monotonic()


class Listener:
    """Reads on a thread of its own for as long as the `with` lasts."""

    def __init__(self, settings: Settings, topics: Collection[str]) -> None:
        self._settings, self._topics = settings, topics
        self._heard: list[Heard] = []
        self._news = Condition()
        self._stop = Event()
        self._error: BaseException | None = None

    def wait_for(
        self, wanted: Callable[[Heard], bool], timeout_seconds: float, give_up: Event
    ) -> Heard | None:
        """The first record, since the start, for which `wanted` is true; None if none came."""
        deadline = time.monotonic() + timeout_seconds
        looked_at = 0
        with self._news:
            while True:
                for heard in self._heard[looked_at:]:
                    if wanted(heard):
                        return heard
                looked_at = len(self._heard)
                if self._error is not None:
                    raise self._error
                left = deadline - time.monotonic()
                if left <= 0 or give_up.is_set():
                    return None
                self._news.wait(min(left, 0.2))

    def all_of(self, wanted: Callable[[Heard], bool]) -> list[Heard]:
        """Every record so far for which `wanted` is true."""
        with self._news:
            return [heard for heard in self._heard if wanted(heard)]

    def __enter__(self) -> Self:
        self._consumer = make_consumer(self._settings, None)
        partitions = [
            TopicPartition(topic, partition)
            for topic in self._topics
            for partition in self._consumer.partitions_for_topic(topic) or ()
        ]
        ends = self._consumer.end_offsets(partitions)
        self._consumer.assign(partitions)
        for partition, end in ends.items():
            self._consumer.seek(partition, end)
        self._thread = Thread(target=self._listen, name="listener", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close(autocommit=False, timeout_ms=2_000)

    def _listen(self) -> None:
        try:
            while not self._stop.is_set():
                polled = self._consumer.poll(timeout_ms=POLL_MS)
                news = [_heard(record) for records in polled.values() for record in records]
                if news:
                    with self._news:
                        self._heard += news
                        self._news.notify_all()
        except Exception as error:  # noqa: BLE001 -- told to whoever waits
            with self._news:
                self._error = error
                self._news.notify_all()


def _heard(record: Any) -> Heard:
    headers = {name: (value or b"").decode() for name, value in record.headers}
    return Heard(
        record.topic,
        record.partition,
        record.offset,
        (record.key or b"").decode(),
        record.timestamp,
        headers["ce_source"],
        headers["ce_id"],
        headers["ce_type"],
        json.loads(record.value),
        time.monotonic(),
    )
