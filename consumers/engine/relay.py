"""What decisions have written is sent at least once, in order within an order, by one writer a slice.

A row is marked after its ack; a crash in between, or a relay that was frozen and wakes, sends it
again under the same id. A stale writer's mark is refused by the database.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Final

import structlog

from consumers.engine import metrics, tracing
from consumers.engine.asking import KafkaUnavailable
from consumers.engine.caps import PAYING, Caps
from consumers.engine.config import Settings
from consumers.engine.crash import crash_point
from consumers.engine.health import HEALTH
from consumers.engine.processing import Halt
from consumers.engine.promises import Promises, confirmed
from consumers.engine.publishing import (
    NotTried,
    Publisher,
    make_publisher,
    wire_of,
)
from consumers.engine.safeguards import SendingSettings
from consumers.engine.signing import assert_commands_are_signed
from storage import lineage, relaying
from storage.engine import CONNECTION_LOST, Connection, Engine, stage_engine
from storage.relaying import Unsent

ROWS_MAX: Final = 512  # a slice and round
BYTES_MAX: Final = 1_048_576  # a slice and round: what can be in flight is 16 times as much
LEASE_SECONDS: Final = 10.0  # a slice whose writer gives no sign for so long is taken over
SIGN_SECONDS: Final = 3.0
_IDLE_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.04)  # asleep for longer the longer it is quiet
_RETRY_SECONDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_REST_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)  # of a slice in which a row was refused

log = structlog.get_logger()


class Relay:
    """Sends the rows of its slices, round after round: read, send, mark.

    `counts` has sent, rounds, lost (slices), refused (rows); `seconds` where the time went.
    """

    def __init__(
        self,
        engine: Engine,
        publisher: Publisher,
        slices: Collection[int],
        *,
        rows_max: int = ROWS_MAX,
        bytes_max: int = BYTES_MAX,
        promises: Promises | None = None,
        sending: SendingSettings = SendingSettings(),  # noqa: B008 -- immutable
    ) -> None:
        self.promises = promises or Promises()  # of an earlier life of the database
        self.epochs: dict[int, int] = {}  # of the slices that are ours
        self.counts: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._engine = engine
        self._publisher = publisher
        self._slices = frozenset(slices)
        self._limits = (rows_max, bytes_max)
        self._guarded = sending.operator_controls
        self._caps = Caps(sending) if sending.has_caps else None
        self._refusals: Counter[int] = Counter()  # slice → in a row
        self._rests_until: dict[int, float] = {}
        self._signed_at = 0.0

    def take(self) -> None:
        """Become the writer of all our slices; whoever was it will notice at his next mark."""
        with self._timed("take") as connection:
            self.epochs = relaying.take(connection, self._slices)
        crash_point("relay.taken")
        self._signed_at = time.monotonic()
        log.info("sending", epochs=self.epochs)

    def keep(self) -> None:
        """Give a sign of life now and then; take over what another writer has left behind."""
        if time.monotonic() - self._signed_at < SIGN_SECONDS:
            return
        with self._timed("take") as connection:
            if self.epochs:
                self._drop(self.epochs.keys() - relaying.give_sign(connection, self.epochs))
            if others := self._slices - self.epochs.keys():
                taken = relaying.take_abandoned(connection, others, LEASE_SECONDS)
                if taken:
                    log.warning("slices taken over", epochs=taken)
                    self.epochs |= taken
        self._signed_at = time.monotonic()

    def leave(self) -> None:
        """Say that we are gone, so that another relay need not wait."""
        if self.epochs:
            with self._timed("take") as connection:
                relaying.give_sign(connection, self.epochs, leave=True)
            self.epochs = {}

    def step(self) -> int:
        """One round; returns how many rows were sent and marked."""
        rows = self.keep_promises(self.read())
        return self.mark(self.send(rows)) if rows else 0

    def read(self) -> list[Unsent]:
        """What to send next, in the order of ids; what is on hold is not among it."""
        now = time.monotonic()
        slices = [s for s in sorted(self.epochs) if self._rests_until.get(s, 0.0) <= now]
        if not slices:
            return []
        with self._timed("read") as connection:
            rows = relaying.read_unsent(connection, slices, *self._limits, guarded=self._guarded)
        if rows:
            crash_point("relay.read")
        if self._caps and any(row.type in PAYING for row in rows):
            with self._timed("caps") as connection:
                rows = self._caps.let_through(connection, rows)
        if stoppable := [row for row in rows if row.let_go is False]:
            with self._timed("let_go") as connection:
                gone = relaying.let_go(connection, self.epochs, stoppable)
                crash_point("relay.letting_go")
            crash_point("relay.let_go")
            rows = [row for row in rows if row.let_go is not False or row.id in gone]
        return rows

    def keep_promises(self, rows: list[Unsent]) -> list[Unsent]:
        """Mark what was sent before a restore; returns the rest. Raises Halt."""
        if not self.promises:
            return rows
        try:
            send, kept = self.promises.split(rows)
        except Halt:  # another relay may have kept a promise since we read them
            with self._timed("read") as connection:
                self.promises = Promises(lineage.open_promises(connection))
            send, kept = self.promises.split(rows)
        if kept:
            with self._timed("mark") as connection:
                marked = relaying.mark_sent(connection, self.epochs, [row.id for row in kept])
                if marked < len(kept):  # a slice is ours no more: what is promised stays so
                    self._drop(self.epochs.keys() - relaying.give_sign(connection, self.epochs))
                    self.promises = Promises(lineage.open_promises(connection))
                    return []
                lineage.keep(connection, [(row.key, row.sent_id) for row in kept])
            log.info("sent before the restore", rows=len(kept), still_promised=len(self.promises))
            self.counts["kept"] += len(kept)
        return send

    def send(self, rows: Sequence[Unsent]) -> list[Unsent]:
        """Those rows that have their ack, of each slice up to the first that has none."""
        began = time.perf_counter()
        crash_point("relay.sending")
        began_ns = time.time_ns()
        results = self._publisher.publish([wire_of(row) for row in rows])
        crash_point("relay.sent")
        self.seconds["send"] += time.perf_counter() - began
        sent: list[Unsent] = []
        stopped: set[int] = set()
        for row, error in zip(rows, results, strict=True):
            if row.slice in stopped:
                continue
            if error is None:
                sent.append(row)
                continue
            stopped.add(row.slice)
            if not isinstance(error, NotTried):
                self._rest(row, error)
        tracing.trace_sent(sent, began_ns)
        return sent

    def mark(self, rows: Sequence[Unsent]) -> int:
        """Mark these as sent, as far as their slices are still ours; returns how many."""
        if not rows:
            return 0
        with self._timed("mark") as connection:
            marked = relaying.mark_sent(connection, self.epochs, [row.id for row in rows])
            crash_point("relay.marking")
            if marked < len(rows):
                self._drop(self.epochs.keys() - relaying.give_sign(connection, self.epochs))
        crash_point("relay.marked")
        for slice_ in {row.slice for row in rows}:
            self._refusals.pop(slice_, None)
        self.counts["rounds"] += 1
        self.counts["sent"] += marked
        return marked

    def figures(self) -> dict[str, float]:
        """What is served of it; read on another thread."""
        return {
            "escrow_relay_sent_total": self.counts["sent"],
            "escrow_relay_refused_total": self.counts["refused"],
            "escrow_relay_slices_lost_total": self.counts["lost"],
            "escrow_relay_slices": len(self.epochs),
        }

    def _rest(self, row: Unsent, error: Exception) -> None:
        """A row that Kafka refuses holds up its slice, loudly, and no other one for long."""
        seconds = _REST_SECONDS[min(self._refusals[row.slice], len(_REST_SECONDS) - 1)]
        self._refusals[row.slice] += 1
        self._rests_until[row.slice] = time.monotonic() + seconds
        self.counts["refused"] += 1
        log.error(
            "row not sent",
            slice=row.slice,
            row=row.id,
            topic=row.topic,
            error=f"{type(error).__name__}: {error}"[:300],
            again_in_seconds=seconds,
        )

    def _drop(self, lost: Collection[int]) -> None:
        if lost:
            log.warning("slices lost to another relay", slices=sorted(lost))
            self.counts["lost"] += len(lost)
            for slice_ in lost:
                del self.epochs[slice_]

    @contextmanager
    def _timed(self, what: str) -> Iterator[Connection]:
        """One transaction; its time is booked."""
        began = time.perf_counter()
        with self._engine.connect() as connection, connection.begin():
            yield connection
        self.seconds[what] += time.perf_counter() - began


def run_relay(settings: Settings, stop: Event, *, restored: bool = False) -> None:
    """Send until `stop` is set; a database or a Kafka that is away is waited for.

    `restored`: compare with the command topics although the database's life looks like the same one.
    Raises Halt where sending could contradict what gateways were told.
    """
    assert_commands_are_signed(settings)
    engine = stage_engine(settings.database.connection_url, name="escrow-relay")
    publisher = make_publisher(settings, stop)
    relay = Relay(engine, publisher, settings.relay.slices, sending=settings.sending)
    try:
        with metrics.shown(relay.figures):
            _work(relay, publisher, stop, lambda: confirmed(engine, settings, restored=restored))
        _leave(relay)
    finally:
        publisher.close()
        engine.dispose()


def _leave(relay: Relay) -> None:
    for _ in range(2):  # the first try may meet a connection that died while we slept
        try:
            relay.leave()
            return
        except CONNECTION_LOST as error:
            log.warning("left without a word", error=type(error).__name__)


def _work(relay: Relay, publisher: Publisher, stop: Event, confirm: Callable[[], Promises]) -> None:
    """`confirm` says whether the database still is the one that was sent from, each time it was away."""
    quiet = failed = 0
    took = 0.0
    started = is_confirmed = False
    while not stop.is_set():
        HEALTH.turned()
        failures = publisher.failures
        try:
            if not is_confirmed:
                relay.promises, is_confirmed = confirm(), True
            if started:
                relay.keep()
            else:
                relay.take()
                started = True
            began = time.monotonic()
            sent = relay.step()
            took = time.monotonic() - began
        except KafkaUnavailable as error:
            log.warning("the command topics cannot be read", error=str(error)[:300])
            stop.wait(_RETRY_SECONDS[-1])
            continue
        except CONNECTION_LOST as error:
            is_confirmed = False
            log.warning("database away", error=f"{type(error).__name__}: {error}"[:300])
            stop.wait(_RETRY_SECONDS[min(failed, len(_RETRY_SECONDS) - 1)])
            failed += 1
            continue
        if not sent and publisher.failures > failures:
            stop.wait(_RETRY_SECONDS[min(failed, len(_RETRY_SECONDS) - 1)])
            failed += 1
            continue
        HEALTH.turned(worked=True)
        failed = 0
        quiet = 0 if sent else quiet + 1
        if quiet:
            idle = _IDLE_SECONDS[min(quiet, len(_IDLE_SECONDS)) - 1]
            # looking is dear while someone keeps an old snapshot open
            stop.wait(max(idle, min(4 * took, 1.0)))
