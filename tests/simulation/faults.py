"""What goes wrong, and when: each fault of a plan strikes once, at its step, or when all else is quiet."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kafka.structs import TopicPartition
from psycopg import OperationalError, errors

from consumers.engine.crash import PLACES
from tests.simulation.broker import Consumer
from tests.simulation.database import EXCLUSIVE, Session, Tx
from tests.simulation.plans import Fault
from tests.simulation.scheduler import STEPS_MAX, Actor, Killed
from tests.simulation.statements.answers import refuse

if TYPE_CHECKING:
    from tests.simulation.world import World

_PLACES: Final = tuple(place for place in PLACES if not place.startswith("gateway."))
_REFUSALS: Final = ("40P01", "40001", "55P03", "57014", "53300", "58030")
_SENDS: Final = {
    "ack lost": "ack lost",
    "sent in part": "partly",
    "sending refused": "refused",
    "sent twice": "sent twice",
}


class Nemesis:
    """Strikes; `struck` says what really happened."""

    def __init__(self, world: "World", faults: tuple[Fault, ...]) -> None:
        self._world = world
        self._coming = list(faults)
        self.struck: list[str] = []
        self.place: tuple[str, int] | None = (
            None  # where somebody is to be struck; passings until then
        )
        self._there: Callable[[Actor], None] = self._die
        self._refusal: tuple[str, int] | None = None  # SQLSTATE, statements until then
        self._cut: int | None = None  # statements until the connection goes
        self._fate: tuple[str, str, int] | None = None  # of a COMMIT; kind; COMMITs until then
        self._send: str | None = None
        self._kinds: dict[str, Callable[[random.Random], None]] = {
            "process killed": self._kill,
            "killed at a named place": self._kill_at,
            "everything killed": self._kill_all,
            "process frozen": self._freeze,
            "zombie": self._zombie,
            "process stopped in good order": self._stop,
            "second worker joins": self._second_worker,
            "second relay": lambda _: self._second("relay"),
            "second ticker": lambda _: self._second("ticker"),
            "member thrown out of its group": self._throw_out,
            "statement refused": self._refuse,
            "connection lost": self._lose,
            "COMMIT lost": lambda rng: self._doom("request lost", rng),
            "reply to COMMIT lost": lambda rng: self._doom("reply lost", rng),
            "database restarted": self._restart_database,
            "row locked by another": self._lock_row,
            "broker away": self._broker_away,
            "poll fails": self._fail_poll,
            "log truncated": self._truncate,
        }

    @property
    def next_at(self) -> int:
        return self._coming[0].at if self._coming else STEPS_MAX

    @property
    def is_busy(self) -> bool:
        return bool(self._coming)

    def strike(self) -> None:
        """The next fault's step has come."""
        if not self._coming:
            return
        fault = self._coming.pop(0)
        self._world.scheduler.next_event = max(self.next_at, self._world.scheduler.steps + 1)
        rng = random.Random(fault.chance)
        if fault.kind in _SENDS:
            self._send = fault.kind
        else:
            self._kinds[fault.kind](rng)

    def _victim(self, rng: random.Random, kind: str | None = None) -> Actor | None:
        alive = [a for a in self._world.alive(kind) if a.frozen_until is None]
        return rng.choice(alive) if alive else None

    # processes

    def _kill(self, rng: random.Random) -> None:
        if (victim := self._victim(rng)) is not None:
            self.struck.append("process killed")
            self._world.kill(victim)

    def _kill_at(self, rng: random.Random) -> None:
        self.place, self._there = (rng.choice(_PLACES), rng.randint(1, 3)), self._die

    def passing(self, actor: Actor, place: str) -> None:
        """Somebody passes one of the product's crash points, while one is armed."""
        assert self.place is not None
        name, left = self.place
        if name == place:
            self.place = (name, left - 1) if left > 1 else None
            if left <= 1:
                self._there(actor)

    def _die(self, actor: Actor) -> None:
        self.struck.append("killed at a named place")
        self._world.kill(actor)
        raise Killed

    def _kill_all(self, _rng: random.Random) -> None:
        self.struck.append("everything killed")
        for actor in self._world.alive():
            self._world.kill(actor)

    def _freeze(self, rng: random.Random) -> None:
        if (victim := self._victim(rng)) is not None:
            self.struck.append("process frozen")
            self._halt(victim, rng.choice((0.3, 3.0, 6.0)), 8.0)

    def _zombie(self, rng: random.Random) -> None:
        """Frozen until after its successor has taken over: anywhere, or where it hurts."""
        seconds = rng.choice((0.01, 0.02, 0.05, 4.0, 6.0, 12.0))
        session = rng.choice((0.001, 0.001, 1.0, 3.0))

        def freeze(victim: Actor) -> None:
            self.struck.append("zombie")
            self._halt(victim, seconds, session)
            self._world.start(victim.kind)

        def freeze_there(victim: Actor) -> None:
            freeze(victim)
            self._world.scheduler.pause()

        if rng.random() < 0.3:
            if (victim := self._victim(rng)) is not None:
                freeze(victim)
        else:
            self.place, self._there = (rng.choice(_PLACES), rng.randint(1, 3)), freeze_there

    def _halt(self, victim: Actor, seconds: float, session: float) -> None:
        world = self._world
        scheduler = world.scheduler
        scheduler.freeze(victim, seconds)
        for consumer in victim.consumers:
            if consumer.group is not None:
                scheduler.at(scheduler.now + session, lambda c=consumer: _expire(victim, c))  # type: ignore[misc]
        for open_ in victim.sessions:
            if open_.tx is not None:
                tx = open_.tx
                scheduler.at(scheduler.now + 5.0, lambda s=open_, t=tx: _end_idle(s, t))  # type: ignore[misc]

    def _stop(self, rng: random.Random) -> None:
        if (victim := self._victim(rng)) is not None:
            self.struck.append("process stopped in good order")
            victim.stop.set()

    def _second_worker(self, rng: random.Random) -> None:
        stages = sorted(self._world.running - {"relay", "ticker"})
        if stages:
            self._second(rng.choice(stages))

    def _second(self, kind: str) -> None:
        if kind not in self._world.halted:
            self.struck.append(f"second {kind if kind in ('relay', 'ticker') else 'worker'}")
            self._world.start(kind)

    def _throw_out(self, rng: random.Random) -> None:
        """No heartbeat came through for a session, though the worker is well."""
        members = [
            consumer
            for actor in self._world.alive()
            for consumer in actor.consumers
            if consumer.group is not None
        ]
        if members:
            self.struck.append("member thrown out of its group")
            consumer = rng.choice(members)
            assert consumer.group is not None
            consumer.group.expire(consumer)
            self._world.scheduler.call(consumer.actor.name)

    # the database

    def on_statement(self, session: Session, _sql: str) -> None:
        if self._cut is not None:
            self._cut -= 1
            if self._cut < 0:
                self._cut = None
                self.struck.append("connection lost")
                session.end(OperationalError("planted: connection lost"))
        if self._refusal is not None:
            sqlstate, left = self._refusal
            self._refusal = (sqlstate, left - 1)
            if left <= 0 and session.actor.kind not in ("relay", "ticker"):
                self._refusal = None
                self.struck.append("statement refused")
                raise refuse(sqlstate)

    def commit_fate(self, session: Session) -> str | None:
        if self._fate is None:
            return None
        fate, kind, left = self._fate
        if (session.actor.kind in ("relay", "ticker")) != (kind != "stage"):
            return None
        self._fate = (fate, kind, left - 1)
        if left > 0:
            return None
        self._fate = None
        self.struck.append("COMMIT lost" if fate == "request lost" else "reply to COMMIT lost")
        return fate

    def _refuse(self, rng: random.Random) -> None:
        self._refusal = rng.choice(_REFUSALS), rng.randrange(30)

    def _lose(self, rng: random.Random) -> None:
        self._cut = rng.randrange(40)

    def _doom(self, fate: str, rng: random.Random) -> None:
        self._fate = fate, rng.choice(("stage", "stage", "other")), rng.randrange(4)

    def _restart_database(self, _rng: random.Random) -> None:
        self.struck.append("database restarted")
        for actor in self._world.scheduler.actors:
            for session in actor.sessions:
                session.end(errors.AdminShutdown("terminating connection"))

    def _lock_row(self, rng: random.Random) -> None:
        """A person's session holds rows for a while."""
        world = self._world
        server = world.server
        names = ("escrows", "consumer_positions", "outbox_slices", "outbox")
        places = [(n, key) for n in names for key in server.tables[n].rows]
        free = [place for place in places if place not in server.locks]
        if not free:
            return
        self.struck.append("row locked by another")
        stranger = Actor("stranger", "stranger", lambda _: None)
        stranger.scheduler = world.scheduler
        session = Session(server, stranger)
        server.begin(session)
        assert session.tx is not None
        for name, key in rng.sample(free, min(3, len(free))):
            server.locks[name, key] = {session.tx: EXCLUSIVE}
            session.tx.held.append((name, key))
        seconds = rng.choice((0.05, 1.0, 6.0))
        world.scheduler.at(world.scheduler.now + seconds, lambda: server.finish(session))

    # the broker

    def on_send(self, _actor: Actor) -> str | None:
        if self._send is None:
            return None
        kind, self._send = self._send, None
        self.struck.append(kind)
        return _SENDS[kind]

    def _broker_away(self, rng: random.Random) -> None:
        broker, scheduler = self._world.broker, self._world.scheduler
        if broker.is_down:
            return
        self.struck.append("broker away")
        broker.is_down = True

        def back() -> None:
            broker.is_down = False
            for topic in broker.partitions:
                scheduler.call(topic)

        scheduler.at(scheduler.now + rng.choice((0.05, 0.5, 3.0)), back)

    def _fail_poll(self, rng: random.Random) -> None:
        consumers = [c for a in self._world.alive() for c in a.consumers if c.group is not None]
        if consumers:
            self.struck.append("poll fails")
            rng.choice(consumers).polls_to_fail += 1

    def _truncate(self, rng: random.Random) -> None:
        """An unclean leader has fewer records than were read; all clients join anew."""
        world = self._world
        rows = world.server.tables["consumer_positions"].rows
        read = [
            key
            for key, row in rows.items()
            if row["next_offset"] > 0 and TopicPartition(*key[1:]) not in world.truncated
        ]
        if not read:
            return
        stage, topic, partition = rng.choice(sorted(read))
        log = world.broker.logs[TopicPartition(topic, partition)]
        row = rows[stage, topic, partition]
        keeps = [rng.randrange(row["next_offset"])]
        if row["last_offset"] is not None:  # the last record read, or only what came after it
            keeps += [row["last_offset"], min(row["last_offset"] + 1, row["next_offset"] - 1)]
        keep = rng.choice(keeps)
        self.struck.append("log truncated")
        world.cut(log, keep)


def _expire(victim: Actor, consumer: Consumer) -> None:
    if victim.frozen_until is not None and consumer.group is not None:
        consumer.group.expire(consumer)


def _end_idle(session: Session, tx: Tx) -> None:
    """The server's own limit for those who do nothing within a transaction."""
    if session.tx is tx and session.actor.frozen_until is not None:
        session.end(errors.IdleInTransactionSessionTimeout("idle in transaction"))
