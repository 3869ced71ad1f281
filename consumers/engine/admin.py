"""What the command line and the console need of Kafka: topics, offsets, one record, a replay.

Nothing here decides; topics are only ever added to, never shrunk or deleted.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal, NamedTuple

from kafka import TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    CoordinatorNotAvailableError,
    KafkaError,
    KafkaTimeoutError,
    TopicAlreadyExistsError,
)

from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_admin, make_consumer, make_producer
from consumers.engine.records import Partition
from schemas.door import Record
from schemas.topics import TOPICS, Topic

TIMEOUT_MS: Final = 15_000
READ_MS: Final = 10_000


class KafkaUnavailable(Exception):
    """Kafka cannot be asked; the text says what was tried."""


class TopicPlan(NamedTuple):
    """One thing to do to a topic, or to know of it."""

    topic: str
    action: Literal["create", "configure", "warn"]
    detail: str


class Span(NamedTuple):
    """First offset still there, and the next one to be written."""

    begin: int
    end: int


class Group(NamedTuple):
    """A consumer group as its coordinator sees it."""

    state: str
    members: int
    offsets: dict[Partition, int]


def plan_topics(settings: Settings) -> list[TopicPlan]:
    """What `apply_topics` would do, and what it leaves to a person. Empty: all is as it should be."""
    with _admin(settings) as admin:
        there = {topic["name"]: topic for topic in admin.describe_topics()}
        plans: list[TopicPlan] = []
        known = [topic for topic in TOPICS if topic.name in there]
        configs = _configs(admin, known)
        for topic in TOPICS:
            if topic.name not in there:
                plans.append(TopicPlan(topic.name, "create", f"{topic.partitions} partitions"))
                continue
            partitions = len(there[topic.name]["partitions"])
            if partitions < topic.partitions:
                detail = f"{partitions} partitions, the catalogue says {topic.partitions}"
                plans.append(TopicPlan(topic.name, "warn", detail))
            for name, value in _differing(topic, configs[topic.name], settings):
                now = configs[topic.name].get(name)
                plans.append(TopicPlan(topic.name, "configure", f"{name}: {now} -> {value}"))
        return plans


def apply_topics(settings: Settings, *, replication_factor: int = -1) -> list[TopicPlan]:
    """Create what is missing and set what differs; returns what was done."""
    plans = plan_topics(settings)
    by_name = {topic.name: topic for topic in TOPICS}
    missing = [by_name[plan.topic] for plan in plans if plan.action == "create"]
    with _admin(settings) as admin:
        if missing:
            options = {
                topic.name: {
                    "num_partitions": topic.partitions,
                    "replication_factor": replication_factor,
                    "configs": topic.config(settings.timestamp_type),
                }
                for topic in missing
            }
            with suppress(TopicAlreadyExistsError):  # another `apply` was faster
                admin.create_topics(options, timeout_ms=TIMEOUT_MS)
            admin.wait_for_topics(list(options), timeout_ms=TIMEOUT_MS)
        changed = sorted({plan.topic for plan in plans if plan.action == "configure"})
        if changed:
            admin.alter_configs(
                [
                    ConfigResource(
                        ConfigResourceType.TOPIC,
                        name,
                        by_name[name].config(settings.timestamp_type),
                    )
                    for name in changed
                ]
            )
            _await_configs(admin, [by_name[name] for name in changed], settings)
    return plans


def spans(settings: Settings, topics: Collection[str]) -> dict[Partition, Span]:
    """Where the logs of these topics begin and end; topics that do not exist are left out."""
    with _consumer(settings) as consumer:
        where = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in consumer.partitions_for_topic(topic) or ()
        ]
        begins = consumer.beginning_offsets(where, timeout_ms=TIMEOUT_MS)
        ends = consumer.end_offsets(where, timeout_ms=TIMEOUT_MS)
        return {(w.topic, w.partition): Span(begins[w], ends[w]) for w in where}


def read_record(settings: Settings, partition: Partition, offset: int) -> Record | None:
    """The record at this place, or None if it is gone, or was never committed."""
    record = read_records(settings, {partition: offset}).get(partition)
    return record if record is not None and record.offset == offset else None


def read_records(settings: Settings, places: dict[Partition, int]) -> dict[Partition, Record]:
    """The first record at or after each of these places, where there is one; no group is joined."""
    found: dict[TopicPartition, Record] = {}
    with _consumer(settings) as consumer:
        where = {TopicPartition(*partition): offset for partition, offset in places.items()}
        begins = consumer.beginning_offsets(list(where), timeout_ms=TIMEOUT_MS)
        ends = consumer.end_offsets(list(where), timeout_ms=TIMEOUT_MS)
        starts = {w: max(o, begins[w]) for w, o in where.items() if max(o, begins[w]) < ends[w]}
        consumer.assign(list(starts))
        for place, offset in starts.items():
            consumer.seek(place, offset)
        waiting = set(starts)
        deadline = time.monotonic() + READ_MS / 1000
        while waiting and time.monotonic() < deadline:
            for place, records in consumer.poll(timeout_ms=100, max_records=500).items():
                found.setdefault(place, record_of(records[0]))
            # at the end without a record: nothing but transaction markers and what was aborted
            done = {p for p in waiting if p in found or consumer.position(p) >= ends[p]}
            consumer.pause(*done)
            waiting -= done
    return {(place.topic, place.partition): record for place, record in found.items()}


def republish(settings: Settings, record: Record) -> tuple[int, int]:
    """Write the record once more, key, value and headers as they are; returns its new place.

    Two things the client cannot write, and no fact needs them: a header without a value is left
    out, and a header name that is not UTF-8 stays in its readable form. The time is the old one's
    (the broker's own where it sets it), or now if the record had none. Raises ValueError for a
    record with neither key nor value, KafkaUnavailable where it was not written.
    """
    if record.key is None and record.value is None:
        raise ValueError("a record with neither key nor value can never be a fact")
    with _asked(settings):
        producer = make_producer(settings)
        try:
            sent = producer.send(
                record.topic,
                value=record.value,
                key=record.key,
                headers=[(name, value) for name, value in record.headers if value is not None],
                timestamp_ms=record.timestamp_ms if record.timestamp_ms >= 0 else None,
            ).get(timeout=TIMEOUT_MS / 1000)
        finally:
            producer.close(timeout=5)
    return int(sent.partition), int(sent.offset)


def cluster_id(settings: Settings) -> str:
    """The id of the cluster, which positions and dead letters are bound to."""
    with _admin(settings) as admin:
        return str(admin.describe_cluster()["cluster_id"])


def groups(settings: Settings, names: Collection[str]) -> dict[str, Group]:
    """State, members and committed offsets of these consumer groups."""
    with _admin(settings) as admin:
        described = _described(admin, list(names))
        offsets = admin.list_group_offsets(list(names))
        return {
            name: Group(
                str(described[name].get("group_state", "")),
                len(described[name].get("members", ())),
                {
                    (where.topic, where.partition): committed.offset
                    for where, committed in offsets.get(name, {}).items()
                },
            )
            for name in names
            if name in described
        }


def _described(admin: Any, names: list[str]) -> dict[str, Any]:
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


def _configs(admin: Any, topics: Collection[Topic]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    described = admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics],
        config_filter="all",
    )
    return {
        name: {setting: str(given["value"]) for setting, given in settings.items()}
        for name, settings in described["topic"].items()
    }


def _differing(
    topic: Topic, there: dict[str, str], settings: Settings
) -> Iterator[tuple[str, str]]:
    for name, value in topic.config(settings.timestamp_type).items():
        if there.get(name) != value:
            yield name, value


def _await_configs(admin: Any, topics: Collection[Topic], settings: Settings) -> None:
    """A broker follows the controller a moment later: return when it says what was set."""
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while time.monotonic() < deadline:
        there = _configs(admin, topics)
        if not any(list(_differing(topic, there[topic.name], settings)) for topic in topics):
            return
        time.sleep(0.05)
    raise KafkaTimeoutError("the settings were taken, but are not in force yet")


@contextmanager
def _admin(settings: Settings) -> Iterator[Any]:
    with _asked(settings):
        admin = make_admin(settings)
        try:
            yield admin
        finally:
            admin.close()


@contextmanager
def _consumer(settings: Settings) -> Iterator[Any]:
    with _asked(settings):
        consumer = make_consumer(settings, None)
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False, timeout_ms=2_000)


@contextmanager
def _asked(settings: Settings) -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        servers = settings.kafka.bootstrap_servers
        raise KafkaUnavailable(f"{servers}: {type(error).__name__}: {error}"[:300]) from error
