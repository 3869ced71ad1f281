"""The views' process: Faust reads, `Views` folds, one topic is written. Killing it costs a graph.

State is memory alone: each start reads the input topics from their beginning, under a group of its
own, and writes to `escrow.views.v1` only while all partitions are its own and only once it has read
what was there when it looked. No tables, no changelogs, no web server, no codec but JSON.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Mapping
from typing import Any, Final

import faust
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from typing_extensions import override

from schemas.door import Record
from schemas.topics import VIEWS
from streams.broker import Broker
from streams.views import READS, Views, to_wire

INTERVAL_SECONDS: Final = 2.0  # between two looks at what has changed
COMMIT_SECONDS: Final = 5.0  # commits only tell lag tools where we are
SESSION_SECONDS: Final = 10.0  # so long a killed one's partitions stay with it
# What is behind waits in Kafka, not here: each record in hand is a kilobyte of small objects.
RECORDS_IN_HAND_MAX: Final = 500  # of one poll
PARTITION_BYTES_MAX: Final = 256 * 1024  # of a partition, as it came, compressed
log: Final = logging.getLogger("escrow.views")


class LogWentBack(RuntimeError):
    """A topic ends before the place that was read: it was made anew. A fresh start reads it all."""


class _Consumer(driver.Consumer):
    """Reads on where memory ends, which is not where the group last committed."""

    @override
    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Called by Faust after each assignment, before anything is read."""
        app: Any = self.app  # a ViewsApp, which Faust's types do not know
        positions = app.views.positions
        first = await self.earliest_offsets(*self.assignment())
        places = {
            tp: max(offset, positions.get((tp.topic, tp.partition), 0))
            for tp, offset in first.items()
        }
        for tp, offset in places.items():
            positions[tp.topic, tp.partition] = offset
        await self.seek_wait(places)
        return places


class _Transport(driver.Transport):
    Consumer = _Consumer


class BrokerAway(RuntimeError):
    """Kafka did not answer; the text says where it was looked for."""


class ViewsApp(faust.App):
    """Faust's app with the state that its consumer goes by."""

    views: Views
    goes_by_records: bool  # where producers set record times, those are the clock (RULES 4.7)

    def now(self, t: int = -1) -> int:
        """The instant by which windows end, ms UTC; `t`: of the record that is just being read."""
        return max(t, self.views.latest_t) if self.goes_by_records else _now_ms()


class _Publisher:
    """Writes what changed, at intervals; knows up to which time it is true."""

    def __init__(self, app: ViewsApp, done: asyncio.Event | None) -> None:
        self._app, self._done = app, done
        self._out = app.topic(VIEWS, value_serializer="raw", key_serializer="raw")
        self._seen: dict[Any, tuple[int, int]] = {}  # next offset and end, at the last look

    async def tick(self) -> None:
        """One look; writes nothing before everything was read once."""
        now = _now_ms()
        if not self._owns_all():
            return
        if not await self._caught_up():
            log.info("reading: %d records rejected so far", self._app.views.rejected)
            return
        updates = self._app.views.updates(self._app.now(), true_until=now)
        sent = []
        for update in updates:
            key, value, headers = to_wire(update, now)
            sent.append(await self._out.send(key=key, value=value, headers=headers))
        for receipt in sent:
            await receipt
        log.debug("%d views written", len(updates))
        if self._done is not None:
            self._done.set()

    def _owns_all(self) -> bool:
        """False while a second process shares the group: half the truth is not told."""
        consumer = self._app.consumer
        counts = {topic: consumer.topic_partitions(topic) for topic in READS}
        mine = {(tp.topic, tp.partition) for tp in consumer.assignment()}
        return all(
            count and all((topic, n) in mine for n in range(count))
            for topic, count in counts.items()
        )

    async def _caught_up(self) -> bool:
        """Whether all that the topics held at this look has been folded.

        Where a transaction's marker ends the log, no record ever reaches the end: then two looks
        that find the same, with the fetcher at the end, will do.
        """
        consumer, positions = self._app.consumer, self._app.views.positions
        ends = await consumer.highwaters(*consumer.assignment())
        reached = True
        for tp, end in ends.items():
            folded = positions.get((tp.topic, tp.partition), 0)
            if end < folded:
                raise LogWentBack(f"{tp.topic}[{tp.partition}] ends at {end}, {folded} was read")
            stands_still = self._seen.get(tp) == (folded, end)
            self._seen[tp] = (folded, end)
            if folded < end and not (stands_still and await self._fetched(tp) >= end):
                reached = False
        return reached

    async def _fetched(self, tp: Any) -> int:
        position = await self._app.consumer.position(tp)
        return -1 if position is None else int(position)


def make_app(
    broker: Broker, *, group: str, goes_by_records: bool, done: asyncio.Event | None = None
) -> ViewsApp:
    """The app, not started. With `done`, it is set when all views have been written once."""
    app = ViewsApp(
        group,
        broker=broker.urls,
        broker_client_id=broker.client_id,
        broker_credentials=broker.credentials,
        broker_commit_interval=COMMIT_SECONDS,
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=SESSION_SECONDS / 4,
        broker_max_poll_records=RECORDS_IN_HAND_MAX,
        consumer_max_fetch_size=PARTITION_BYTES_MAX,
        consumer_auto_offset_reset="earliest",
        processing_guarantee="at_least_once",
        key_serializer="json",
        value_serializer="json",
        producer_acks=-1,
        producer_compression_type="lz4",
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        store="memory://",
        # A Faust stream that waits for its last event at a rebalance would wait for nothing.
        stream_wait_empty=False,
    )
    app.views = Views()
    app.goes_by_records = goes_by_records
    app.transport = _Transport(app.conf.broker_consumer, app)
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes}
    topic = app.topic(*READS, **raw, key_serializer="raw", value_serializer="raw")
    publisher = _Publisher(app, done)

    @app.agent(topic, name="escrow.views.fold")
    async def fold(stream: Any) -> None:
        async for event in stream.events():
            record = _record(event.message)
            app.views.fold(record, app.now(record.timestamp_ms))

    @app.timer(INTERVAL_SECONDS)
    async def publish() -> None:
        await publisher.tick()

    return app


def run_views(
    broker: Broker, *, group: str, goes_by_records: bool = False, once: bool = False
) -> None:
    """Work until SIGTERM or SIGINT; with `once`, until all views have been written once.

    Raises LogWentBack, BrokerAway, or what else made Faust give up.
    """
    try:
        asyncio.run(_run(broker, group, goes_by_records, once=once))
    except KafkaError as error:
        where = broker.bootstrap_servers
        raise BrokerAway(f"{where}: {type(error).__name__}: {error}"[:300]) from error


async def _run(broker: Broker, group: str, goes_by_records: bool, *, once: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    done = stop if once else None
    app = make_app(broker, group=group, goes_by_records=goes_by_records, done=done)
    try:
        await app.start()
        await app.wait(stop.wait())  # or until it crashes
    finally:
        await app.stop()
    if app.crash_reason is not None and not stop.is_set():  # later it was only in the way
        raise app.crash_reason


def _record(message: Any) -> Record:
    """Faust keeps times as seconds in a float; a millisecond survives that for ages."""
    timestamp = -1 if message.timestamp is None else round(message.timestamp * 1000)
    headers = message.headers or ()
    pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
    where = (message.topic, message.partition, message.offset)
    return Record(*where, timestamp, message.key, message.value, pairs)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
