"""One pair of eyes for all viewers: what it saw stays in memory, so that a page costs the servers nothing.

It looks often while somebody is there and seldom while nobody is. What takes a look at whole tables
is taken so seldom that it uses no more than a fiftieth of the time.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from consumers.engine.asking import KafkaUnavailable
from consumers.engine.config import Settings
from ops.alarms import Judged
from ops.lag_watch import LagWatch
from ops.web.alarm_watch import AlarmWatch
from ops.web.history import Column, History, Look
from storage import overview
from storage.overview import Counted, Figures
from storage.reading import DatabaseTrouble, Reader

WATCHED_SECONDS: Final = 1.0
ALONE_SECONDS: Final = 5.0
SOMEBODY_SECONDS: Final = 30.0  # since the last request or live page
STOP_SECONDS_MAX: Final = 2.0
ALARM_SECONDS: Final = 5.0  # however many look: an alarm's `since` must be true
COUNT_SECONDS_MIN: Final = 5.0
COUNT_SHARE: Final = 50  # a count that took a second is not made again for so many

log = structlog.get_logger()


class Trouble(NamedTuple):
    """A server that does not answer, since when (ms UTC)."""

    text: str
    since: int


class Counts(NamedTuple):
    """What was counted, when (ms UTC, wall clock), and how long that took."""

    counted: Counted
    at: int
    took_seconds: float


class Seen(NamedTuple):
    """All that is known at one moment; what could not be seen yet is None."""

    number: int  # grows with every look
    look: Look | None = None
    figures: Figures | None = None
    figures_at: int = 0
    counts: Counts | None = None
    troubles: dict[str, Trouble] = {}  # noqa: RUF012  frozen with the tuple: replaced, never changed
    columns: tuple[Column, ...] = ()
    judged: Judged | None = None
    judged_at: int = 0


class Watcher:
    """Three threads: lag, books and alarms. None ends for a server that is away."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lag = LagWatch(settings)
        self._reader = Reader(settings.database.connection_url, name="escrow-web-watcher")
        self._alarms = AlarmWatch(settings)
        self._history = History()
        self._seen = Seen(0)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._asked_at = time.monotonic()
        self._count_at = 0.0
        self._threads = [
            threading.Thread(target=self._work, args=(turn,), name=name, daemon=True)
            for name, turn in (
                ("lag", self.look_at_lag),
                ("books", self.look_at_books),
                ("alarms", self.look_at_alarms),
            )
        ]

    @property
    def seen(self) -> Seen:
        """The newest, whole."""
        return self._seen

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the threads and close what they use; one that waits for a server is not waited for."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(STOP_SECONDS_MAX)
        if not any(thread.is_alive() for thread in self._threads):
            self._lag.close()
            self._reader.close()

    def somebody_is_here(self) -> None:
        """A page was asked for, or is live."""
        self._asked_at = time.monotonic()

    def look_at_lag(self) -> None:
        """One look at positions, ends and groups."""
        report = self._lag.look()
        look = self._history.add(report, _wall_ms(), time.monotonic())
        self._keep(look=look, columns=tuple(self._history.columns))

    def look_at_books(self) -> None:
        """The cheap figures; and, when it is time, what must be counted."""
        with self._reader.snapshot() as connection:
            wall_ms = _wall_ms()
            figures = overview.figures(connection, wall_ms, self._settings.timestamp_type)
        self._keep(figures=figures, figures_at=wall_ms)
        if time.monotonic() >= self._count_at:
            self._count(figures.rules_now)

    def look_at_alarms(self) -> None:
        """Judge the alert rules."""
        seen = self._seen
        counted = None if seen.counts is None else seen.counts.counted
        now = 0 if seen.figures is None else seen.figures.rules_now
        self._keep(judged=self._alarms.look(seen.look, counted, now), judged_at=_wall_ms())

    def _count(self, now: int) -> None:
        began = time.monotonic()
        try:
            with self._reader.snapshot() as connection:
                counted = overview.count(connection, now)
            took = time.monotonic() - began
            self._keep(counts=Counts(counted, _wall_ms(), took))
        finally:
            took = time.monotonic() - began
            self._count_at = time.monotonic() + max(COUNT_SECONDS_MIN, took * COUNT_SHARE)

    def _keep(self, **changes: object) -> None:
        with self._lock:
            self._seen = self._seen._replace(number=self._seen.number + 1, **changes)  # type: ignore[arg-type]

    def _work(self, turn: Callable[[], None]) -> None:
        name = threading.current_thread().name
        while not self._stop.is_set():
            began = time.monotonic()
            self._tell(name, _trouble_of(turn))
            self._stop.wait(max(0.1, self._pause(name) - (time.monotonic() - began)))

    def _pause(self, eye: str) -> float:
        if eye == "alarms":
            return ALARM_SECONDS
        alone = time.monotonic() - self._asked_at > SOMEBODY_SECONDS
        return ALONE_SECONDS if alone else WATCHED_SECONDS

    def _tell(self, name: str, text: str | None) -> None:
        """Remember a trouble from its first moment on, and forget it when it is over."""
        old = self._seen.troubles.get(name)
        if text is None and old is None:
            return
        others = {key: trouble for key, trouble in self._seen.troubles.items() if key != name}
        if text is None:
            log.info("sees again", eye=name)
            self._keep(troubles=others)
            return
        if old is None:
            log.warning("cannot see", eye=name, reason=text)
        since = _wall_ms() if old is None else old.since
        self._keep(troubles={**others, name: Trouble(text, since)})


def _trouble_of(turn: Callable[[], None]) -> str | None:
    """Why a look failed, in one sentence, or None. A bug of ours must not blind the console either."""
    try:
        turn()
    except KafkaUnavailable as trouble:
        return f"Kafka does not answer: {trouble}"
    except DatabaseTrouble as trouble:
        return str(trouble)
    except Exception as error:
        log.exception("a look failed")
        return f"this console failed to look ({type(error).__name__}); its log says more"
    return None


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
