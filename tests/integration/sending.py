"""What tests of relay and ticker share: decided facts, topics of their own, and what came out."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from sqlalchemy import Engine, text

from consumers.engine.batch import Ending, Job, run_batch
from consumers.engine.records import Chunk
from schemas.door import Record
from schemas.facts import STAGE_TOPICS
from storage.positions import take_epoch

CLUSTER: Final = "test-cluster"
_STAGE: Final = {topic: stage for stage, topic in STAGE_TOPICS.items()}


class Stages:
    """Decides records at once, each in a batch of its own, as the stages would."""

    def __init__(self, engine: Engine, *, instructions: bool = False) -> None:
        self.engine = engine
        self._instructions = instructions
        self._offsets: defaultdict[str, int] = defaultdict(int)

    def decide(self, *records: Record) -> list[Ending]:
        """The outcome and code of each record, in the order given."""
        return [self._decide(record) for record in records]

    def _decide(self, record: Record) -> Ending:
        stage, offset = _STAGE[record.topic], self._offsets[record.topic]
        self._offsets[record.topic] += 1
        placed = record._replace(partition=0, offset=offset)
        with self.engine.connect() as connection:
            with connection.begin():
                position = take_epoch(connection, stage, record.topic, 0, CLUSTER)
            where = (record.topic, 0)
            chunk = Chunk([placed], {where: offset + 1})
            endings: Counter[Ending] = run_batch(
                connection,
                Job(stage, CLUSTER, instructions=self._instructions),
                {where: position},
                chunk,
            )
        (ending,) = endings
        return ending


def rows(engine: Engine, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        return [tuple(row) for row in connection.execute(text(sql), parameters)]


def run(engine: Engine, sql: str, **parameters: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text(sql), parameters)


@contextmanager
def kafka_admin(kafka: str) -> Iterator[Any]:
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    yield admin
    admin.close()


def a_topic(kafka: str, partitions: int = 1, **config: str) -> str:
    """A topic of this test's own; records may be of any time."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    configs = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**63 - 1)}
    with kafka_admin(kafka) as admin:
        admin.create_topics(
            [
                NewTopic(
                    name,
                    num_partitions=partitions,
                    replication_factor=1,
                    topic_configs=configs | config,
                )
            ]
        )
    return name


def ends(kafka: str, topics: Sequence[str]) -> dict[TopicPartition, int]:
    """Where each partition of these topics ends now."""
    with _consumer(kafka) as consumer:
        return _ends(consumer, topics)


def sent_to(
    kafka: str, topics: Iterable[str], since: dict[TopicPartition, int] | None = None
) -> list[Record]:
    """All records of these topics, of each partition in order, from `since` on."""
    with _consumer(kafka) as consumer:
        last = _ends(consumer, list(topics))
        consumer.assign(list(last))
        for where in last:
            consumer.seek(where, (since or {}).get(where, 0))
        found: list[Record] = []
        while any(consumer.position(where) < end for where, end in last.items()):
            for polled in consumer.poll(timeout_ms=500).values():
                found.extend(
                    Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
                    for r in polled
                )
        return found


def header(record: Record, name: str) -> str:
    """The text of one header."""
    value = dict(record.headers)[name]
    assert value is not None
    return value.decode()


def ids(records: Iterable[Record]) -> list[str]:
    return [header(record, "ce_id") for record in records]


@contextmanager
def _consumer(kafka: str) -> Iterator[Any]:
    consumer = KafkaConsumer(bootstrap_servers=kafka, auto_offset_reset="none", group_id=None)
    yield consumer
    consumer.close()


def _ends(consumer: Any, topics: Sequence[str]) -> dict[TopicPartition, int]:
    partitions = [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in sorted(consumer.partitions_for_topic(topic))
    ]
    found: dict[TopicPartition, int] = consumer.end_offsets(partitions)
    return found
