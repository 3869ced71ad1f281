"""Two eyes on the line, each on a thread with connections of its own: the lag often, rows as they can bear it.

What was seen last stays until it is too old to be shown. A server that does not answer is asked again.
"""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from threading import Event
from typing import Final, Generic, TypeVar

from consumers.engine.admin import KafkaUnavailable
from consumers.engine.config import Settings
from ops.lag import LagReport
from ops.lag_watch import LagWatch
from storage.attention import rules_now
from storage.figures import Figures, figures
from storage.reading import DatabaseTrouble, Reader

LAG_SECONDS: Final = 1.0  # between looks at the lag, at least,
LAG_SHARE: Final = 0.25  # and so seldom that looking takes no more of the time than this
ROWS_SECONDS: Final = 5.0
ROWS_SHARE: Final = 0.02
STALE_SECONDS: Final = 30.0  # what is older is not shown
_RETRY_SECONDS: Final = 2.0
Seen = TypeVar("Seen")


class Last(Generic[Seen]):
    """The newest of something, and its age; written by one thread, read by others."""

    def __init__(self) -> None:
        self._seen: tuple[Seen, float] | None = None

    def keep(self, seen: Seen) -> None:
        self._seen = (seen, time.monotonic())

    @property
    def age_seconds(self) -> float:
        """Infinite before there is one."""
        return float("inf") if self._seen is None else time.monotonic() - self._seen[1]

    @property
    def fresh(self) -> Seen | None:
        """None where it is too old to be shown."""
        seen = self._seen
        return None if seen is None or self.age_seconds > STALE_SECONDS else seen[0]


class Eyes:
    """What they saw last, from `start` until `stop` is set."""

    def __init__(
        self,
        settings: Settings,
        stop: Event,
        *,
        turned: Callable[[str | None], None],
        rows_seconds: float = ROWS_SECONDS,
    ) -> None:
        """`turned` hears of every look, on the thread that looked: None, or what does not answer."""
        self.lag: Last[LagReport] = Last()
        self.rows: Last[tuple[Figures, int]] = Last()  # with the rules' clock, ms UTC
        self._settings = settings
        self._stop = stop
        self._turned = turned
        self._rows_seconds = rows_seconds
        self._threads = [
            threading.Thread(target=look, name=name, daemon=True)
            for name, look in (("lag", self._watch_lag), ("rows", self._watch_rows))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float = 5.0) -> None:
        """Wait for both after `stop` was set; one that hangs on a server is left behind."""
        for thread in self._threads:
            thread.join(seconds)

    def _watch_lag(self) -> None:
        with closing(LagWatch(self._settings)) as watch:
            self._again_and_again(lambda: self.lag.keep(watch.look()), LAG_SECONDS, LAG_SHARE)

    def _watch_rows(self) -> None:
        url = self._settings.database.connection_url
        with closing(Reader(url, name="escrow-metrics")) as reader:

            def look() -> None:
                with reader.snapshot() as connection:
                    wall_ms = time.time_ns() // 1_000_000
                    now = rules_now(connection, wall_ms, self._settings.timestamp_type)
                    self.rows.keep((figures(connection, now), now))

            self._again_and_again(look, self._rows_seconds, ROWS_SHARE)

    def _again_and_again(
        self, look: Callable[[], None], every_seconds: float, share: float
    ) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                look()
            except (DatabaseTrouble, KafkaUnavailable) as trouble:
                self._turned(str(trouble))
                self._stop.wait(_RETRY_SECONDS)
                continue
            self._turned(None)
            took = time.monotonic() - began
            self._stop.wait(max(every_seconds, took / share) - took)
