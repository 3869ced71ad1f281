"""One schedule: the product's processes over one broker and one database, fed, disturbed, healed and drained.

Processes are the product's own loops (`run_stage`, `run_relay`, `run_ticker`). A supervisor starts
again what dies. At rest means: nothing waits that could go on.
"""

from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Final, NamedTuple

from kafka.structs import TopicPartition

from consumers.engine.processing import Halt
from consumers.engine.relay import run_relay
from consumers.engine.safeguards import SendingSettings, SigningSettings
from consumers.engine.ticker import run_ticker
from consumers.engine.worker import run_stage
from consumers.stages import STAGES
from schemas.facts import DEADLINES, STAGE_TOPICS
from schemas.topics import TOPICS
from storage.outbox import SLICES
from tests.simulation.broker import Broker, Consumer, Entry, Log, Producer
from tests.simulation.database import Engine, Server, Tx
from tests.simulation.faults import Nemesis
from tests.simulation.gateway import Gateway
from tests.simulation.plans import Plan
from tests.simulation.ports import PORTS
from tests.simulation.rows import KEYS
from tests.simulation.scheduler import Actor, Scheduler

PROBES_MAX: Final = 30
STAGE_OF: Final = {topic: stage for stage, topic in STAGE_TOPICS.items()}
_SETTINGS: Final = SimpleNamespace(
    profile="local",
    source_rules=None,
    signing=SigningSettings(),
    sending=SendingSettings(),
    timestamp_type="CreateTime",
    database=SimpleNamespace(connection_url="simulated"),
    kafka=SimpleNamespace(group_prefix="escrow"),
    relay=SimpleNamespace(slices=tuple(range(SLICES)), retention_hours=168),
)


class Cut(NamedTuple):
    """A log that lost its end: what it was, and under which epoch it was read then."""

    log: Log
    before: list[Entry | None]
    epoch: int


class World:
    """Made of a plan; `run` once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.scheduler = Scheduler(plan.dice, plan.sticky)
        self.random = self.scheduler.random
        partitions = {
            topic.name: plan.partitions if topic.name in STAGE_OF else 1 for topic in TOPICS
        }
        self.broker = Broker(self.scheduler, partitions)
        self.server = Server(self.scheduler, KEYS)
        for slice_ in range(SLICES):
            row = {"slice": slice_, "epoch": 0, "seen_at": None}
            self.server.tables["outbox_slices"].rows[slice_,] = row
        self.gateway = Gateway(self.scheduler, self.broker)
        self.nemesis = Nemesis(self, plan.faults)
        self.settings = SimpleNamespace(
            **vars(_SETTINGS),
            batch=SimpleNamespace(records_max=plan.records_max, bytes_max=16_777_216, linger_ms=5),
        )
        self.failures: list[str] = []  # processes that ended as none should
        self.halted: dict[str, str] = {}  # stage → why
        self.restarts: Counter[str] = Counter()
        self.truncated: dict[TopicPartition, int] = {}  # and how often that was probed
        self.cuts: list[Cut] = []
        self._fed = 0
        self._bodies: dict[str, Callable[[Actor], None]] = {
            "relay": lambda actor: run_relay(self.settings, actor.stop),  # type: ignore[arg-type]
            "ticker": lambda actor: run_ticker(self.settings, actor.stop),  # type: ignore[arg-type]
        }
        self.running: set[str] = set()  # kinds of processes that are meant to run

    def run(self) -> None:
        """Raises Stuck when it does not come to rest."""
        scheduler, server = self.scheduler, self.server
        scheduler.at_rest = self.is_at_rest
        scheduler.on_end = self._ended
        scheduler.on_step = self.nemesis.strike
        scheduler.next_event = self.nemesis.next_at
        server.on_commit = self._committed
        server.on_statement = self.nemesis.on_statement
        server.commit_fate = self.nemesis.commit_fate
        self.broker.on_append = self._appended
        self.broker.on_send = self.nemesis.on_send
        PORTS.make_engine = lambda: Engine(server, self._actor())
        PORTS.make_consumer = lambda group: Consumer(self.broker, self._actor(), group)
        PORTS.make_producer = lambda: Producer(self.broker, self._actor())
        PORTS.pass_place = self._pass
        PORTS.now = lambda: scheduler.now
        PORTS.random_bytes = scheduler.rng.randbytes
        for kind in ("relay", "ticker"):
            self.start(kind)
        if self.plan.facts:
            scheduler.ready.append(self._feed)
        try:
            scheduler.run()
        finally:
            scheduler.kill_all()

    # processes

    def start(self, kind: str) -> Actor:
        """One more process of this kind: relay, ticker, or a stage's name."""
        self.running.add(kind)
        body = self._bodies.get(kind) or self._stage(kind)
        self.restarts[kind] += 1
        return self.scheduler.spawn(Actor(f"{kind}-{self.restarts[kind]}", kind, body))

    def _stage(self, name: str) -> Callable[[Actor], None]:
        stage = STAGES[name]
        return lambda actor: run_stage(self.settings, stage, actor.stop)  # type: ignore[arg-type]

    def alive(self, kind: str | None = None) -> list[Actor]:
        return [a for a in self.scheduler.actors if a.alive and kind in (None, a.kind)]

    def kill(self, actor: Actor) -> None:
        """Its connections go at once; its group waits for the end of its session."""
        if not actor.alive:
            return
        scheduler = self.scheduler
        scheduler.kill(actor)
        for session in actor.sessions:
            session.end(ConnectionError("killed"))
        for consumer in actor.consumers:
            if consumer.group is not None:
                self._expire_later(consumer, 2.0)
        self.start_later(actor.kind)

    def _expire_later(self, consumer: Consumer, seconds: float) -> None:
        group = consumer.group
        assert group is not None
        self.scheduler.at(self.scheduler.now + seconds, lambda: group.expire(consumer))

    def start_later(self, kind: str) -> None:
        def start() -> None:
            if not self.alive(kind) and kind not in self.halted:
                self.start(kind)

        self.scheduler.at(self.scheduler.now + self.random(), start)

    def _ended(self, actor: Actor) -> None:
        """A process has ended by itself."""
        if isinstance(actor.error, Halt):
            self.halted[actor.kind] = str(actor.error)
        elif actor.error is not None:
            error = actor.error
            self.failures.append(f"{actor.kind} died of {type(error).__name__}: {error}")
            self.scheduler.finished = True
        else:
            self.start_later(actor.kind)

    def _actor(self) -> Actor:
        actor = self.scheduler.current
        assert actor is not None
        return actor

    def _pass(self, place: str) -> None:
        actor = self._actor()
        if actor.dead:
            return
        if self.nemesis.place is not None:
            self.nemesis.passing(actor, place)
        for consumer in actor.consumers:
            consumer.meanwhile()

    def cut(self, log: Log, keep: int) -> None:
        """The log loses its end; every client notices that the broker was away."""
        stage = STAGE_OF[log.where.topic]
        row = self.server.tables["consumer_positions"].rows[stage, *log.where]
        self.cuts.append(Cut(log, list(log.entries), row["epoch"]))
        del log.entries[keep:]
        self.truncated[log.where] = 0
        for group in self.broker.groups.values():
            group.rebalance()

    # what others do

    def _feed(self) -> bool:
        """The world outside sends its next record."""
        facts = self.plan.facts
        if self.broker.is_down:
            self.scheduler.at(self.scheduler.now + 0.2, self._feed_again)
            return False
        while self._fed < len(facts):
            sent = facts[self._fed]
            self._fed += 1
            entry = self.broker.append(sent.topic, sent.key, sent.value, sent.headers, sent.t)
            if self.plan.markers and self.random() < self.plan.markers:
                self.broker.mark(sent.topic, entry.partition)
            if self.random() >= self.plan.burst:
                break
        return self._fed < len(facts)

    def _feed_again(self) -> None:
        self.scheduler.ready.append(self._feed)

    def _appended(self, entry: Entry) -> None:
        stage = STAGE_OF.get(entry.topic)
        if stage is None:
            self.gateway.look(entry)
        elif stage not in self.running:
            self.start(stage)

    def _committed(self, tx: Tx) -> None:
        for row in tx.writes.get("batches", {}).values():
            assert row is not None
            key = row["stage"], row["topic"], row["partition"]
            epoch = self.server.tables["consumer_positions"].rows[key]["epoch"]
            if row["epoch"] != epoch:
                self.failures.append(
                    f"I7: {key}: epoch {row['epoch']} writes when {epoch} has begun"
                )
        if "outbox" in tx.writes:
            self.scheduler.call("relay")
        if self.random() < 0.1:
            self.scheduler.call("ticker")

    # rest

    def is_at_rest(self) -> bool:
        """Asked when all wait: is there anything left that they should still do?"""
        if self._fed < len(self.plan.facts) or self.scheduler.timers or self.server.open:
            return False
        if self.nemesis.is_busy:
            return False
        tables = self.server.tables
        positions = tables["consumer_positions"].rows
        for where, log in self.broker.logs.items():
            stage = STAGE_OF.get(where.topic)
            if stage is None or stage in self.halted:
                continue
            if where in self.truncated:
                return not self._probe(where)
            if not log.end:
                continue
            row = positions.get((stage, where.topic, where.partition))
            if row is None or row["next_offset"] != log.end:
                return False
        holds = tables["command_holds"].rows
        for row in tables["outbox"].rows.values():
            if row["sent_at"] is None and (row["key"], row["command_id"]) not in holds:
                return False
        return not self._is_due() and not self.gateway.has_work

    def _probe(self, where: TopicPartition) -> bool:
        """One more record for a log that was cut: by then at the latest its stage must notice."""
        self.truncated[where] += 1
        log = self.broker.logs[where]
        log.entries.append(Entry(where.topic, where.partition, log.end, 1, b"probe", b"{}", ()))
        self.scheduler.call(where.topic)
        return self.truncated[where] < PROBES_MAX

    def _is_due(self) -> bool:
        """Deadlines and park limits that have been reached, and a ticker who could say so."""
        if STAGE_OF[DEADLINES] in self.halted:
            return False
        tables = self.server.tables
        now = max((row["t_max"] for row in tables["consumer_positions"].rows.values()), default=-1)
        for row in tables["parked"].rows.values():
            if row["expires_at"] is not None and row["expires_at"] <= now:
                return True
        orders = tables["escrows"].rows
        return any(
            row["due_at"] <= now and orders[row["order_id"],]["status"] != "FROZEN"
            for row in tables["deadlines"].rows.values()
        )
