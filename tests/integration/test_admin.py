"""Topics, offsets, one record, a replay and groups, asked of a real Kafka."""

import gc
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka import Producer as ForeignProducer
from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import OffsetAndMetadata

from consumers.engine import admin, kafka_clients
from consumers.engine.admin import KafkaUnavailable, TopicPlan
from consumers.engine.config import Settings, load_settings
from consumers.engine.kafka_clients import (
    cluster_id_of,
    make_admin,
    make_consumer,
    make_producer,
)
from ops.local.ports import free_port
from schemas.door import Record
from schemas.topics import TOPICS, Topic

YEAR_MS = 365 * 86_400_000


@pytest.fixture
def settings(kafka: str) -> Settings:
    return load_settings(kafka={"bootstrap_servers": kafka})


@pytest.fixture
def client(settings: Settings) -> Iterator[Any]:
    client = make_admin(settings)
    yield client
    client.close()


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> tuple[Topic, ...]:
    """The catalogue under names of this test's own."""
    suffix = uuid.uuid4().hex[:8]
    topics = tuple(topic._replace(name=f"{topic.name}.{suffix}") for topic in TOPICS)
    monkeypatch.setattr(admin, "TOPICS", topics)
    return topics


@pytest.fixture
def topic(client: Any) -> str:
    """A topic with one partition."""
    return make_topic(client, 1)


def make_topic(client: Any, partitions: int) -> str:
    name = f"admin-{uuid.uuid4().hex[:12]}"
    client.create_topics(
        {name: {"num_partitions": partitions, "replication_factor": 1}}, wait_for_metadata=True
    )
    return name


def eventually(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """A broker follows the controller a moment later."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def write(settings: Settings, topic: str, **fields: Any) -> int:
    producer = make_producer(settings)
    try:
        return int(producer.send(topic, **fields).get(timeout=10).offset)
    finally:
        producer.close(timeout=5)


def abort_a_transaction(kafka: str, topic: str) -> None:
    producer = ForeignProducer(
        {"bootstrap.servers": kafka, "transactional.id": uuid.uuid4().hex, "linger.ms": 0}
    )
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce(topic, b"never committed")
    assert producer.flush(60) == 0  # else only the marker would be written
    producer.abort_transaction(60)


def test_a_bare_cluster_gets_every_topic_as_the_catalogue_says(
    settings: Settings, client: Any, catalogue: tuple[Topic, ...]
) -> None:
    planned = admin.plan_topics(settings)
    assert [(p.topic, p.action) for p in planned] == [(t.name, "create") for t in catalogue]
    assert admin.apply_topics(settings, replication_factor=1) == planned
    assert admin.plan_topics(settings) == []
    for topic in client.describe_topics([topic.name for topic in catalogue]):
        wanted = next(t for t in catalogue if t.name == topic["name"])
        assert len(topic["partitions"]) == wanted.partitions


def test_applying_twice_does_nothing(settings: Settings, catalogue: tuple[Topic, ...]) -> None:
    admin.apply_topics(settings)
    assert admin.apply_topics(settings) == []


def test_two_may_apply_at_once(settings: Settings, catalogue: tuple[Topic, ...]) -> None:
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(admin.apply_topics, settings) for _ in range(3)]:
            done.result()
    assert admin.plan_topics(settings) == []


def test_a_setting_that_differs_is_shown_and_set_and_others_stay(
    settings: Settings, client: Any, catalogue: tuple[Topic, ...]
) -> None:
    admin.apply_topics(settings)
    name = catalogue[0].name
    changed = {"compression.type": "producer", "segment.ms": "86400000"}
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, changed)])
    planned = [TopicPlan(name, "configure", "compression.type: producer -> lz4")]
    assert eventually(lambda: admin.plan_topics(settings) == planned)
    assert admin.apply_topics(settings) == planned
    assert admin.plan_topics(settings) == []
    there = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    assert there["topic"][name]["segment.ms"]["value"] == "86400000"


def test_partitions_are_never_added_only_spoken_of(
    settings: Settings, client: Any, catalogue: tuple[Topic, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    admin.apply_topics(settings)
    more = (catalogue[0]._replace(partitions=8), *catalogue[1:])
    monkeypatch.setattr(admin, "TOPICS", more)
    said = [TopicPlan(catalogue[0].name, "warn", "4 partitions, the catalogue says 8")]
    assert admin.apply_topics(settings) == said
    assert admin.plan_topics(settings) == said
    assert len(client.describe_topics([catalogue[0].name])[0]["partitions"]) == 4


def test_the_brokers_clock_is_set_where_the_settings_ask_for_it(
    settings: Settings, catalogue: tuple[Topic, ...]
) -> None:
    admin.apply_topics(settings)
    by_broker = settings.model_copy(update={"timestamp_type": "LogAppendTime"})
    planned = {plan.detail.partition(":")[0] for plan in admin.plan_topics(by_broker)}
    assert planned == {"message.timestamp.type", "retention.ms"}
    admin.apply_topics(by_broker)
    began = int(time.time() * 1000)
    name = catalogue[0].name
    offset = write(settings, name, value=b"v", partition=0, timestamp_ms=1_000)
    record = admin.read_record(settings, (name, 0), offset)
    assert record is not None
    assert began - 1_000 <= record.timestamp_ms <= began + 60_000


@pytest.mark.parametrize("shift", [-40 * YEAR_MS, 40 * YEAR_MS])
def test_simulated_time_may_be_any(
    settings: Settings, catalogue: tuple[Topic, ...], shift: int
) -> None:
    admin.apply_topics(settings)
    t = int(time.time() * 1000) + shift
    for topic in catalogue:
        offset = write(settings, topic.name, key=b"k", value=b"v", partition=0, timestamp_ms=t)
        record = admin.read_record(settings, (topic.name, 0), offset)
        assert record is not None
        assert record.timestamp_ms == t


def test_spans_say_where_logs_begin_and_end(settings: Settings, client: Any) -> None:
    name = make_topic(client, 2)
    for n in range(3):
        write(settings, name, value=b"%d" % n, partition=1)
    client.delete_records({TopicPartition(name, 1): 2})
    assert admin.spans(settings, [name, "no-such-topic"]) == {
        (name, 0): admin.Span(0, 0),
        (name, 1): admin.Span(2, 3),
    }


def test_one_record_is_read_as_it_is(settings: Settings, topic: str) -> None:
    write(settings, topic, value=b"first")
    headers = [("a", b"1"), ("a", b"\xff")]
    write(settings, topic, key=b"k", value=b"\x00\xff", headers=headers, timestamp_ms=77)
    assert admin.read_record(settings, (topic, 0), 1) == Record(
        topic, 0, 1, 77, b"k", b"\x00\xff", headers
    )
    write(settings, topic, key=b"k", value=None)
    tombstone = admin.read_record(settings, (topic, 0), 2)
    assert tombstone is not None
    assert tombstone.value is None


def test_a_record_that_is_gone_is_none_and_never_another_one(
    settings: Settings, client: Any, kafka: str, topic: str
) -> None:
    write(settings, topic, value=b"0")
    abort_a_transaction(kafka, topic)  # offsets 1 and 2, the marker
    write(settings, topic, value=b"3")
    abort_a_transaction(kafka, topic)  # offsets 4 and 5, and nothing after them
    read = [admin.read_record(settings, (topic, 0), offset) for offset in range(7)]
    assert [record and record.value for record in read] == [b"0", None, None, b"3", *[None] * 3]
    client.delete_records({TopicPartition(topic, 0): 1})
    assert admin.read_record(settings, (topic, 0), 0) is None


def test_the_next_record_of_many_partitions_is_read_in_one_go(
    settings: Settings, client: Any, kafka: str
) -> None:
    name = make_topic(client, 40)
    producer = make_producer(settings)
    for n in range(39):  # the last partition stays empty
        for value in (b"old", b"%d" % n, b"later"):
            producer.send(name, value=value, partition=n)
    producer.close(timeout=10)
    places = {(name, n): 1 for n in range(40)}
    found = admin.read_records(settings, places)
    assert {place: record.value for place, record in found.items()} == {
        (name, n): b"%d" % n for n in range(39)
    }


def test_a_replay_has_the_same_key_value_headers_and_time(settings: Settings, topic: str) -> None:
    headers = [("ce_id", b"1"), ("ce_id", b"\xff\x00"), ("", b"")]
    write(settings, topic, key=b"\x01", value=b"\xfe", headers=headers, timestamp_ms=5)
    original = admin.read_record(settings, (topic, 0), 0)
    assert original is not None
    assert admin.republish(settings, original) == (0, 1)
    assert admin.read_record(settings, (topic, 0), 1) == original._replace(offset=1)


def test_a_replay_goes_to_the_partition_of_its_key(settings: Settings, client: Any) -> None:
    name = make_topic(client, 8)
    for n in range(8):
        producer = ForeignProducer(
            {"bootstrap.servers": settings.kafka.bootstrap_servers, "partitioner": "murmur2_random"}
        )
        producer.produce(name, b"v", key=b"order-%d" % n)
        producer.flush(10)
    for place, span in admin.spans(settings, [name]).items():
        for offset in range(span.end):
            record = admin.read_record(settings, place, offset)
            assert record is not None
            assert admin.republish(settings, record)[0] == place[1]


def test_a_replay_of_a_record_without_time_happens_now(settings: Settings, topic: str) -> None:
    began = int(time.time() * 1000)
    admin.republish(settings, Record(topic, 0, 0, -1, b"k", b"v", [("n", None), ("h", b"x")]))
    written = admin.read_record(settings, (topic, 0), 0)
    assert written is not None
    assert began - 1_000 <= written.timestamp_ms <= began + 60_000
    assert list(written.headers) == [("h", b"x")]


def test_a_record_of_nothing_is_not_replayed(settings: Settings, topic: str) -> None:
    with pytest.raises(ValueError, match="neither key nor value"):
        admin.republish(settings, Record(topic, 0, 0, 1, None, None, []))


def test_groups_are_told_with_members_and_committed_offsets(settings: Settings, topic: str) -> None:
    write(settings, topic, value=b"v")
    name = f"group-{uuid.uuid4().hex[:8]}"
    assert admin.groups(settings, [name]).get(name, admin.Group("Dead", 0, {})).members == 0
    consumer = make_consumer(settings, name)
    try:
        assert consumer.partitions_for_topic(topic) == {0}
        consumer.subscribe([topic])
        deadline = time.monotonic() + 30
        while not consumer.assignment() and time.monotonic() < deadline:
            try_poll(consumer)
        consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(1, "", -1)})
        assert admin.groups(settings, [name]) == {name: admin.Group("Stable", 1, {(topic, 0): 1})}
    finally:
        consumer.close(autocommit=False)
    assert admin.groups(settings, [name]) == {name: admin.Group("Empty", 0, {(topic, 0): 1})}


def try_poll(consumer: Any) -> None:
    """One round; positions are given by the database later, so that none is known here."""
    from kafka.errors import NoOffsetForPartitionError

    try:
        consumer.poll(timeout_ms=100)
    except NoOffsetForPartitionError:
        return


def test_the_cluster_has_one_id(settings: Settings) -> None:
    assert cluster_id_of(settings) == cluster_id_of(settings) != ""


def test_where_no_kafka_is_it_says_so_in_time_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_clients, "BOOTSTRAP_MS", 1_500)
    away = load_settings(kafka={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    threads = set(threading.enumerate())
    began = time.monotonic()
    with pytest.raises(KafkaUnavailable, match=r"^127\.0\.0\.1:"):
        admin.plan_topics(away)
    with pytest.raises(KafkaUnavailable, match=r"^127\.0\.0\.1:"):
        admin.spans(away, ["t"])
    with pytest.raises(KafkaUnavailable, match=r"^127\.0\.0\.1:"):
        admin.republish(away, Record("t", 0, 0, 0, b"k", b"v", []))
    assert time.monotonic() - began < 15
    assert set(threading.enumerate()) <= threads
    gc.collect()  # an open socket would fail this test
