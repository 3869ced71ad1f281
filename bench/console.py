"""`python -m bench.console`: what the console's pages take with a million orders in the tables.

Server time is from the last byte of a request to the last of its answer, on loopback, one at a time;
first paint is Chromium's own account of it. How long the counts behind the pages take is told, too.
"""

import argparse
import http.client
import json
import statistics
import sys
import time
from contextlib import suppress
from typing import Any, Final, NamedTuple

from bench.many_orders import fill
from bench.paint import PAGES, paints
from bench.place import place
from consumers.engine.config import Settings
from ops.local.ports import LOOPBACK, free_port, is_open
from ops.local.processes import escrow
from ops.web.watcher import Watcher

START_SECONDS_MAX: Final = 60.0
PAUSE_SECONDS: Final = 0.1  # faster, and the console refuses


class Taken(NamedTuple):
    """One page: medians of all tries."""

    page: str
    status: int
    ms: float
    ms_max: float
    bytes: int


def main() -> int:
    """Fill, serve, measure; one line a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--tries", type=int, default=30)
    parser.add_argument("--no-browser", action="store_true", help="leave first paint out")
    given = parser.parse_args()
    with place() as where:
        now_ms = time.time_ns() // 1_000_000
        fill(where, given.orders, now_ms)
        print(f"{where.number('SELECT count(*) FROM escrows'):,} orders", flush=True)
        _counts(where.settings)
        port = free_port()
        where.start({"web": tuple(escrow("web", "--port", str(port)))})
        _await(port)
        found = [_page(port, page, given.tries) for page in PAGES]
        for taken in found:
            _tell(taken._asdict())
        if not given.no_browser:
            for paint in paints(f"http://{LOOPBACK}:{port}", 3):
                _tell(paint._asdict())
    return 0


def _tell(figures: dict[str, Any]) -> None:
    shown = {name: round(v, 1) if isinstance(v, float) else v for name, v in figures.items()}
    print(json.dumps(shown), flush=True)


def _counts(settings: Settings) -> None:
    """How long the watcher's own looks take, which no page waits for."""
    watcher = Watcher(settings)
    for name in ("first", "warm"):
        began = time.perf_counter()
        with suppress(Exception):  # a look that is given up is told by its absence
            watcher.look_at_books()
        counts = watcher.seen.counts
        took = "given up" if counts is None else f"{counts.took_seconds:.2f} s"
        print(f"{name} count of whole tables: {took}; {time.perf_counter() - began:.2f} s in all")
        watcher._count_at = 0.0  # noqa: SLF001  the next one at once
    watcher.stop()


def _await(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not is_open(port):
        if time.monotonic() > deadline:
            raise TimeoutError("the console does not come up")
        time.sleep(0.1)
    time.sleep(8)  # it has looked and counted once


def _page(port: int, page: str, tries: int) -> Taken:
    taken, status, size = [], 0, 0
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
    for _ in range(tries + 1):  # the first one makes its template
        time.sleep(PAUSE_SECONDS)
        began = time.perf_counter()
        connection.request("GET", page)
        answer = connection.getresponse()
        size, status = len(answer.read()), answer.status
        taken.append((time.perf_counter() - began) * 1_000)
    connection.close()
    return Taken(page, status, statistics.median(taken[1:]), max(taken[1:]), size)


if __name__ == "__main__":
    sys.exit(main())
