"""A whole topic, read once from its beginning to where it ends now; no group is joined, nothing committed."""

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

from kafka import TopicPartition

from consumers.engine.asking import KafkaUnavailable, asked, record_of
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_consumer
from schemas.door import Record

RECORDS_MAX: Final = 5_000  # a batch
SILENCE_SECONDS_MAX: Final = 30.0


def read_log(settings: Settings, topic: str) -> Iterator[list[Record]]:
    """Its committed records in batches, in order within a partition. Raises KafkaUnavailable."""
    with asked(settings):
        yield from _read(settings, topic)


def _read(settings: Settings, topic: str) -> Iterator[list[Record]]:
    with closing(make_consumer(settings, None)) as consumer:
        where = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        if not where:
            raise KafkaUnavailable(f"there is no topic {topic}")
        ends = consumer.end_offsets(where)
        left = {p for p, begin in consumer.beginning_offsets(where).items() if begin < ends[p]}
        if not left:
            return
        consumer.assign(list(left))
        consumer.seek_to_beginning(*left)
        heard_at = time.monotonic()
        while left:
            polled = consumer.poll(timeout_ms=200, max_records=RECORDS_MAX)
            records = [record_of(r) for p, rs in polled.items() for r in rs if r.offset < ends[p]]
            if records:
                heard_at = time.monotonic()
                yield records
                heard_at = time.monotonic()
            done = {p for p in left if consumer.position(p) >= ends[p]}
            consumer.pause(*done)
            left -= done
            if left and time.monotonic() - heard_at > SILENCE_SECONDS_MAX:
                raise KafkaUnavailable(f"{topic} has more records, but none come")
