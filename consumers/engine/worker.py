"""One process of a stage: poll, decide, move on; it can die anywhere, and another goes on.

The truth about positions is in the database; what is committed to Kafka only serves lag tools.
"""

import time
from collections.abc import Collection
from threading import Event
from typing import Final

import structlog
from kafka import TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from consumers.engine import metrics
from consumers.engine.assignment import Noted, Unread, adopt, is_new, let_flow, where_ours
from consumers.engine.batch import Job
from consumers.engine.config import Settings
from consumers.engine.crash import crash_point
from consumers.engine.giving_way import GivingWay
from consumers.engine.health import HEALTH
from consumers.engine.kafka_clients import cluster_id_of, make_consumer
from consumers.engine.pace import Pace
from consumers.engine.polling import IDLE_MS, Poller
from consumers.engine.processing import Processor, Stopped, Unknown
from consumers.engine.records import Chunk, Partition
from consumers.engine.stage import Stage
from consumers.engine.trusting import Trusting
from schemas.door import Record
from storage import positions as rows
from storage.engine import CONNECTION_LOST, Connection, Engine, stage_engine
from storage.positions import Position

STUCK_SECONDS: Final = 20.0  # behind, yet not moving for so long: the client is rebuilt
COMMIT_SECONDS: Final = 0.5  # between commits to Kafka, at least
RETRY_SECONDS: Final = 1.0

log = structlog.get_logger()


class Rejoin(Exception):
    """The consumer must be rebuilt and join its group again; the text says why."""


def run_stage(settings: Settings, stage: Stage, stop: Event) -> None:
    """Work until `stop` is set. Raises Halt when going on could lose or double a fact."""
    trusting = Trusting(settings)
    engine = stage_engine(settings.database.connection_url, name=f"escrow-{stage.name}")
    try:
        while not stop.is_set():
            HEALTH.turned()
            try:
                _Session(settings, stage, stop, engine, trusting).run()
            except (Rejoin, KafkaError, *CONNECTION_LOST) as error:
                metrics.RESTARTS.labels(stage.name, type(error).__name__).inc()
                log.warning("joining anew", reason=f"{type(error).__name__}: {error}"[:300])
                stop.wait(RETRY_SECONDS)
    finally:
        engine.dispose()


class _Session:
    """One membership in the group, with one consumer and one database connection."""

    def __init__(
        self,
        settings: Settings,
        stage: Stage,
        stop: Event,
        engine: Engine,
        trusting: Trusting,
    ) -> None:
        self._settings = settings
        self._stage = stage
        self._stop = stop
        self._engine = engine
        self._trusting = trusting
        self._positions: dict[Partition, Position] = {}
        self._unchecked: dict[Partition, Unread] = {}
        self._to_adopt: set[Partition] = set()
        self._pace = Pace(settings.batch.records_max)
        self._committed_at = 0.0
        self._moved_at = time.monotonic()

    def run(self) -> None:
        """Join, work, leave. Leaves the group on the way out, so that others take over at once."""
        group = f"{self._settings.kafka.group_prefix}.{self._stage.name}"
        self._consumer = make_consumer(self._settings, group)
        try:
            self._await_topic()
            self._cluster_id = cluster_id_of(self._settings)
            self._noted = Noted(self._consumer)
            self._consumer.subscribe([self._stage.topic], listener=self._noted)
            crash_point("worker.subscribed")
            while not self._stop.is_set():
                self._with_database()
        except Stopped:
            log.info("stopped with a batch refused", stage=self._stage.name)
        finally:
            self._consumer.close(autocommit=False, timeout_ms=5_000)
            metrics.PARTITIONS.labels(self._stage.name).set(0)

    def _await_topic(self) -> None:
        """A client that subscribes before it knows the topic may assign itself nothing."""
        while not self._consumer.partitions_for_topic(self._stage.topic):
            HEALTH.turned()
            log.warning("waiting for the topic to exist", topic=self._stage.topic)
            if self._stop.wait(RETRY_SECONDS):
                return

    def _with_database(self) -> None:
        """Work until the database goes away; wait for it as a member of the group, then go on.

        Whether the last batch was committed is then in the positions, read under new epochs.
        """
        try:
            with self._engine.connect() as connection:
                try:
                    self._work(connection)
                except (Unknown, *CONNECTION_LOST):
                    connection.invalidate()
                    raise
        except (Unknown, *CONNECTION_LOST) as error:
            log.warning("the database went away", error=f"{type(error).__name__}: {error}"[:300])
            metrics.RESTARTS.labels(self._stage.name, "database").inc()
            self._to_adopt |= self._positions.keys()
            self._positions.clear()
            self._unchecked.clear()
            self._pace.slow_down()  # it may have been we who took too long
            self._idle(RETRY_SECONDS)

    def _work(self, connection: Connection) -> None:
        trusting = self._trusting
        job = Job(
            self._stage.name,
            self._cluster_id,
            trusting.trust,
            trusting.second,
            self._settings.sending.operator_controls,
        )
        processor = Processor(connection, job, self._positions, self._before_retry)
        giving_way = GivingWay(self._stage.name, self._stop)
        poller = Poller(self._consumer, self._settings.batch.linger_ms)
        while not self._stop.is_set():
            trusting.look_again()
            records = poller.poll(self._pace.records)
            if records:
                crash_point("worker.polled")
            changed = self._rebalance(connection)
            owned = len(self._positions)
            chunk = self._chunk(records, changed)
            if chunk.ends:
                giving_way.before(connection, chunk.records)
                crash_point("worker.deciding")
                began = time.monotonic()
                endings = processor.process(chunk)
                crash_point("worker.decided")
                self._moved_at = time.monotonic()
                self._pace.took(len(chunk.records), self._moved_at - began)
                giving_way.after(endings)
            if len(self._positions) < owned:
                raise Rejoin("another worker has taken partitions over")
            self._commit()
            self._watch(connection)
            HEALTH.turned(worked=not self._positions)  # else Kafka's answer to our commit says so
        self._commit(last=True)

    def _rebalance(self, connection: Connection) -> set[Partition]:
        """Forget what is gone; become the one writer of what is new, then let it flow.

        Returns both: what was polled of them before is worth nothing, the seek brings it again.
        """
        gone, assigned = self._noted.take()
        for partition in gone:
            self._positions.pop(partition, None)
            self._unchecked.pop(partition, None)
        self._to_adopt = (self._to_adopt - gone) | assigned
        changed = gone | self._to_adopt
        for partition in sorted(self._to_adopt):
            adopted = adopt(
                connection, self._consumer, self._stage.name, partition, self._cluster_id
            )
            crash_point("worker.epoch_taken")
            self._to_adopt.discard(partition)
            where = TopicPartition(*partition)
            if not let_flow(self._consumer, where, adopted.seek_to):
                continue  # gone again meanwhile; the next owner takes the next epoch
            self._positions[partition] = adopted.position
            if adopted.check is not None:
                self._unchecked[partition] = adopted.check
            crash_point("worker.adopted")
            log.info(
                "reading",
                topic=partition[0],
                partition=partition[1],
                epoch=adopted.position.epoch,
                next_offset=adopted.position.next_offset,
            )
        if changed:  # also what was ours before the database went away: it could not move
            self._moved_at = time.monotonic()
            metrics.PARTITIONS.labels(self._stage.name).set(len(self._positions))
        return changed

    def _chunk(self, records: list[Record], changed: Collection[Partition]) -> Chunk:
        """What was polled of the partitions that are ours, and where each then stands."""
        ours: list[Record] = []
        for record in records:
            partition = (record.topic, record.partition)
            position = self._positions.get(partition)
            if position is None or partition in changed:
                continue
            expected = self._unchecked.pop(partition, None)
            if is_new(self._stage.name, position, expected, record):
                ours.append(record)
        ends: dict[Partition, int] = {}
        for partition, position in self._positions.items():
            end = self._consumed(partition)
            if end is not None and end > position.next_offset:
                ends[partition] = end
        return Chunk([r for r in ours if (r.topic, r.partition) in ends], ends)

    def _consumed(self, partition: Partition) -> int | None:
        """The client's position, which also passes over transaction markers."""
        where = TopicPartition(*partition)
        if where not in self._consumer.assignment() or partition in self._unchecked:
            return None
        position = self._consumer.position(where, timeout_ms=1_000)
        return None if position is None else int(position)

    def _commit(self, *, last: bool = False) -> None:
        """Tell Kafka, for the tools that look there; a failure costs nothing."""
        now = time.monotonic()
        if not self._positions or (now - self._committed_at < COMMIT_SECONDS and not last):
            return
        self._committed_at = now
        offsets = {
            TopicPartition(*partition): OffsetAndMetadata(position.next_offset, "", -1)
            for partition, position in self._positions.items()
        }
        try:
            if last:
                self._consumer.commit(offsets, timeout_ms=2_000)
            else:
                self._consumer.commit_async(offsets, callback=HEALTH.answered)
                crash_point("worker.offsets_told")
        except KafkaError as error:
            log.info("offsets not committed to Kafka", error=type(error).__name__)

    def _before_retry(self, seconds: float) -> None:
        """A batch that is refused for ever must not keep the process for ever."""
        self._idle(seconds)
        if self._stop.is_set():
            raise Stopped

    def _idle(self, seconds: float) -> None:
        """Wait with everything paused, but polling: the group must not throw us out."""
        paused = [p for p in self._consumer.assignment() if p not in self._consumer.paused()]
        where_ours(self._consumer.pause, paused)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stop.is_set():
            self._consumer.poll(timeout_ms=min(int(left * 1000) + 1, IDLE_MS), max_records=1)
            HEALTH.turned()
        ours = self._positions.keys() - self._noted.pending()
        still = (p for p in paused if (p.topic, p.partition) in ours)
        where_ours(self._consumer.resume, still)

    def _watch(self, connection: Connection) -> None:
        """Behind, or never taken by anybody, yet not moving: rebuild the client, loudly."""
        if time.monotonic() - self._moved_at < STUCK_SECONDS:
            return
        self._moved_at = time.monotonic()
        there = self._consumer.partitions_for_topic(self._stage.topic) or ()
        ends = self._consumer.end_offsets([TopicPartition(self._stage.topic, p) for p in there])
        with connection.begin():
            stands = {(p.topic, p.partition): p for p in rows.read(connection, self._stage.name)}
        for where, end in ends.items():
            stand = stands.get((where.topic, where.partition))
            mine = self._positions.get((where.topic, where.partition))
            behind = stand is None or end > stand.next_offset
            if behind and (mine is not None or not self._positions):
                log.error("stuck", topic=where.topic, partition=where.partition, end=end)
                raise Rejoin("records wait, but none come")
