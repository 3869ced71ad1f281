"""`escrow metrics`: what is true of the whole line, served once, by a process that no money waits for.

The truth is looked at over and over, lag often and rows at a pace that they can bear; what could not
be looked at for a while is left out rather than shown as if it were fresh.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from threading import Event
from typing import Final, Generic, TypeVar

import structlog
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import REGISTRY

from consumers.engine.admin import KafkaUnavailable
from consumers.engine.config import Settings
from consumers.engine.health import HEALTH
from consumers.engine.metrics import Shown, family
from ops.figure_families import figure_families
from ops.lag import LagReport
from ops.lag_families import lag_families
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

log = structlog.get_logger()


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


class Exporter:
    """Two watchers, each on a thread with connections of its own, and what they saw last."""

    def __init__(self, settings: Settings, stop: Event) -> None:
        self.lag: Last[LagReport] = Last()
        self.rows: Last[tuple[Figures, int]] = Last()  # with the rules' clock, ms UTC
        self._settings = settings
        self._stop = stop

    def families(self) -> Iterator[Family]:
        """All that is shown now."""
        ages = (("lag", self.lag.age_seconds), ("rows", self.rows.age_seconds))
        yield family("escrow_exporter_look_age_seconds", [((w,), age) for w, age in ages])
        if (report := self.lag.fresh) is not None:
            wall_ms = time.time_ns() // 1_000_000
            yield from lag_families(report, self._settings, wall_ms)
        if (rows := self.rows.fresh) is not None:
            yield from figure_families(*rows)

    def watch_lag(self) -> None:
        """Until it is to stop. A server that does not answer is asked again."""
        with closing(LagWatch(self._settings)) as watch:

            def look() -> None:
                self.lag.keep(watch.look())
                HEALTH.turned(worked=True)

            self._again_and_again(look, LAG_SECONDS, LAG_SHARE)

    def watch_rows(self) -> None:
        """The same for figures of the database."""
        url = self._settings.database.connection_url
        with closing(Reader(url, name="escrow-metrics")) as reader:

            def look() -> None:
                with reader.snapshot() as connection:
                    wall_ms = time.time_ns() // 1_000_000
                    now = rules_now(connection, wall_ms, self._settings.timestamp_type)
                    self.rows.keep((figures(connection, now), now))

            self._again_and_again(look, ROWS_SECONDS, ROWS_SHARE)

    def _again_and_again(
        self, look: Callable[[], None], every_seconds: float, share: float
    ) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            HEALTH.turned()
            try:
                look()
                took = time.monotonic() - began
                self._stop.wait(max(every_seconds, took / share) - took)
            except (DatabaseTrouble, KafkaUnavailable) as trouble:
                log.warning("no look", error=str(trouble)[:300])
                self._stop.wait(_RETRY_SECONDS)


def run_exporter(settings: Settings, stop: Event) -> None:
    """Look and serve until `stop` is set."""
    exporter = Exporter(settings, stop)
    shown = Shown(exporter.families)
    REGISTRY.register(shown)
    rows = threading.Thread(target=exporter.watch_rows, name="rows", daemon=True)
    rows.start()
    try:
        exporter.watch_lag()
    finally:
        REGISTRY.unregister(shown)
        rows.join(timeout=5)
