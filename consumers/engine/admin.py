"""What the command line and the console need of Kafka: topics, offsets, one record, a replay.

Nothing here decides; topics are only ever added to, never shrunk or deleted.
"""

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    KafkaTimeoutError,
    TopicAlreadyExistsError,
)

from consumers.engine.asking import (
    TIMEOUT_MS,
    KafkaUnavailable,
    Span,
    asked,
    described_by,
    read_by,
    spans_by,
)
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_admin, make_consumer, make_producer
from consumers.engine.records import Partition
from schemas.cut import Cut
from schemas.door import Record
from schemas.topics import TOPICS, Topic

__all__ = ["KafkaUnavailable", "Span"]  # and all that is defined here


class TopicPlan(NamedTuple):
    """One thing to do to a topic, or to know of it."""

    topic: str
    action: Literal["create", "configure", "warn"]
    detail: str


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


def grow_topic(settings: Settings, topic: str, partitions: int) -> None:
    """Let a topic have so many partitions, and return when each of them can be read."""
    with _admin(settings) as admin:
        admin.create_partitions({topic: partitions}, timeout_ms=TIMEOUT_MS)
    deadline = time.monotonic() + TIMEOUT_MS / 1000
    while len(spans(settings, [topic])) < partitions:
        if time.monotonic() > deadline:
            raise KafkaUnavailable(f"the new partitions of {topic} have no leader yet")
        time.sleep(0.1)


def spans(settings: Settings, topics: Collection[str]) -> dict[Partition, Span]:
    """Where the logs of these topics begin and end; topics that do not exist are left out."""
    with plain_consumer(settings) as consumer:
        return spans_by(consumer, topics)


def read_record(settings: Settings, partition: Partition, offset: int) -> Record | None:
    """The record at this place, or None if it is gone, or was never committed."""
    record = read_records(settings, {partition: offset}).get(partition)
    return record if record is not None and record.offset == offset else None


def read_records(settings: Settings, places: dict[Partition, int]) -> dict[Partition, Record]:
    """The first record at or after each of these places, where there is one; no group is joined."""
    with plain_consumer(settings) as consumer:
        return read_by(consumer, places, spans_by(consumer, {topic for topic, _ in places}))


def republish(settings: Settings, record: Record) -> tuple[int, int]:
    """Write the record once more, key, value and headers as they are; returns its new place.

    Two things the client cannot write, and no fact needs them: a header without a value is left
    out, and a header name that is not UTF-8 stays in its readable form. The time is the old one's
    (the broker's own where it sets it), or now if the record had none. Raises ValueError for a
    record with neither key nor value, KafkaUnavailable where it was not written.
    """
    if record.key is None and record.value is None:
        raise ValueError("a record with neither key nor value can never be a fact")
    if any(isinstance(part, Cut) for part in (record.key, *dict(record.headers).values())):
        raise ValueError("its key or a header is too long for any fact, and was cut in reading")
    with asked(settings):
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
        described = described_by(admin, list(names))
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
    with asked(settings):
        admin = make_admin(settings)
        try:
            yield admin
        finally:
            admin.close()


@contextmanager
def plain_consumer(settings: Settings) -> Iterator[Any]:
    """A client that joins no group. What Kafka cannot answer comes out as KafkaUnavailable."""
    with asked(settings):
        consumer = make_consumer(settings, None)
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False, timeout_ms=2_000)
