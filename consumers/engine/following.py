"""One topic followed from positions that the caller keeps: no group is joined, nothing is committed to Kafka.

Where the log no longer holds a position, reading goes on at its beginning, loudly: a reader of what we
tell others may hear a thing twice, and is told when it has missed some.
"""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import structlog
from kafka import TopicPartition

from consumers.engine.asking import asked, record_of
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_consumer
from schemas.door import Record

NEW_PARTITIONS_SECONDS: Final = 10.0
log = structlog.get_logger()


class Following:
    """A reader of one topic. Raises KafkaUnavailable where Kafka does not answer."""

    def __init__(self, settings: Settings, topic: str, positions: Mapping[int, int]) -> None:
        """`positions`: partition → next offset; partitions that are not named begin at 0."""
        self._settings, self._topic = settings, topic
        self._positions = dict(positions)
        self._looked_at = float("-inf")
        with asked(settings):
            self._consumer: Any = make_consumer(settings, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close(autocommit=False, timeout_ms=2_000)

    def poll(self, records_max: int, wait_ms: int = 200) -> list[Record]:
        """The next records, in order within a partition."""
        with asked(self._settings):
            self._assign()
            if not self._consumer.assignment():
                time.sleep(wait_ms / 1000)
                return []
            polled = self._consumer.poll(timeout_ms=wait_ms, max_records=records_max)
            return [record_of(record) for records in polled.values() for record in records]

    @property
    def positions(self) -> dict[int, int]:
        """Where it reads on, past what the last poll gave, a transaction's markers too."""
        with asked(self._settings):
            return {
                where.partition: self._consumer.position(where)
                for where in self._consumer.assignment()
            }

    @property
    def behind(self) -> int:
        """How many offsets lie between where it reads on and the ends of the topic."""
        with asked(self._settings):
            self._assign()
            there = list(self._consumer.assignment())
            ends = self._consumer.end_offsets(there) if there else {}
            return sum(end - self._consumer.position(where) for where, end in ends.items())

    def _assign(self) -> None:
        if time.monotonic() - self._looked_at < NEW_PARTITIONS_SECONDS:
            return
        partitions = self._consumer.partitions_for_topic(self._topic) or ()
        there = {TopicPartition(self._topic, partition) for partition in partitions}
        if not there:
            return
        self._looked_at = time.monotonic()
        old = self._consumer.assignment()
        if there == old:
            return
        begun = {where: self._consumer.position(where) for where in old}
        self._consumer.assign(sorted(there))
        begins = self._consumer.beginning_offsets(list(there))
        ends = self._consumer.end_offsets(list(there))
        for where in there:
            wanted = begun.get(where, self._positions.get(where.partition, 0))
            if not begins[where] <= wanted <= ends[where]:
                self._missed(where.partition, wanted, begins[where])
                wanted = begins[where]
            self._consumer.seek(where, wanted)

    def _missed(self, partition: int, wanted: int, begin: int) -> None:
        if wanted > 0:  # else it was never read: what retention took was not ours
            log.error(
                "the log no longer holds the position",
                topic=self._topic,
                partition=partition,
                position=wanted,
                goes_on_at=begin,
            )
