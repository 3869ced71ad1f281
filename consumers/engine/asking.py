"""Questions to Kafka that change nothing: where logs end, what stands at a place, who is in a group.

The client is the caller's, so that one can be kept for many questions.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from kafka import TopicPartition
from kafka.errors import CoordinatorNotAvailableError, KafkaError

from consumers.engine.config import Settings
from consumers.engine.records import Partition
from schemas.door import Record

TIMEOUT_MS: Final = 15_000
READ_MS: Final = 10_000


class KafkaUnavailable(Exception):
    """Kafka cannot be asked; the text says what was tried."""


class Span(NamedTuple):
    """First offset still there, and the next one to be written."""

    begin: int
    end: int


@contextmanager
def asked(settings: Settings) -> Iterator[None]:
    """Whatever the client raises comes out as KafkaUnavailable."""
    try:
        yield
    except KafkaError as error:
        servers = settings.kafka.bootstrap_servers
        raise KafkaUnavailable(f"{servers}: {type(error).__name__}: {error}"[:300]) from error


def spans_by(consumer: Any, topics: Collection[str]) -> dict[Partition, Span]:
    """Where these logs begin and end, as this client sees it."""
    where = [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in consumer.partitions_for_topic(topic) or ()
    ]
    begins = consumer.beginning_offsets(where, timeout_ms=TIMEOUT_MS)
    ends = consumer.end_offsets(where, timeout_ms=TIMEOUT_MS)
    return {(w.topic, w.partition): Span(begins[w], ends[w]) for w in where}


def read_by(
    consumer: Any, places: Mapping[Partition, int], spans: Mapping[Partition, Span]
) -> dict[Partition, Record]:
    """The first record at or after each of these places, as far as there is one before the end.

    Nothing is paused meanwhile: what the client has read ahead of a paused partition it keeps, beyond
    the next assignment, and may then never ask for that partition again (kafka-python 3.0.12).
    """
    found: dict[TopicPartition, Record] = {}
    starts = {
        TopicPartition(*partition): max(offset, spans[partition].begin)
        for partition, offset in places.items()
        if partition in spans and max(offset, spans[partition].begin) < spans[partition].end
    }
    consumer.assign(list(starts))
    for place, offset in starts.items():
        consumer.seek(place, offset)
    waiting = set(starts)
    deadline = time.monotonic() + READ_MS / 1000
    while waiting and time.monotonic() < deadline:
        for place, records in consumer.poll(timeout_ms=100, max_records=500).items():
            found.setdefault(place, record_of(records[0]))
        # at the end without a record: nothing but transaction markers and what was aborted
        done = {p for p in waiting if p in found or consumer.position(p) >= spans[p].end}
        waiting -= done
    return {(place.topic, place.partition): record for place, record in found.items()}


def members_by(admin: Any, names: Collection[str]) -> dict[str, int]:
    """How many members each of these groups has; 0 for those that nobody knows."""
    described = described_by(admin, list(names))
    return {name: len(described.get(name, {}).get("members", ())) for name in names}


def described_by(admin: Any, names: list[str]) -> dict[str, Any]:
    """On a new cluster the coordinators take a moment to exist; nobody is in a group till then."""
    for _ in range(10):
        try:
            return dict(admin.describe_groups(names))
        except CoordinatorNotAvailableError:
            time.sleep(0.3)
    return {}


def record_of(polled: Any) -> Record:
    """The client's record as ours."""
    return Record(
        polled.topic,
        polled.partition,
        polled.offset,
        polled.timestamp,
        polled.key,
        polled.value,
        polled.headers,
    )
