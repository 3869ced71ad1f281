"""The alert rules, judged every few seconds whether somebody looks or not, so that `since` is true.

Where programs say where their metrics are, they are asked as Prometheus asks them; elsewhere only what
this console sees itself is judged, and the other rules are unknown.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.metrics_core import Metric as Family

from consumers.engine.catalogue import CATALOGUE
from consumers.engine.config import Settings
from ops.alarms import Judge, Judged, read_rules
from ops.figure_families import figure_families
from ops.lag_families import lag_families
from ops.sample_memory import Sample
from ops.scraping import UP, of_families, scrape
from ops.web.history import Look
from storage.overview import Counted

# What a console without the programs' own metrics can know.
_OURS = frozenset(metric.name for metric in CATALOGUE if metric.source == "exporter") - {
    "escrow_exporter_look_age_seconds"
}


class AlarmWatch:
    """One judge and its memory; used by one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._judge = Judge(read_rules())
        self._began = time.time()

    @property
    def since(self) -> float:
        """When the judging began, seconds UTC: what holds longer is not known to."""
        return self._began

    def look(self, look: Look | None, counted: Counted | None, rules_now: int) -> Judged:
        """Judge what is true now."""
        folder, names = self._settings.metrics_targets, self._judge.names
        if folder is not None:
            return self._judge.judge(time.time(), _scraped(folder, names))
        families = _families(self._settings, look, counted, rules_now)
        known = _OURS if look is not None and counted is not None else frozenset()
        return self._judge.judge(time.time(), of_families(families, names), known)


def _scraped(folder: Path, names: frozenset[str]) -> list[Sample]:
    return scrape(folder, names - {UP})


def _families(
    settings: Settings, look: Look | None, counted: Counted | None, rules_now: int
) -> Iterator[Family]:
    if look is not None:
        yield from lag_families(look.report, settings, time.time_ns() // 1_000_000)
    if counted is not None:
        yield from figure_families(counted.rows, rules_now)
