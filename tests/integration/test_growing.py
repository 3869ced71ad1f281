"""A topic gets more partitions while its stage works, and the line moves to another cluster: each record ends once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from consumers.engine import kafka_clients
from consumers.engine.admin import apply_topics, grow_topic, spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import cluster_id_of, make_producer
from consumers.engine.stage import Stage
from consumers.engine.worker import run_stage
from ops.positions import standings
from schemas.facts import INPUT_TOPICS, STAGE_TOPICS
from storage.positions import Move, put, take_epoch
from tests.integration.program import Program
from tests.integration.sending import a_topic
from tests.integration.waiting import until

WHY = ("--operator", "op-7", "--reason", "moved", "--yes")
TOPIC = STAGE_TOPICS["supplier_reports"]


def ask(settings: Settings, sql: str) -> list[Any]:
    engine = create_engine(settings.database.connection_url)
    try:
        with engine.begin() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]
    finally:
        engine.dispose()


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Program:
    apply_topics(settings)
    return Program(settings, monkeypatch)


@pytest.fixture
def at_the_ends(settings: Settings, escrow: Program) -> str:
    """All positions at the ends of the logs; the cluster's id."""
    cluster = cluster_id_of(settings)
    stages = {topic: stage for stage, topic in STAGE_TOPICS.items()}
    engine = create_engine(settings.database.connection_url)
    with engine.begin() as connection:
        for where, span in spans(settings, INPUT_TOPICS).items():
            take_epoch(connection, stages[where[0]], *where, cluster, span.end)
    engine.dispose()
    return cluster


def test_a_running_stage_reads_partitions_that_are_added_to_its_topic(
    settings: Settings, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_clients, "METADATA_MAX_AGE_MS", 500)
    topic = a_topic(kafka, partitions=1)
    producer = make_producer(settings)

    def write(partition: int, count: int) -> None:
        for _ in range(count):
            producer.send(topic, key=b"k", value=b"{}", partition=partition)
        producer.flush()

    def read() -> list[Any]:
        return ask(
            settings,
            "SELECT partition, min(first_offset), max(next_offset), sum(dead_letter)::int"
            " FROM batches GROUP BY 1 ORDER BY 1",
        )

    write(0, 3)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(run_stage, settings, Stage("supplier_reports", topic), stop)
        try:
            until(lambda: working.done() or read() == [(0, 0, 3, 3)])
            grow_topic(settings, topic, 3)
            assert len(spans(settings, [topic])) == 3
            producer.close()
            producer = make_producer(settings)
            write(2, 4)
            write(0, 1)
            write(1, 2)
            whole = [(0, 0, 4, 4), (1, 0, 2, 2), (2, 0, 4, 4)]
            until(lambda: working.done() or read() == whole)
        finally:
            stop.set()
            producer.close()
        working.result(30)
    assert read() == whole


def test_partitions_are_added_only_to_what_was_read(
    settings: Settings, escrow: Program, at_the_ends: str
) -> None:
    """Nothing is added here: the topics are everybody's."""
    there = len(spans(settings, [TOPIC]))
    more = str(there + 1)
    escrow("topics", "grow", TOPIC, "--partitions", more, "--yes", "--dry-run")
    escrow("topics", "grow", TOPIC, "--partitions", str(there), "--yes", code=2)
    escrow("topics", "grow", "no-such-topic", "--partitions", more, "--yes", code=2)
    producer = make_producer(settings)
    producer.send(TOPIC, key=b"k", value=b"{}", partition=0)
    producer.close()
    said = escrow("topics", "grow", TOPIC, "--partitions", more, "--yes", code=1).stderr
    assert "not read to the end: partition 0" in said
    assert len(spans(settings, [TOPIC])) == there


def test_on_another_cluster_every_position_begins_where_its_log_begins(
    settings: Settings, escrow: Program, at_the_ends: str
) -> None:
    assert "belong to this cluster" in escrow("positions", "begin", *WHY).stderr
    engine = create_engine(settings.database.connection_url)
    with engine.begin() as connection:
        for row in standings(settings, list(STAGE_TOPICS)).standings:
            place = (row.stage, row.topic, row.partition)
            put(connection, Move(*place, "the-old-one", 7_000, "op", "as it was there"))
    engine.dispose()
    escrow("positions", "show", code=1)
    escrow("positions", "begin", *WHY, "--dry-run")
    assert {row.cluster_id for row in standings(settings, ["payments"]).standings} == {
        "the-old-one"
    }
    escrow("positions", "begin", *WHY)
    after = standings(settings, list(STAGE_TOPICS))
    assert all(row.next_offset == row.log_begin for row in after.standings)
    assert {row.cluster_id for row in after.standings} == {at_the_ends}
    assert {(move.reason, move.operator_id) for move in after.moves[:1]} == {("moved", "op-7")}
    escrow("positions", "show")
