"""The simulator's loop: read, keep, then answer. It can be killed between any two steps.

Read positions lie in its own store, beside the effects, so that nothing is done twice; an answer
is sent again, under the same id, until its sending has been noted.
"""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any, Final

import structlog
from kafka import TopicPartition
from kafka.errors import KafkaError

from consumers.engine.config import Settings
from consumers.engine.health import HEALTH
from consumers.engine.kafka_clients import cluster_id_of, make_consumer
from consumers.engine.processing import Halt
from consumers.engine.publishing import Wire, binary_headers, make_publisher
from consumers.engine.tracing import TRACEPARENT
from consumers.engine.trusting import key_ring
from ops.local.gateway.deciding import work_on
from ops.local.gateway.store import Store, Unsent
from ops.local.gateway.wire import SOURCE, Channels

POLL_MS: Final = 100
BATCH_MAX: Final = 2_000
RETRY_SECONDS: Final = 1.0
NEW_PARTITIONS_SECONDS: Final = 10.0

log = structlog.get_logger()
Point = Callable[[str], None]


def _pass(_: str) -> None:
    """Where tests end the process."""


def run_gateway(
    settings: Settings,
    data_dir: Path,
    stop: Event,
    *,
    channels: Channels = Channels(),  # noqa: B008 -- immutable
    at: Point = _pass,
) -> None:
    """Answer commands until `stop` is set. `data_dir` is the simulator's own, kept over restarts.

    `at` is called with the name of each step once it is done: polled, decided, kept, sending,
    sent, noted. Raises Halt where going on could pay twice or lose a command.
    """
    while not stop.is_set():
        try:
            with Store(data_dir, cluster_id_of(settings)) as store:
                _Session(settings, store, stop, channels, at).run()
        except KafkaError as error:
            log.warning("Kafka went away", error=f"{type(error).__name__}: {error}"[:300])
            stop.wait(RETRY_SECONDS)


class _Session:
    """One pair of Kafka clients over one store."""

    def __init__(
        self, settings: Settings, store: Store, stop: Event, channels: Channels, at: Point
    ) -> None:
        self._settings = settings
        self._store = store
        self._stop = stop
        self._results = channels.results
        self._kinds = channels.kinds
        self._ring = key_ring(settings)
        self._at = at
        self._looked_at = float("-inf")

    def run(self) -> None:
        """Go on until `stop`; raises KafkaError when the clients must be made anew."""
        self._consumer = make_consumer(self._settings, None)
        self._publisher = make_publisher(self._settings, self._stop)
        try:
            while not self._stop.is_set():
                self._assign()
                polled = self._consumer.poll(timeout_ms=POLL_MS, max_records=BATCH_MAX)
                if polled:
                    self._keep([record for records in polled.values() for record in records])
                self._send(is_idle=not polled)
                HEALTH.turned(worked=True)
        finally:
            self._publisher.close()
            self._consumer.close(autocommit=False, timeout_ms=2_000)

    def _keep(self, records: list[Any]) -> None:
        """Decide what was read; positions, effects and answers are kept in one commit."""
        self._at("polled")
        work = work_on(self._store, records, self._kinds, self._ring)
        self._at("decided")
        self._store.keep(work)
        self._at("kept")

    def _send(self, *, is_idle: bool) -> None:
        """Send what is due, in order; forgotten only once the broker has it."""
        while due := self._store.due(all_of_them=is_idle):
            self._at("sending")
            results = self._publisher.publish(self._wire(answer) for _, answer in due)
            self._at("sent")
            self._store.forget(
                n for (n, _), error in zip(due, results, strict=True) if error is None
            )
            self._at("noted")
            if any(results) and self._stop.wait(RETRY_SECONDS):
                return

    def _wire(self, answer: Unsent) -> Wire:
        carried = {} if answer.trace is None else {TRACEPARENT: answer.trace}
        headers = binary_headers(SOURCE, answer.type, answer.id, carried)
        return Wire(self._results, answer.key.encode(), answer.value, headers, answer.t)

    def _assign(self) -> None:
        """All partitions of both topics, new ones too; no group, since the store has the truth."""
        if time.monotonic() - self._looked_at < NEW_PARTITIONS_SECONDS:
            return
        there = {
            TopicPartition(topic, partition)
            for topic in self._kinds
            for partition in self._consumer.partitions_for_topic(topic) or ()
        }
        if {where.topic for where in there} == set(self._kinds):
            self._looked_at = time.monotonic()
        else:
            log.warning("waiting for the command topics to exist")
            self._stop.wait(RETRY_SECONDS)
        if there - self._consumer.assignment():
            self._consumer.assign(sorted(there))
            self._seek(there)

    def _seek(self, partitions: set[TopicPartition]) -> None:
        """Go on where the store says; raises Halt where the log is no longer what was read."""
        begins = self._consumer.beginning_offsets(list(partitions))
        ends = self._consumer.end_offsets(list(partitions))
        self._store.begin({(where.topic, where.partition): begins[where] for where in partitions})
        positions = self._store.positions()
        for where in partitions:
            begin, end = begins[where], ends[where]
            position = positions[where.topic, where.partition]
            if not begin <= position <= end:
                raise Halt(
                    f"{where.topic}[{where.partition}] holds offsets {begin} to {end}, but"
                    f" {position} was reached: commands were lost, or the topic was recreated."
                    " See docs/runbook.md, `commands were lost`."
                )
            self._consumer.seek(where, position)
