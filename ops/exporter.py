"""`escrow metrics`: what is true of the whole line, served once, by a process that no money waits for.

What could not be looked at for a while is left out rather than shown as if it were fresh.
"""

import time
from collections.abc import Iterator
from threading import Event

import structlog
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import REGISTRY

from consumers.engine.config import Settings
from consumers.engine.health import HEALTH
from consumers.engine.metrics import Shown, family
from ops.eyes import Eyes
from ops.figure_families import figure_families
from ops.lag_families import lag_families

log = structlog.get_logger()


def run_exporter(settings: Settings, stop: Event) -> None:
    """Look and serve until `stop` is set."""
    eyes = Eyes(settings, stop, turned=_turned)
    shown = Shown(lambda: _families(settings, eyes))
    REGISTRY.register(shown)
    eyes.start()
    stop.wait()
    eyes.join()
    REGISTRY.unregister(shown)


def _turned(trouble: str | None) -> None:
    HEALTH.turned(worked=trouble is None)
    if trouble is not None:
        log.warning("no look", error=trouble[:300])


def _families(settings: Settings, eyes: Eyes) -> Iterator[Family]:
    ages = (("lag", eyes.lag.age_seconds), ("rows", eyes.rows.age_seconds))
    yield family("escrow_exporter_look_age_seconds", [((what,), age) for what, age in ages])
    if (report := eyes.lag.fresh) is not None:
        yield from lag_families(report, settings, time.time_ns() // 1_000_000)
    if (rows := eyes.rows.fresh) is not None:
        yield from figure_families(*rows)
