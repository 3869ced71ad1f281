"""Another Kafka client, librdkafka: its facts are understood in both modes, and it understands our commands.

It chooses partitions by CRC32 where the Java client and ours use murmur2: the facts of one order then lie
in different partitions, and are decided by different workers, and must still be decided right.
"""

import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, Literal

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from sqlalchemy import Engine, create_engine, text

from consumers.engine.admin import apply_topics, spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import cluster_id_of, make_producer
from consumers.engine.relay import run_relay
from consumers.engine.worker import run_stage
from consumers.stages import STAGES
from schemas.commands import COMMAND_TOPIC, Kind, command_id
from schemas.door import Record
from schemas.facts import INPUT_TOPICS, STAGE_TOPICS
from storage.positions import take_epoch
from tests.builders import T0, a_record, sample
from tests.integration.sending import ends
from tests.integration.waiting import until

WAIT_SECONDS: Final = 60.0
WORKED: Final = ("payments", "shipments", "refund_requests")
Mode = Literal["binary", "structured"]


def ask(db: Engine, sql: str) -> list[Any]:
    with db.begin() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


@pytest.fixture
def db(settings: Settings) -> Iterator[Engine]:
    """All positions at the ends of the logs: what was there before is not this test's."""
    apply_topics(settings)
    cluster = cluster_id_of(settings)
    stages = {topic: stage for stage, topic in STAGE_TOPICS.items()}
    engine = create_engine(settings.database.connection_url)
    with engine.begin() as connection:
        for where, span in spans(settings, INPUT_TOPICS).items():
            take_epoch(connection, stages[where[0]], *where, cluster, span.end)
    yield engine
    engine.dispose()


@pytest.fixture
def working(settings: Settings, db: Engine) -> Iterator[None]:
    """Three stages, two workers of the first, and the relay."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=run_stage, args=(settings, STAGES[name], stop), daemon=True)
        for name in ("payments", *WORKED)
    ]
    threads.append(threading.Thread(target=run_relay, args=(settings, stop), daemon=True))
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)


def foreign_producer(
    kafka: str, partitioner: str = "consistent_random", **options: Any
) -> Producer:
    return Producer(
        {"bootstrap.servers": kafka, "partitioner": partitioner, "linger.ms": 5, **options}
    )


def send(producer: Producer, *records: Record) -> dict[tuple[str, str], int]:
    """Send in this order; returns the partition of each (topic, key), as the client chose it."""
    placed: dict[tuple[str, str], int] = {}
    errors: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            errors.append(error)
            return
        topic, key, partition = message.topic(), message.key(), message.partition()
        assert isinstance(key, bytes)
        placed[str(topic), key.decode()] = int(str(partition))

    for record in records:
        producer.produce(
            record.topic,
            key=record.key,
            value=record.value,
            headers=[(name, value) for name, value in record.headers],
            timestamp=record.timestamp_ms,
            on_delivery=delivered,
        )
        producer.poll(0)
    assert producer.flush(WAIT_SECONDS) == 0
    assert errors == []
    return placed


def read_all(kafka: str, since: dict[Any, int]) -> list[Message]:
    """What has come to these partitions since then, as the foreign client reads it."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"foreign-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    try:
        consumer.assign([TopicPartition(w.topic, w.partition, at) for w, at in since.items()])
        left = {}
        for where, at in since.items():
            _, end = consumer.get_watermark_offsets(TopicPartition(where.topic, where.partition))
            left[where.topic, where.partition] = end - at
        wanted = sum(left.values())
        found: list[Message] = []
        deadline = time.monotonic() + WAIT_SECONDS
        while len(found) < wanted and time.monotonic() < deadline:
            found += [m for m in consumer.consume(100, timeout=0.5) if m.error() is None]
        assert len(found) == wanted
        return found
    finally:
        consumer.close()


def fact(type_name: str, order_id: str, mode: Mode = "binary", **data: Any) -> Record:
    made = sample(type_name, order_id, **data)
    return a_record(type_name, made, mode=mode, id=f"{order_id}.{type_name}", t=T0)


def story(order_id: str, mode: Mode = "binary") -> list[Record]:
    """Paid, lost on its way, claimed and refunded by the carrier's proof; or paid and confirmed."""
    return [
        fact("payment.captured", order_id, mode, payment_id=f"p-{order_id}"),
        fact("shipment.delivered", order_id, mode),
        fact("delivery.confirmed", order_id, mode),
    ]


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_facts_of_both_modes_are_understood(
    kafka: str, settings: Settings, db: Engine, working: None, compression: str
) -> None:
    name = uuid.uuid4().hex[:8]
    producer = foreign_producer(kafka, **{"compression.type": compression})
    modes: tuple[Mode, Mode] = ("binary", "structured")
    send(producer, *(record for mode in modes for record in story(f"{name}-{mode}", mode)))
    wanted = [(f"{name}-{mode}", "RELEASED", 0, 1000) for mode in modes]
    sql = "SELECT order_id, status, held_minor, paid_out_minor FROM escrows ORDER BY 1"
    until(lambda: ask(db, sql) == wanted)
    assert ask(db, "SELECT code FROM dead_letters") == []


def test_one_identity_said_in_both_modes_by_two_clients_is_one_fact(
    kafka: str, settings: Settings, db: Engine, working: None
) -> None:
    order_id = uuid.uuid4().hex[:8]
    send(foreign_producer(kafka), fact("payment.captured", order_id, "structured"))
    ours = make_producer(settings)
    record = fact("payment.captured", order_id, "binary")
    ours.send(record.topic, record.value, record.key, list(record.headers), None, T0)
    ours.flush()
    ours.close(timeout=5)
    until(lambda: ask(db, "SELECT sum(applied), sum(duplicate) FROM batches") == [(1, 1)])


def test_headers_that_only_another_client_can_write(
    kafka: str, settings: Settings, db: Engine, working: None
) -> None:
    """Without a value, twice under one name, and some that nobody asked for."""
    order_id = uuid.uuid4().hex[:8]
    good = fact("payment.captured", order_id)
    odd = good._replace(
        headers=[
            ("traceparent", None),
            ("ce_type", b"no.such.type"),
            *good.headers,
            ("empty", b""),
            ("binary", b"\xff\xfe"),
        ]
    )
    lacking = fact("payment.captured", f"{order_id}-x")
    lacking = lacking._replace(
        headers=[(n, None if n == "ce_id" else v) for n, v in lacking.headers]
    )
    send(foreign_producer(kafka), odd, lacking)
    until(lambda: ask(db, "SELECT code FROM dead_letters") == [("bad_envelope",)])
    until(lambda: ask(db, "SELECT order_id, status FROM escrows") == [(order_id, "HELD")])


def test_partitions_chosen_by_another_rule_do_no_harm(
    kafka: str, settings: Settings, db: Engine, working: None
) -> None:
    """CRC32 for some facts of an order, murmur2 for others: its partitions differ, its end does not."""
    name = uuid.uuid4().hex[:8]
    orders = [f"{name}-{n}" for n in range(40)]
    crc32, murmur2 = foreign_producer(kafka), foreign_producer(kafka, "murmur2_random")
    first = [record for order in orders for record in story(order)[:2]]
    lost = [fact("shipment.lost", order, shipment_id="sh-2") for order in orders]
    last = [story(order)[2] for order in orders]
    by_crc32 = send(crc32, *first)
    by_murmur2 = send(murmur2, *lost, *last)
    apart = [
        order
        for order in orders
        if by_crc32["escrow.shipments.v1", order] != by_murmur2["escrow.shipments.v1", order]
    ]
    assert len(apart) > len(orders) / 2, "the two rules agree: nothing is tried here"
    sql = "SELECT status, count(*) FROM escrows GROUP BY 1"
    until(lambda: ask(db, sql) == [("RELEASED", len(orders))])
    until(
        lambda: (
            ask(db, "SELECT state, count(*) FROM shipments GROUP BY 1 ORDER BY 1")
            == [("delivered", 40), ("lost", 40)]
        )
    )
    assert ask(db, "SELECT count(*) FROM commands") == [(len(orders),)]
    assert ask(db, "SELECT count(*) FROM parked") == [(0,)]
    assert ask(db, "SELECT count(*) FROM dead_letters") == [(0,)]


def test_one_fact_by_three_partitioners_is_one_fact(
    kafka: str, settings: Settings, db: Engine, working: None
) -> None:
    """The same record in three partitions, at one time, to two workers: all but one are duplicates.

    By CRC32 (librdkafka), murmur2 (Java, kafkajs) and FNV-1a (kafka-go).
    """
    name = uuid.uuid4().hex[:8]
    records = [
        fact("payment.captured", f"{name}-{n}", payment_id=f"p-{name}-{n}") for n in range(60)
    ]
    by_crc32 = send(foreign_producer(kafka), *records)
    by_murmur2 = send(foreign_producer(kafka, "murmur2_random"), *records)
    by_fnv1a = send(foreign_producer(kafka, "fnv1a_random"), *records)
    places = [{by_crc32[key], by_murmur2[key], by_fnv1a[key]} for key in by_crc32]
    assert max(map(len, places)) == 3
    until(lambda: ask(db, "SELECT sum(applied), sum(duplicate) FROM batches") == [(60, 120)])
    assert ask(db, "SELECT status, count(*) FROM escrows GROUP BY 1") == [("HELD", 60)]


def test_our_commands_and_events_are_understood(
    kafka: str, settings: Settings, db: Engine, working: None
) -> None:
    name = uuid.uuid4().hex[:8]
    refunded, released = f"{name}-refunded", f"{name}-released"
    topics = [*COMMAND_TOPIC.values(), "escrow.order-events.v1"]
    since = ends(kafka, topics)
    send(
        foreign_producer(kafka),
        *story(released),
        fact("payment.captured", refunded, payment_id=f"p-{refunded}"),
        fact("refund.requested", refunded, reason="not_arrived"),
        fact("refund.offer_accepted", refunded),
    )
    until(lambda: ask(db, "SELECT count(*) FROM commands") == [(2,)])
    until(lambda: ask(db, "SELECT count(*) FROM outbox WHERE sent_at IS NULL") == [(0,)])
    found = read_all(kafka, since)
    commands = {m.key(): m for m in found if m.topic() in COMMAND_TOPIC.values()}
    assert commands.keys() == {refunded.encode(), released.encode()}
    wanted: list[tuple[str, Kind, str]] = [
        (refunded, "refund", "refund.issue"),
        (released, "payout", "payout.release"),
    ]
    for order_id, kind, type_name in wanted:
        message = commands[order_id.encode()]
        assert message.topic() == COMMAND_TOPIC[kind]
        headers = dict(message.headers() or [])
        assert headers["content-type"] == b"application/json"
        assert headers["ce_specversion"] == b"1.0"
        assert headers["ce_type"] == type_name.encode()
        assert headers["ce_source"]
        data = json.loads(message.value() or b"")
        assert data["command_id"] == command_id(order_id, kind, 1)
        assert (data["order_id"], data["amount_minor"], data["attempt"]) == (order_id, 1000, 1)
        sent_id = headers["ce_id"]
        assert isinstance(sent_id, bytes)
        assert sent_id.decode().startswith(data["command_id"])
    told = Counter(json.loads(m.value() or b"")["to"] for m in found if is_change(m))
    assert told == {"HELD": 2, "DISPUTED": 1, "REFUNDED": 1, "RELEASED": 1}


def is_change(message: Message) -> bool:
    return dict(message.headers() or [])["ce_type"] == b"order.changed"
