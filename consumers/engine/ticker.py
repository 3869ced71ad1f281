"""Time enters the pipeline here, as facts: what is due is announced, and rules decide about it.

Everything may be said twice under the same id; nothing is said under a new id before the old one
was decided. One ticker is active, others stand by.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from threading import Event
from typing import Final

import structlog

from consumers.engine import metrics
from consumers.engine.config import Settings
from consumers.engine.crash import crash_point
from consumers.engine.health import HEALTH
from consumers.engine.publishing import Publisher, Wire, binary_headers, make_publisher
from escrow.schedule import deadline_id
from schemas.deadlines import DeadlineReached
from schemas.facts import FACT_TYPES
from schemas.order_events import rfc3339
from storage import relaying, ticking, totals
from storage.engine import CONNECTION_LOST, Connection, Engine, stage_engine
from storage.facts import identity_key, known_identities
from storage.policies import learn_policies
from storage.positions import decided_until
from storage.ticking import Due

SOURCE: Final = "escrow-ticker"
TOPIC: Final = FACT_TYPES["deadline.reached"].topic
Clock = Callable[[Connection], int]  # now, ms UTC; negative: nothing was decided yet

LOOK_SECONDS: Final = 0.2
LOOK_AGAIN_SECONDS: Final = 2.0  # at deadlines that were sent, and are still there
TIDY_SECONDS: Final = 1.0
STANDBY_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)

log = structlog.get_logger()


class Ticker:
    """Looks at the rows and at its clock, turn after turn.

    `counts` has ticks, again, asked, folded, purged; `is_active` is False while another one works.
    """

    def __init__(
        self,
        engine: Engine,
        publisher: Publisher,
        clock: Clock,
        retention_seconds: float = 7 * 86_400,
        look_again_seconds: float = LOOK_AGAIN_SECONDS,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.is_active = False
        self._engine = engine
        self._publisher = publisher
        self._clock = clock
        self._retention_seconds = retention_seconds
        self._look_again_seconds = look_again_seconds
        self._connection: Connection | None = None
        self._looked_again_at = self._tidied_at = float("-inf")

    def step(self) -> int:
        """One turn; returns how many ticks were sent. Does nothing while another is active."""
        connection = self._connect()
        if not self.is_active:
            with connection.begin():
                self.is_active = ticking.become_active(connection)
            if not self.is_active:
                return 0
            crash_point("ticker.active")
            log.info("active")
        with connection.begin():
            learn_policies(connection)
            now = self._clock(connection)
        if now < 0:
            return 0
        if time.monotonic() - self._looked_again_at >= self._look_again_seconds:
            self.look_again(connection, now)
            self._looked_again_at = time.monotonic()
        sent = self.tick(connection, now)
        self.ask(connection, now)
        if time.monotonic() - self._tidied_at >= TIDY_SECONDS:
            self.tidy(connection)
            self._tidied_at = time.monotonic()
        return sent

    def tick(self, connection: Connection, now: int) -> int:
        """Announce what is due; returns how many ticks have their ack."""
        with connection.begin():
            due = _undecided(connection, ticking.due(connection, now))
        if not due:
            return 0
        crash_point("ticker.claimed")
        acked = self.announce(due, now)
        crash_point("ticker.sent")
        if acked:
            with connection.begin():
                ticking.mark_ticked(connection, acked, now)
                crash_point("ticker.marking")
        crash_point("ticker.marked")
        self.counts["ticks"] += len(acked)
        return len(acked)

    def announce(self, due: Sequence[Due], now: int) -> list[Due]:
        """Send the ticks; returns those that have their ack."""
        results = self._publisher.publish([_wire(deadline, now) for deadline in due])
        return [deadline for deadline, error in zip(due, results, strict=True) if error is None]

    def look_again(self, connection: Connection, now: int) -> None:
        """Deadlines that are still there although their tick was decided: it came early."""
        with connection.begin():
            there = ticking.ticked(connection)
            coming = _undecided(connection, there)
            again = sorted(set(coming) - set(there))  # those with another attempt to come
            if again:
                ticking.tick_again(connection, again)
            lost = ticking.forget_lost(connection, now)
        if again or lost:
            log.warning("ticks needed again", early=len(again), undecided_for_long=lost)
        self.counts["again"] += len(again) + lost

    def ask(self, connection: Connection, now: int) -> None:
        """Report commands without an answer for too long, and ask the gateways about them."""
        with connection.begin():
            silent = ticking.ask_about_silent(connection, now)
            if silent:
                crash_point("ticker.asking")
        for command in silent:
            log.warning(
                "command is silent",
                order_id=command.order_id,
                command_id=command.command_id,
                silent_seconds=(now - command.asked_at) // 1000,
            )
        self.counts["asked"] += len(silent)

    def tidy(self, connection: Connection) -> None:
        """Fold totals, and clear away old rows of the outbox: a bounded piece of each."""
        with connection.begin():
            self.counts["folded"] += totals.fold(connection)
            crash_point("ticker.folding")
        crash_point("ticker.folded")
        with connection.begin():
            self.counts["purged"] += relaying.purge(connection, self._retention_seconds)
            crash_point("ticker.purging")

    def figures(self) -> dict[str, float]:
        """What is served of it; read on another thread."""
        return {
            "escrow_ticker_active": int(self.is_active),
            "escrow_ticker_ticks_total": self.counts["ticks"],
            "escrow_ticker_asked_total": self.counts["asked"],
        }

    def close(self) -> None:
        """Give the lock back, so that another ticker goes on at once."""
        connection, self._connection, self.is_active = self._connection, None, False
        if connection is not None:
            connection.invalidate()  # the lock ends with the session, not with its transaction
            connection.close()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection


def clock_of(settings: Settings) -> Clock:
    """RULES 4.7: the wall clock where the broker stamps records, else the largest t decided."""
    if settings.timestamp_type == "LogAppendTime":
        return lambda _connection: time.time_ns() // 1_000_000
    return decided_until


def run_ticker(settings: Settings, stop: Event) -> None:
    """Tick until `stop` is set; a database or a Kafka that is away is waited for."""
    engine = stage_engine(settings.database.connection_url, name="escrow-ticker")
    publisher = make_publisher(settings, stop)
    retention_seconds = settings.relay.retention_hours * 3_600
    ticker = Ticker(engine, publisher, clock_of(settings), retention_seconds)
    try:
        with metrics.shown(ticker.figures):
            _work(ticker, stop)
    finally:
        ticker.close()
        publisher.close()
        engine.dispose()


def _work(ticker: Ticker, stop: Event) -> None:
    failed = 0
    while not stop.is_set():
        HEALTH.turned()
        try:
            ticker.step()
            HEALTH.turned(worked=True)
            failed = 0
            stop.wait(LOOK_SECONDS if ticker.is_active else STANDBY_SECONDS)
        except CONNECTION_LOST as error:
            log.warning("database away", error=f"{type(error).__name__}: {error}"[:300])
            ticker.close()
            stop.wait(_RETRY_SECONDS[min(failed, len(_RETRY_SECONDS) - 1)])
            failed += 1


def _undecided(connection: Connection, deadlines: Sequence[Due]) -> list[Due]:
    """The same deadlines, each at the first attempt that nobody has decided yet."""
    found: list[Due] = []
    waiting = list(deadlines)
    while waiting:
        keys = {deadline: identity_key(SOURCE, _id(deadline)) for deadline in waiting}
        decided = known_identities(connection, set(keys.values()))
        found.extend(deadline for deadline in waiting if keys[deadline] not in decided)
        waiting = [
            deadline._replace(ticks=deadline.ticks + 1)
            for deadline in waiting
            if keys[deadline] in decided
        ]
    return found


def _id(deadline: Due) -> str:
    order_id, attempt = deadline.order_id, deadline.ticks + 1
    return deadline_id(order_id, deadline.kind, deadline.due_at, deadline.request_id, attempt)


def _wire(deadline: Due, now: int) -> Wire:
    id_ = _id(deadline)
    data = DeadlineReached(
        order_id=deadline.order_id,
        deadline_id=id_,
        kind=deadline.kind,
        due_at=rfc3339(deadline.due_at),
    )
    headers = binary_headers(SOURCE, "deadline.reached", id_)
    return Wire(TOPIC, deadline.order_id.encode(), data.model_dump_json().encode(), headers, now)
