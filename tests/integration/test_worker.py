"""A stage on a real Kafka: workers come and go, connections break, and each record ends once.

Topics outlive the tests, so every test begins at their ends: positions are put there first.
"""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import OffsetOutOfRangeError
from sqlalchemy import Engine, create_engine, text

from consumers.engine.admin import apply_topics, spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import (
    cluster_id_of,
    make_admin,
    make_consumer,
    make_producer,
)
from consumers.engine.processing import Halt
from consumers.engine.worker import run_stage
from consumers.stages import STAGES
from ops.local.traffic import plain, publish
from schemas.facts import INPUT_TOPICS, PAYMENTS, STAGE_TOPICS
from storage.positions import take_epoch

STAGE = STAGES["payments"]
WAIT_SECONDS = 60.0


class Workers:
    """Workers of a stage, each in a thread of its own with a stop of its own."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: list[tuple[threading.Thread, threading.Event]] = []
        self.errors: list[Exception] = []

    def start(self) -> None:
        stop = threading.Event()

        def work() -> None:
            try:
                run_stage(self._settings, STAGE, stop)
            except Exception as error:  # noqa: BLE001  shown at the end of the test
                self.errors.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._running.append((thread, stop))

    def stop(self) -> None:
        """Stop the one that has run longest."""
        thread, stop = self._running.pop(0)
        stop.set()
        thread.join(30)
        assert not thread.is_alive(), "a worker does not stop"

    def stop_all(self) -> None:
        while self._running:
            self.stop()


@pytest.fixture
def db(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def begun(settings: Settings, db: Engine) -> dict[tuple[str, int], int]:
    """All positions at the ends of the logs: what was there before is not this test's."""
    apply_topics(settings)
    cluster = cluster_id_of(settings)
    stages = {topic: stage for stage, topic in STAGE_TOPICS.items()}
    ends = {where: span.end for where, span in spans(settings, INPUT_TOPICS).items()}
    with db.begin() as connection:
        for (topic, partition), end in ends.items():
            take_epoch(connection, stages[topic], topic, partition, cluster, end)
    return ends


@pytest.fixture
def workers(settings: Settings, begun: dict[tuple[str, int], int]) -> Iterator[Workers]:
    made = Workers(settings)
    yield made
    made.stop_all()
    assert made.errors == []


def ask(db: Engine, sql: str) -> list[Any]:
    with db.begin() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def decided(db: Engine) -> int:
    total = "applied + refused + parked + duplicate + dead_letter"
    return int(ask(db, f"SELECT coalesce(sum({total}), 0) FROM batches")[0][0])


def assert_each_record_once(db: Engine, begun: dict[tuple[str, int], int]) -> None:
    """Per partition the batches follow each other without a gap or an overlap, epochs growing."""
    rows = ask(
        db,
        "SELECT topic, partition, first_offset, next_offset, epoch FROM batches ORDER BY 1, 2, 3",
    )
    at: dict[tuple[str, int], tuple[int, int]] = {}
    for topic, partition, first, after, epoch in rows:
        expected, last_epoch = at.get((topic, partition), (begun[topic, partition], 0))
        assert first == expected, f"{topic}[{partition}]: {expected} to {first} is missing or twice"
        assert epoch >= last_epoch
        at[topic, partition] = (after, epoch)


def captures(name: str, count: int) -> list[Any]:
    return [record for record in plain(count, prefix=name, window=1) if record.topic == PAYMENTS]


def test_three_workers_share_and_take_over(
    settings: Settings, db: Engine, begun: dict[tuple[str, int], int], workers: Workers
) -> None:
    count = 6_000
    workers.start()
    workers.start()
    sender = threading.Thread(target=publish, args=(captures("share", count), settings))
    sender.start()
    until(lambda: decided(db) > 0)
    workers.start()  # a rebalance while records flow
    until(lambda: decided(db) >= count // 3)
    workers.stop()  # and another one
    workers.start()
    sender.join()
    until(lambda: decided(db) == count)
    assert ask(db, "SELECT count(*) FROM escrows WHERE status = 'HELD'") == [(count,)]
    assert_each_record_once(db, begun)


def test_connections_that_break_lose_and_double_nothing(
    settings: Settings, db: Engine, begun: dict[tuple[str, int], int], workers: Workers
) -> None:
    count = 4_000
    workers.start()
    until(lambda: bool(ask(db, "SELECT 1 FROM consumer_positions WHERE epoch > 1")))
    publish(captures("break", count), settings)
    for _ in range(8):
        ask(
            db,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'escrow-payments'",
        )
        time.sleep(0.15)
    until(lambda: decided(db) >= count)
    assert decided(db) == count
    assert_each_record_once(db, begun)


def test_transactions_of_others(
    settings: Settings, db: Engine, begun: dict[tuple[str, int], int], workers: Workers
) -> None:
    """What was aborted is not read, and markers leave no position behind."""
    workers.start()
    producer = make_producer(settings, transactional_id="checkout-1")
    producer.init_transactions()
    for name, commit in (("kept", True), ("aborted", False), ("kept-too", True)):
        producer.begin_transaction()
        for record in captures(name, 20):
            producer.send(record.topic, record.value, record.key, list(record.headers), None, 1_000)
        producer.flush()
        if commit:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
    producer.close()
    until(lambda: decided(db) >= 40)
    ends = spans(settings, [PAYMENTS])

    def all_passed() -> bool:
        rows = ask(
            db,
            "SELECT topic, partition, next_offset FROM consumer_positions WHERE stage = 'payments'",
        )
        return all(ends[topic, partition].end == after for topic, partition, after in rows)

    until(all_passed)
    assert decided(db) == 40
    assert ask(db, "SELECT count(*) FROM escrows WHERE order_id LIKE 'aborted%'") == [(0,)]


def test_a_poison_record_takes_no_neighbour_along(
    settings: Settings, db: Engine, begun: dict[tuple[str, int], int], workers: Workers
) -> None:
    good = captures("near", 30)
    poison = [
        good[0]._replace(value=b"\xff\x00{", key=b"k1"),
        good[0]._replace(value=None, key=b"k2"),
        good[0]._replace(headers=(), value=b"[" * 60_000, key=b"near-1"),
        good[0]._replace(value=b'{"order_id":"near-2","order_id":"near-2"}', key=b"near-2"),
    ]
    publish([*good[:15], *poison, *good[15:]], settings)
    workers.start()
    until(lambda: decided(db) == 34)
    assert ask(db, "SELECT count(*) FROM escrows WHERE status = 'HELD'") == [(30,)]
    codes = ask(db, "SELECT code, count(*) FROM dead_letters GROUP BY 1 ORDER BY 1")
    assert codes == [("duplicate_key", 1), ("invalid_json", 3)]


def test_the_same_log_is_recognised_after_a_restart(
    settings: Settings, db: Engine, begun: dict[tuple[str, int], int], workers: Workers
) -> None:
    publish(captures("before", 50), settings)
    workers.start()
    until(lambda: decided(db) == 50)
    workers.stop()
    publish(captures("after", 50), settings)
    workers.start()
    until(lambda: decided(db) == 100)
    assert_each_record_once(db, begun)


def halted(settings: Settings) -> str:
    """The message with which the stage refuses to go on."""
    stop = threading.Event()
    threading.Timer(WAIT_SECONDS, stop.set).start()
    with pytest.raises(Halt) as caught:
        run_stage(settings, STAGE, stop)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("next_offset = next_offset + 1000", "the log is shorter"),
        ("cluster_id = 'elsewhere'", "another cluster"),
        ("last_digest = sha256('x')", "the log changed"),
        ("last_offset = last_offset - 1", "the log changed"),
    ],
)
def test_a_log_that_is_not_the_one_that_was_read_halts_the_stage(
    settings: Settings, db: Engine, workers: Workers, change: str, said: str
) -> None:
    publish(captures(f"halt-{hash(change)}", 40), settings)
    workers.start()
    until(lambda: decided(db) == 40)
    workers.stop()
    with db.begin() as connection:
        connection.execute(
            text(
                f"UPDATE consumer_positions SET {change}"
                " WHERE stage = 'payments' AND last_offset IS NOT NULL"
            )
        )
    before = decided(db)
    assert said in halted(settings)
    assert decided(db) == before


def test_retention_that_passed_us_halts_the_stage(
    settings: Settings, db: Engine, begun: dict[tuple[str, int], int]
) -> None:
    publish(captures("gone", 40), settings)
    admin: KafkaAdminClient = make_admin(settings)
    ends = {TopicPartition(*where): span.end for where, span in spans(settings, [PAYMENTS]).items()}
    admin.delete_records(ends)
    admin.close()
    assert "retention passed us" in halted(settings)
    assert decided(db) == 0


def test_a_reader_that_retention_passes_is_not_moved_on_by_its_client(
    settings: Settings, begun: dict[tuple[str, int], int]
) -> None:
    """Where the client chose a position by itself, nobody would know of the records between."""
    publish(captures("passed", 40), settings)
    ends = {where: span.end for where, span in spans(settings, [PAYMENTS]).items()}
    place = next(where for where, end in ends.items() if end > begun[where])
    where = TopicPartition(*place)
    consumer = make_consumer(settings, None)
    consumer.assign([where])
    consumer.seek(where, begun[place])
    admin: KafkaAdminClient = make_admin(settings)
    admin.delete_records({where: ends[place]})
    admin.close()
    try:
        with pytest.raises(OffsetOutOfRangeError):
            any(consumer.poll(timeout_ms=500) for _ in range(20))
    finally:
        consumer.close(autocommit=False)
