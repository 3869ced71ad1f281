"""Traffic reaches a real Kafka whole: keys choose partitions, order within a key stays, a failure is heard."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from kafka.errors import KafkaError

from consumers.engine.config import Settings, load_settings
from ops.local.traffic import Knobs, plain, publish, stories
from schemas.door import Record
from tests.integration.sending import a_topic, sent_to


@pytest.fixture
def settings(kafka: str) -> Settings:
    return load_settings(kafka={"bootstrap_servers": kafka})


def elsewhere(records: Iterable[Record], topic: str) -> Iterator[Record]:
    return (record._replace(topic=topic) for record in records)


def test_all_arrives_as_it_was_made(kafka: str, settings: Settings) -> None:
    topic = a_topic(kafka, 4)
    made = list(elsewhere(stories(1, 400, knobs=Knobs(garbage=0.3)), topic))

    assert publish(made, settings) == len(made)

    found = sent_to(kafka, [topic])
    assert sorted(map(content, found)) == sorted(map(content, made))
    places = defaultdict(set)
    for record in found:
        places[record.key].add(record.partition)
    assert all(len(partitions) == 1 for key, partitions in places.items() if key is not None)


def test_more_than_may_be_in_flight_keeps_its_order(kafka: str, settings: Settings) -> None:
    topic = a_topic(kafka, 2)

    assert publish(elsewhere(plain(12_000), topic), settings) == 48_000

    times = defaultdict(list)
    for record in sent_to(kafka, [topic]):
        times[record.partition].append(record.timestamp_ms)
    assert sum(map(len, times.values())) == 48_000
    assert all(a <= b for of_one in times.values() for a, b in pairwise(of_one))


def test_a_record_that_the_broker_does_not_take_is_heard_of(kafka: str, settings: Settings) -> None:
    topic = a_topic(kafka, 1, **{"max.message.bytes": "1000"})
    big = next(plain(1))._replace(topic=topic, value=random.Random(1).randbytes(9_000))
    with pytest.raises(KafkaError):
        publish([big], settings)


def content(record: Record) -> tuple[int, bytes, bytes, str]:
    """All but the place; a null differs from nothing else in these records."""
    return (
        record.timestamp_ms,
        record.key or b"",
        record.value or b"",
        repr([tuple(header) for header in record.headers]),
    )
