"""Kafka and its client do as polling asks: an answer is kept back until there is enough, or not at all."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import TopicPartition

from consumers.engine.config import Settings, load_settings
from consumers.engine.kafka_clients import hold_answers, make_admin, make_consumer, make_producer

LONG_MS = 30_000
MUCH = 1_048_576


@pytest.fixture
def settings(kafka: str) -> Settings:
    return load_settings(kafka={"bootstrap_servers": kafka})


@pytest.fixture
def consumer(settings: Settings) -> Iterator[Any]:
    """At the beginning of a partition that holds one small record."""
    name = f"polling-{uuid.uuid4().hex[:12]}"
    admin = make_admin(settings)
    admin.create_topics(
        {name: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True
    )
    admin.close()
    producer = make_producer(settings)
    producer.send(name, value=b"small").get(timeout=20)
    producer.close(timeout=10)
    made = make_consumer(settings, None)
    made.assign([TopicPartition(name, 0)])
    made.seek(TopicPartition(name, 0), 0)
    yield made
    made.close(autocommit=False)


def polled(consumer: Any, wait_ms: int) -> list[bytes]:
    return [r.value for rs in consumer.poll(timeout_ms=wait_ms).values() for r in rs]


def test_too_little_is_kept_back(consumer: Any) -> None:
    hold_answers(consumer, LONG_MS, MUCH)
    assert polled(consumer, 1_000) == []


def test_what_is_enough_is_handed_over_at_once(consumer: Any) -> None:
    hold_answers(consumer, LONG_MS, 1)
    assert polled(consumer, LONG_MS // 2) == [b"small"]
