"""One script for two worlds: the product's sessions on real servers, or on those of the simulation.

Everything is done one step at a time by one thread, so that both worlds can be asked after each step
what there is. What no two worlds share is left out: times of the wall, the order between keys.
"""

import time
import uuid
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

from greenlet import getcurrent
from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import Engine, create_engine, text

from consumers.engine import batch, relay, ticker, worker
from consumers.engine.admin import spans
from consumers.engine.assignment import Noted
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_producer
from consumers.engine.publishing import make_publisher
from consumers.engine.relay import Relay
from consumers.engine.safeguards import SendingSettings, SigningSettings
from consumers.engine.ticker import Ticker
from consumers.engine.trusting import Trusting
from consumers.stages import STAGES
from schemas.facts import INPUT_TOPICS, STAGE_TOPICS
from schemas.topics import TOPIC_NAMES, TOPICS
from storage.positions import decided_until, take_epoch
from tests.simulation import database, rows
from tests.simulation.broker import Broker, Consumer, Producer
from tests.simulation.ports import PORTS, in_simulation
from tests.simulation.scheduler import Actor, Scheduler
from tests.simulation.stories import Sent

CLUSTER: Final = "both"
_PRODUCT: Any = worker  # modules whose names a simulation replaces
_PUBLISHING: Any = relay
TURNS_MAX: Final = 200
History = dict[str, Any]
Bases = dict[tuple[str, int], int]

# What is compared of each table: columns, and the ones that it is sorted by come first.
COMPARED: Final = {
    "escrows": ("order_id", "status", "held_minor", "refunded_minor", "paid_out_minor", "parked",
                "decision_no", "chain_head"),
    "facts": ("order_id", "decision_no", "type", "id", "t", "outcome", "code", "text_digest"),
    "resolutions": ("order_id", "decision_no", "parked_no", "outcome", "code"),
    "parked": ("order_id", "decision_no", "code", "expires_at", "ticks", "ticked_at"),
    "commands": ("order_id", "command_id", "kind", "state", "attempt", "amount_minor"),
    "deadlines": ("order_id", "request_id", "due_at", "ticks", "ticked_at"),
    "payments": ("payment_id", "order_id"),
    "identities": ("identity", "digest", "salt"),
    "outbox": ("key", "id", "type", "sent_id", "payload"),
    "dead_letters": ("topic", "partition", "offset", "code"),
    "consumer_positions": ("stage", "topic", "partition", "epoch", "next_offset", "last_offset"),
    "outbox_slices": ("slice", "epoch"),
}  # fmt: skip


class OneTurn:
    """The wish to stop after one turn of a loop."""

    def __init__(self) -> None:
        self.left = 1

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0

    def wait(self, _seconds: float) -> bool:
        return False


class Member:
    """One membership of a stage's worker, moved turn by turn."""

    def __init__(self, settings: Any, stage: str) -> None:
        self.stop = OneTurn()
        self.engine = _engine_of("" if settings is SIMULATED else _url(settings), name="m")
        trusting = Trusting(settings)
        self.session = worker._Session(settings, STAGES[stage], self.stop, self.engine, trusting)  # type: ignore[arg-type]
        consumer = _PRODUCT.make_consumer(settings, f"{uuid.uuid4().hex}.{stage}")
        self.session._consumer, self.session._cluster_id = consumer, CLUSTER
        self.session._noted = Noted(consumer)
        self.stop.left = 1
        self.session._await_topic()
        consumer.subscribe([STAGE_TOPICS[stage]], listener=self.session._noted)

    def turn(self) -> None:
        self.stop.left = 1
        self.session._with_database()

    def leave(self) -> None:
        self.session._consumer.close(autocommit=False, timeout_ms=1_000)
        self.engine.dispose()


SIMULATED: Final = SimpleNamespace(
    source_rules=None,
    signing=SigningSettings(),
    sending=SendingSettings(),
    batch=SimpleNamespace(records_max=100, bytes_max=16_777_216, linger_ms=0),
)


def _url(settings: Settings) -> str:
    return settings.database.connection_url


class World(ABC):
    """What the script asks of a world."""

    settings: Any

    def __init__(self) -> None:
        self._salts = count(1)
        self.at_place: dict[str, Callable[[], None]] = {}  # place → what happens there, once

    def pass_place(self, place: str) -> None:
        if (then := self.at_place.pop(place, None)) is not None:
            then()

    def salt(self, size: int) -> bytes:
        return next(self._salts).to_bytes(size, "big")

    def member(self, stage: str) -> Member:
        return Member(self.settings, stage)

    @abstractmethod
    def feed(self, sent: Sent, *, marker: bool) -> None: ...

    @abstractmethod
    def relay(self) -> Relay: ...

    @abstractmethod
    def ticker(self) -> Ticker: ...

    @abstractmethod
    def stands_at_end(self, stage: str) -> bool: ...

    @abstractmethod
    def table(self, name: str) -> list[dict[str, Any]]: ...

    @abstractmethod
    def told(self) -> dict[str, dict[bytes, list[bytes]]]:
        """Topic → key → ids, in order, of what this world has written."""

    def work(self, stage: str, member: Member | None = None) -> None:
        """Until the stage stands at the end of its log."""
        mine = member or self.member(stage)
        for _ in range(TURNS_MAX):
            mine.turn()
            if self.stands_at_end(stage):
                break
        if member is None:
            mine.leave()

    def history(self, bases: Bases) -> History:
        history: History = {"told": self.told()}
        for name, columns in COMPARED.items():
            found = []
            for row in self.table(name):
                kept = {column: row[column] for column in columns}
                if "partition" in kept:
                    base = bases[row["topic"], row["partition"]]
                    for column in ("offset", "next_offset", "last_offset"):
                        if kept.get(column) is not None:
                            kept[column] -= base
                if name == "outbox":
                    kept = {"sent": row["sent_at"] is not None, **kept}
                    del kept["id"]
                found.append(kept)
            if name == "outbox":  # in the order of ids within a key
                found.sort(key=lambda kept: str(kept["key"]))
            else:
                found.sort(key=lambda kept: [str(kept[column]) for column in columns])
            history[name] = found
        return history


class Simulated(World):
    """The servers of tests/simulation, whose logs begin where the real ones stand."""

    settings = SIMULATED

    def __init__(self, bases: Bases) -> None:
        super().__init__()
        self._bases = bases
        scheduler = Scheduler(0, 0.0)
        scheduler.hub = getcurrent()
        self._actor = Actor("both", "both", lambda _: None)
        self._actor.scheduler = scheduler
        self._broker = Broker(scheduler, {topic.name: topic.partitions for topic in TOPICS})
        for where, log in self._broker.logs.items():
            log.start = bases[where.topic, where.partition]
            log.entries = [None] * log.start
        self._server = database.Server(scheduler, rows.KEYS)
        for slice_ in range(16):
            row = {"slice": slice_, "epoch": 0, "seen_at": None}
            self._server.tables["outbox_slices"].rows[slice_,] = row
        PORTS.make_engine = self._engine
        PORTS.make_consumer = lambda group: Consumer(self._broker, self._actor, group)
        PORTS.make_producer = lambda: Producer(self._broker, self._actor)
        PORTS.pass_place = self.pass_place
        PORTS.random_bytes = self.salt
        PORTS.now = lambda: scheduler.now
        connection = self._engine().connect()
        with connection.begin():
            put_positions(connection, bases)

    def _engine(self) -> database.Engine:
        return database.Engine(self._server, self._actor)

    def feed(self, sent: Sent, *, marker: bool) -> None:  # type: ignore[explicit-override]
        entry = self._broker.append(sent.topic, sent.key, sent.value, sent.headers, sent.t)
        if marker:
            self._broker.mark(sent.topic, entry.partition)

    def relay(self) -> Relay:  # type: ignore[explicit-override]
        return Relay(_engine_of("", name="r"), _PUBLISHING.make_publisher(None, None), range(16))

    def ticker(self) -> Ticker:  # type: ignore[explicit-override]
        return Ticker(
            _engine_of("", name="t"),
            _PUBLISHING.make_publisher(None, None),
            decided_until,
        )

    def stands_at_end(self, stage: str) -> bool:  # type: ignore[explicit-override]
        positions = self._server.tables["consumer_positions"].rows
        return all(
            positions[stage, where.topic, where.partition]["next_offset"] == log.end
            for where, log in self._broker.logs.items()
            if where.topic == STAGE_TOPICS[stage]
        )

    def table(self, name: str) -> list[dict[str, Any]]:  # type: ignore[explicit-override]
        found = self._server.tables[name].rows
        return [found[key] for key in sorted(found)] if name == "outbox" else list(found.values())

    def told(self) -> dict[str, dict[bytes, list[bytes]]]:  # type: ignore[explicit-override]
        told: dict[str, dict[bytes, list[bytes]]] = defaultdict(lambda: defaultdict(list))
        for where, log in self._broker.logs.items():
            for entry in log.entries:
                if entry is not None:
                    told[where.topic][entry.key or b""].append(dict(entry.headers)["ce_id"])
        return told


class Real(World):
    """Kafka and PostgreSQL."""

    def __init__(self, settings: Settings, bases: Bases) -> None:
        super().__init__()
        self.settings = settings
        self._bases = bases
        self._open: list[Callable[[], None]] = []  # what is to be closed at the end
        self._db: Engine = create_engine(_url(settings))
        self._transactions = make_producer(settings, transactional_id=uuid.uuid4().hex)
        self._transactions.init_transactions()
        self._plain = make_producer(settings)
        with self._db.begin() as connection:
            put_positions(connection, bases)

    def feed(self, sent: Sent, *, marker: bool) -> None:  # type: ignore[explicit-override]
        producer = self._transactions if marker else self._plain
        if marker:
            producer.begin_transaction()
        future = producer.send(
            sent.topic, sent.value, sent.key, list(sent.headers), None, timestamp_ms=sent.t
        )
        producer.flush()
        sent_at = future.get(10)
        if marker:
            producer.commit_transaction()
            where = sent_at.topic, sent_at.partition
            until = time.monotonic() + 30
            while spans(self.settings, [sent.topic])[where].end < sent_at.offset + 2:
                assert time.monotonic() < until, "no marker came"

    def relay(self) -> Relay:  # type: ignore[explicit-override]
        engine = _engine_of(_url(self.settings), name="r")
        publisher = make_publisher(self.settings)
        self._open += [publisher.close, engine.dispose]
        return Relay(engine, publisher, range(16))

    def ticker(self) -> Ticker:  # type: ignore[explicit-override]
        engine = _engine_of(_url(self.settings), name="t")
        publisher = make_publisher(self.settings)
        self._open += [publisher.close, engine.dispose]
        return Ticker(engine, publisher, decided_until)

    def stands_at_end(self, stage: str) -> bool:  # type: ignore[explicit-override]
        topic = STAGE_TOPICS[stage]
        ends = {where: span.end for where, span in spans(self.settings, [topic]).items()}
        return all(
            row["next_offset"] == ends[row["topic"], row["partition"]]
            for row in self.table("consumer_positions")
            if row["stage"] == stage
        )

    def table(self, name: str) -> list[dict[str, Any]]:  # type: ignore[explicit-override]
        with self._db.begin() as connection:
            order = " ORDER BY id" if name == "outbox" else ""
            found = connection.execute(text(f"SELECT * FROM {name}{order}"))
            return [_plain(dict(row._mapping)) for row in found]

    def told(self) -> dict[str, dict[bytes, list[bytes]]]:  # type: ignore[explicit-override]
        told: dict[str, dict[bytes, list[bytes]]] = defaultdict(lambda: defaultdict(list))
        consumer = KafkaConsumer(
            bootstrap_servers=self.settings.kafka.bootstrap_servers, group_id=None,
            enable_auto_commit=False, isolation_level="read_committed",
        )  # fmt: skip
        where = [TopicPartition(*place) for place in self._bases]
        consumer.assign(where)
        ends = consumer.end_offsets(where)
        for place in where:
            consumer.seek(place, self._bases[place.topic, place.partition])
        until = time.monotonic() + 30
        while any(consumer.position(place) < ends[place] for place in where):
            assert time.monotonic() < until, "topics could not be read"
            for polled in consumer.poll(timeout_ms=200).values():
                for record in polled:
                    told[record.topic][record.key or b""].append(dict(record.headers)["ce_id"])
        consumer.close()
        return told

    def close(self) -> None:
        for close in self._open:
            close()
        self._transactions.close()
        self._plain.close()
        self._db.dispose()


def _engine_of(url: str, name: str) -> Any:
    """Made by the name that a simulation replaces."""
    return _PRODUCT.stage_engine(url, name=name)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: bytes(v) if isinstance(v, memoryview) else v for name, v in row.items()}


def put_positions(connection: Any, bases: Bases) -> None:
    """Every stage begins where the logs stand now."""
    stages = {topic: stage for stage, topic in STAGE_TOPICS.items()}
    for topic, partition in sorted(bases):
        if topic in INPUT_TOPICS:
            base = bases[topic, partition]
            take_epoch(connection, stages[topic], topic, partition, CLUSTER, base)


def bases_of(settings: Settings) -> Bases:
    return {where: span.end for where, span in spans(settings, TOPIC_NAMES).items()}


@contextmanager
def simulated(bases: Bases) -> Iterator[Simulated]:
    with in_simulation():
        yield Simulated(bases)


@contextmanager
def real(settings: Settings, bases: Bases) -> Iterator[Real]:
    world = Real(settings, bases)
    with ExitStack() as stack:
        stack.callback(world.close)
        for module in (batch, worker, relay, ticker):
            stack.enter_context(patch.object(module, "crash_point", world.pass_place))
        salts = SimpleNamespace(urandom=world.salt)
        stack.enter_context(patch.object(batch, "os", salts))
        # a step may take long on a busy machine, and who has nothing yet is no more stuck for that
        stack.enter_context(patch.object(worker, "STUCK_SECONDS", float("inf")))
        yield world
