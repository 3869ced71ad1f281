"""RULES 5: the same records sent through Kafka, one after another, give the dry run's orders.

The records are a hostile file of the independent model's generator; commands and their ids included.
"""

import time

import pytest
from sqlalchemy import Engine, create_engine, text

from consumers.engine.kafka_clients import make_producer
from ops.local.pipeline import Pipeline
from ops.record_lines import read_records
from ops.simulate import simulate
from schemas.door import Record
from schemas.facts import INPUT_TOPICS
from tests.conftest import SEED
from tests.integration.test_batch_equals_dry_run import orders_of
from tests.model.generator import generate

WAIT_SECONDS = 30.0


def sendable(record: Record) -> bool:
    """What a client can put on a topic that a stage reads: no time before 1970, not nothing."""
    has_content = record.key is not None or record.value is not None
    return record.topic in INPUT_TOPICS and record.timestamp_ms >= 0 and has_content


def decided(db: Engine) -> int:
    total = (
        "SELECT coalesce(sum(applied + refused + parked + duplicate + dead_letter), 0) FROM batches"
    )
    with db.connect() as connection:
        return int(connection.execute(text(total)).scalar_one())


def until_decided(db: Engine, count: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while decided(db) < count:
        assert time.monotonic() < deadline, f"record {count} is not decided"
        time.sleep(0.002)


@pytest.mark.timeout(240)
def test_one_after_another_through_kafka() -> None:
    seed = SEED % 1_000_000
    content, _ = generate(seed, orders=6, facts_per_order=30, hostility=0.35)
    lines = [line for line in content.split(b"\n") if line.strip(b" \t\r")]
    pairs = [(line, r) for line, r in zip(lines, read_records(lines), strict=True) if sendable(r)]
    with Pipeline(gateway=False) as pipeline:
        pipeline.stop_program("ticker")  # with times that go back its deadlines could change orders
        db = create_engine(pipeline.settings.database.connection_url)
        producer = make_producer(pipeline.settings, linger_ms=0)
        for count, (_, record) in enumerate(pairs, start=1):
            producer.send(
                record.topic,
                value=record.value,
                key=record.key,
                headers=list(record.headers),
                timestamp_ms=record.timestamp_ms,
            ).get(timeout=WAIT_SECONDS)
            until_decided(db, count)
        producer.close()
        _, orders = simulate([line for line, _ in pairs])
        assert orders_of(db) == orders, f"seed {seed}"
        assert len(orders) > 3
        db.dispose()
