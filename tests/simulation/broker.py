"""What of Kafka the pipeline leans on: logs that only grow (or are cut by a fault), groups, and clients.

A client's rebalance callbacks come at any of its calls, as from a thread of its own. A member that is
killed or frozen keeps its partitions until its session times out; one that wakes hears `lost`.
Producers are not idempotent here: what has no ack may lie in the log, even twice.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from kafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from kafka.structs import TopicPartition

from consumers.engine.publishing import _key_hash
from tests.simulation.scheduler import Actor, Killed, Scheduler

SESSION_SECONDS: Final = 8.0
MEANWHILE: Final = 0.2  # chance that a callback which is due comes just before a client's call


class Entry(NamedTuple):
    """A record in a log, with the names that kafka-python gives its parts."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class Log:
    """One partition: an entry for each offset, or None where a transaction marker lies."""

    __slots__ = ("entries", "start", "where")

    def __init__(self, where: TopicPartition) -> None:
        self.where = where
        self.start = 0
        self.entries: list[Entry | None] = []

    @property
    def end(self) -> int:
        return len(self.entries)


class Broker:
    """All logs and groups of one cluster."""

    def __init__(self, scheduler: Scheduler, partitions: dict[str, int]) -> None:
        self.scheduler = scheduler
        self.partitions = partitions
        self.logs = {
            TopicPartition(topic, n): Log(TopicPartition(topic, n))
            for topic, count in partitions.items()
            for n in range(count)
        }
        self.groups: dict[str, Group] = {}
        self.is_down = False
        self.on_send: Callable[[Actor], str | None] | None = None
        self.on_append: Callable[[Entry], None] | None = None

    def append(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Any, t: int
    ) -> Entry:
        count = self.partitions[topic]
        partition = _key_hash(key or b"") % count if count > 1 else 0
        log = self.logs[TopicPartition(topic, partition)]
        entry = Entry(topic, partition, log.end, t, key, value, headers)
        log.entries.append(entry)
        self.scheduler.call(topic)
        if self.on_append is not None:
            self.on_append(entry)
        return entry

    def mark(self, topic: str, partition: int) -> None:
        """A transaction marker takes an offset."""
        self.logs[TopicPartition(topic, partition)].entries.append(None)
        self.scheduler.call(topic)

    def group(self, name: str, topic: str) -> "Group":
        if name not in self.groups:
            self.groups[name] = Group(self, topic)
        return self.groups[name]


class Group:
    """One stage's members, and who reads which partition."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.broker, self.topic = broker, topic
        self.members: list[Consumer] = []
        self._joined: set[Consumer] = set()

    def join(self, member: "Consumer") -> None:
        if member not in self.members:
            self.members.append(member)
        self.rebalance()

    def leave(self, member: "Consumer") -> None:
        if member in self.members:
            self.members.remove(member)
            self._joined.discard(member)
            self.rebalance()

    def expire(self, member: "Consumer") -> None:
        """No heartbeat for a session: its partitions go to others, whatever it thinks."""
        if member in self.members:
            member.is_lost = True
            self.leave(member)

    def rebalance(self) -> None:
        self._joined.clear()
        for member in self.members:
            member.must_rejoin = True
            member.granted = None
            self.broker.scheduler.call(member.actor.name)
        self._maybe_assign()

    def rejoined(self, member: "Consumer") -> None:
        self._joined.add(member)
        self._maybe_assign()

    def _maybe_assign(self) -> None:
        if not self.members or len(self._joined) < len(self.members):
            return
        count = self.broker.partitions[self.topic]
        for n, member in enumerate(self.members):
            member.granted = [
                TopicPartition(self.topic, p) for p in range(count) if p % len(self.members) == n
            ]
            self.broker.scheduler.call(member.actor.name)


class Consumer:
    """As much of kafka-python's consumer as the worker uses."""

    def __init__(self, broker: Broker, actor: Actor, group: str) -> None:
        self.broker, self.actor = broker, actor
        self._group_name = group
        self.group: Group | None = None
        self.listener: Any = None
        self.must_rejoin = self.is_lost = False
        self.granted: list[TopicPartition] | None = None
        self._assigned: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self.polls_to_fail = 0
        self._in_callback = False
        actor.consumers.append(self)

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self.broker.partitions[topic]))

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.listener = listener
        self.group = self.broker.group(self._group_name, topics[0])
        self.group.join(self)

    def close(self, **_: Any) -> None:
        if self.actor.dead:  # nobody hears of it before the session times out
            return
        if self.group is not None:
            self.group.leave(self)
        self.group = None

    def breathe(self) -> bool:
        """What the client's own thread does meanwhile; True if the listener was called."""
        group = self.group
        if group is None or self.actor.dead or self._in_callback:
            return False
        if not (self.is_lost or self.must_rejoin or self.granted is not None):
            return False
        self._in_callback = True
        try:
            self._call_back(group)
        finally:
            self._in_callback = False
        return True

    def _call_back(self, group: Group) -> None:
        if self.is_lost:
            self.is_lost = self.must_rejoin = False
            lost, self._assigned = self._assigned, set()
            self._forget()
            if lost:
                self.listener.on_partitions_lost(sorted(lost))
            group.join(self)
        if self.must_rejoin:
            self.must_rejoin = False
            revoked, self._assigned = self._assigned, set()
            if revoked:
                self.listener.on_partitions_revoked(sorted(revoked))
            self._forget()
            group.rejoined(self)
        if self.granted is not None:
            granted, self.granted = self.granted, None
            self._assigned = set(granted)
            self.listener.on_partitions_assigned(granted)

    def _forget(self) -> None:
        self._paused.clear()
        self._positions.clear()

    def poll(self, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Entry]]:
        scheduler = self.broker.scheduler
        if timeout_ms:
            scheduler.pause()
        elif self.actor.dead:
            raise Killed
        if self.polls_to_fail:
            self.polls_to_fail -= 1
            raise KafkaConnectionError("planted")
        heard = self.breathe()
        found = self._collect(max_records)
        if found or heard or not timeout_ms:
            return found
        assert self.group is not None
        scheduler.idle(timeout_ms / 1000, {self.group.topic, self.actor.name})
        self.breathe()
        return self._collect(max_records)

    def _collect(self, most: int) -> dict[TopicPartition, list[Entry]]:
        found: dict[TopicPartition, list[Entry]] = {}
        if self.broker.is_down:
            return found
        for where in sorted(self._assigned - self._paused):
            position = self._positions.get(where)
            if position is None:
                raise NoOffsetForPartitionError(where)
            log = self.broker.logs[where]
            entries, end = log.entries, log.end
            if not log.start <= position <= end:
                raise OffsetOutOfRangeError({where: position})
            taken: list[Entry] = []
            while position < end and most > 0:
                entry = entries[position]
                position += 1
                if entry is not None:
                    taken.append(entry)
                    most -= 1
            while position < end and entries[position] is None and most > 0:
                position += 1
            self._positions[where] = position
            if taken:
                found[where] = taken
        return found

    def meanwhile(self) -> None:
        """The client's own thread does not wait for the worker's."""
        is_due = self.must_rejoin or self.granted is not None or self.is_lost
        if is_due and self.broker.scheduler.random() < MEANWHILE:
            self.breathe()

    def assignment(self) -> set[TopicPartition]:
        self.meanwhile()
        return set(self._assigned)

    def paused(self) -> set[TopicPartition]:
        self.meanwhile()
        return set(self._paused)

    def pause(self, *partitions: TopicPartition) -> None:
        self.meanwhile()
        for where in partitions:
            if where not in self._assigned:
                raise KeyError(where)
            self._paused.add(where)

    def resume(self, *partitions: TopicPartition) -> None:
        self.meanwhile()
        for where in partitions:
            if where not in self._assigned:
                raise KeyError(where)
            self._paused.discard(where)

    def seek(self, where: TopicPartition, offset: int) -> None:
        self.meanwhile()
        if where not in self._assigned:
            raise ValueError("Unassigned partition")
        self._positions[where] = offset

    def position(self, where: TopicPartition, timeout_ms: int = 0) -> int | None:
        self.meanwhile()
        if where not in self._assigned:
            raise IllegalStateError("Partition is not assigned")
        return self._positions.get(where)

    def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._ask()
        return {where: self.broker.logs[where].start for where in partitions}

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._ask()
        return {where: self.broker.logs[where].end for where in partitions}

    def _ask(self) -> None:
        self.broker.scheduler.pause()
        self.breathe()
        if self.broker.is_down:
            raise KafkaTimeoutError("planted: no answer")

    def commit(self, offsets: Any, timeout_ms: int) -> None:
        self.commit_async(offsets)

    def commit_async(
        self, offsets: Any, callback: Callable[[Any, Any], object] | None = None
    ) -> None:
        if self.actor.dead:
            raise Killed
        if callback is not None:
            callback(offsets, None)


class Future:
    """What a producer returns for a record."""

    __slots__ = ("_producer", "errbacks", "exception", "is_done")

    def __init__(self, producer: "Producer") -> None:
        self._producer = producer
        self.is_done = False
        self.exception: Exception | None = None
        self.errbacks: list[Callable[[Exception], None]] = []

    def succeeded(self) -> bool:
        return self.is_done and self.exception is None

    def add_errback(self, callback: Callable[[Exception], None]) -> None:
        self.errbacks.append(callback)

    def get(self, timeout: float) -> None:
        if not self.is_done:
            self._producer.flush()
        if self.exception is not None:
            raise self.exception

    def settle(self, error: Exception | None) -> None:
        if not self.is_done:
            self.is_done, self.exception = True, error
            if error is not None:
                for callback in self.errbacks:
                    callback(error)


class Producer:
    """Sends when asked for the first acknowledgement; `on_send` says what becomes of it."""

    def __init__(self, broker: Broker, actor: Actor) -> None:
        self.broker, self.actor = broker, actor
        self._sender = self
        self._closed = True  # every record takes the client's own way, through `send`
        self._open: list[tuple[Future, tuple[Any, ...]]] = []
        self._is_closed = False

    def send(
        self, topic: str, *, value: bytes, key: bytes, headers: Any, timestamp_ms: int
    ) -> Future:
        if self.actor.dead:
            raise Killed
        if self._is_closed:
            raise IllegalStateError("producer is closed")
        if self.broker.is_down:
            raise KafkaTimeoutError("planted: no metadata")
        future = Future(self)
        self._open.append((future, (topic, key, value, headers, timestamp_ms)))
        return future

    def flush(self) -> None:
        broker = self.broker
        broker.scheduler.pause()
        going, self._open = self._open, []
        fate = broker.on_send(self.actor) if broker.on_send is not None else None
        if broker.is_down:
            fate = "refused"
        count = len(going)
        if fate == "partly":
            count = int(broker.scheduler.random() * (count + 1))
        elif fate == "refused":
            count = 0
        for _ in (0, 1) if fate == "sent twice" else (0,):
            for _future, record in going[:count]:
                broker.append(*record)
        error = KafkaConnectionError(f"planted: {fate}")
        acked = 0 if fate in ("refused", "ack lost") else count
        broker.scheduler.pause()
        for n, (future, _) in enumerate(going):
            future.settle(None if n < acked else error)

    def force_close(self) -> None:
        self._is_closed = True
        going, self._open = self._open, []
        for future, _ in going:
            future.settle(IllegalStateError("closed"))

    def close(self, timeout: float) -> None:
        self.force_close()
