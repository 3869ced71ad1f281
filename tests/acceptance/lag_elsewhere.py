"""The lag as an exporter of others shows it, and as a person sees it in a browser: `make lag-truth`.

Not in `make test`: the exporter is built from its source, and seconds are only right where a machine is quiet.
"""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Self

import pytest
from playwright.sync_api import Page

from consumers.engine.admin import spans
from ops.lag_watch import LagWatch
from ops.local.pipeline import Pipeline
from ops.local.ports import LOOPBACK, free_port
from ops.local.traffic import paced, publish
from schemas.facts import SHIPMENTS
from tests.acceptance.browser import browser, visit
from tests.acceptance.lag_seen import (
    GROUP,
    Figures,
    dispatched,
    kafkas_own,
    librdkafkas,
    of_group,
    rdkafka_words,
    scraped,
)
from tests.integration.waiting import until

pytestmark = pytest.mark.timeout(400)
FACTS: Final = 10_000
BEFORE: Final = 100
LAG: Final = "kafka_consumergroup_group_lag"
SECONDS: Final = "kafka_consumergroup_group_lag_seconds"
SECONDS_APART_MAX: Final = 1.0  # beside what passes between two looks
POLL_SECONDS: Final = 1  # of the exporter
EXPORTER: Final = Path(__file__).parents[2] / ".klag" / "bin" / "klag-exporter"
CONFIG: Final = """\
[exporter]
poll_interval = "{poll}s"
http_host = "{host}"
http_port = {port}
granularity = "partition"
[exporter.timestamp_sampling]
enabled = true
mode = "message"
[[clusters]]
name = "here"
bootstrap_servers = "{servers}"
group_whitelist = ["^{group}$"]
[clusters.consumer_properties]
{more}
"""
STALE_SECONDS_MAX: Final = 2.0
SLOWLY: Final = {"ESCROW_BATCH__RECORDS_MAX": "10"}  # so that falling takes a while
RISEN: Final = 3_000
RISEN_PER_SECOND: Final = 400


def told(figures: str) -> None:
    """For who runs this."""
    sys.stdout.write(f"\n{figures}\n")


@contextmanager
def klag(pipeline: Pipeline, folder: Path) -> Iterator[str]:
    """klag-exporter beside the line; where it is scraped."""
    found = shutil.which("klag-exporter") or str(EXPORTER)
    words = rdkafka_words(pipeline.settings.kafka)
    servers, port, config = words.pop("bootstrap.servers"), free_port(), folder / "klag.toml"
    more = "\n".join(f'"{name}" = "{value}"' for name, value in words.items())
    where = {"servers": servers, "port": port, "host": LOOPBACK, "group": GROUP, "more": more}
    config.write_text(CONFIG.format(poll=POLL_SECONDS, **where))
    with (folder / "klag.log").open("wb") as log:
        running = subprocess.Popen([found, "--config", str(config)], stdout=log, stderr=log)
    try:
        yield f"http://{LOOPBACK}:{port}/metrics"
        assert running.poll() is None, (folder / "klag.log").read_text()
    finally:
        running.terminate()
        running.wait(20)


def klags(url: str) -> Figures:
    """What it shows now; nothing while it does not answer."""
    try:
        return {partition: round(lag) for partition, lag in of_group(url).get(LAG, {}).items()}
    except OSError:
        return {}


def test_an_exporter_of_others_shows_the_same_records_and_seconds(tmp_path: Path) -> None:
    with Pipeline(gateway=False, metrics=True) as pipeline:
        publish(dispatched(BEFORE), pipeline.settings)
        until(lambda: sum(librdkafkas(pipeline).values()) == 0)
        with klag(pipeline, tmp_path) as url:
            until(lambda: set(klags(url).values()) == {0})
            pipeline.stop_program("shipments")
            before = spans(pipeline.settings, [SHIPMENTS])
            publish(dispatched(FACTS), pipeline.settings)
            grown = {
                partition: span.end - before[topic, partition].end
                for (topic, partition), span in spans(pipeline.settings, [SHIPMENTS]).items()
            }
            assert sum(grown.values()) == FACTS
            until(lambda: klags(url) == grown)
            until(lambda: scraped(pipeline).get(LAG) == grown)
            assert kafkas_own(pipeline) == librdkafkas(pipeline) == grown
            theirs, ours = of_group(url)[SECONDS], scraped(pipeline)[SECONDS]
            apart = max(abs(ours[partition] - theirs[partition]) for partition in grown)
            told(f"records {grown}: all agree; seconds differ by {apart:.1f} at most")
            assert theirs.keys() == ours.keys() == grown.keys()
            assert apart <= POLL_SECONDS + SECONDS_APART_MAX
            pipeline.start_program("shipments")
            until(lambda: set(klags(url).values()) == {0})
            until(lambda: set(scraped(pipeline).get(LAG, {}).values()) == {0.0})


class Truth(NamedTuple):
    """What was behind at some instant between these two, on the monotonic clock."""

    began: float
    ended: float
    behind: int


class Sampler:
    """Asks the servers themselves, again and again, on a thread of its own."""

    def __init__(self, pipeline: Pipeline, stage: str) -> None:
        self.truths: list[Truth] = []
        self._settings, self._stage = pipeline.settings, stage
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.truths)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        with closing(LagWatch(self._settings)) as watch:
            while not self._stop.wait(0.05):
                began = time.monotonic()
                rows = [row for row in watch.look().partitions if row.stage == self._stage]
                behind = sum(row.behind for row in rows)
                self.truths.append(Truth(began, time.monotonic(), behind))

    def staleness(self, shown: Truth) -> float:
        """How long before it was read a figure was last true; 0: it may be true still.

        Between two samples it is any figure between theirs.
        """
        spans = [span for span in pairwise(self.truths) if span[0].began <= shown.ended]
        for older, newer in reversed(spans):
            low, high = sorted((older.behind, newer.behind))
            if low <= shown.behind <= high:
                return max(0.0, shown.began - newer.ended)
        return float("inf")


def behind_on(page: Page) -> Truth:
    """What the page shows, all partitions together."""
    began = time.monotonic()
    cells = "[...document.querySelectorAll('#partitions tbody tr td:nth-child(3)')]"
    number = page.evaluate(f"{cells}.reduce((n, c) => n + +c.textContent.replaceAll(',', ''), 0)")
    return Truth(began, time.monotonic(), number)


def test_lag_is_seen_to_rise_and_fall_within_two_seconds_of_the_truth() -> None:
    seen: list[Truth] = []
    with (
        Pipeline(web=True, gateway=False, env=SLOWLY) as pipeline,
        browser() as chrome,
        visit(chrome, pipeline.web_url or "") as window,
        Sampler(pipeline, "shipments") as sampler,
    ):
        page = window.go("/lag/shipments")

        def watched(number: int) -> bool:
            seen.append(behind_on(page))
            return seen[-1].behind == number

        until(lambda: watched(0))
        pipeline.stop_program("shipments")
        records = paced(dispatched(RISEN), RISEN_PER_SECOND)
        sender = threading.Thread(target=publish, args=(records, pipeline.settings))
        sender.start()
        until(lambda: watched(RISEN))
        sender.join()
        pipeline.start_program("shipments")
        until(lambda: watched(0))
        until(lambda: sampler.truths[-1].began > seen[-1].ended)
    stale = [sampler.staleness(shown) for shown in seen]
    figures = len({shown.behind for shown in seen})
    worst = seen[stale.index(max(stale))]
    told(
        f"{len(seen)} looks at the page, {figures} figures, {len(sampler.truths)} samples of the"
        f" truth: {max(stale):.2f} s behind it at most ({worst.behind:,} records,"
        f" {worst.began - seen[0].began:.1f} s after the first look)"
    )
    assert figures > 8  # it was seen on its way, not only at its ends
    assert max(stale) <= STALE_SECONDS_MAX
