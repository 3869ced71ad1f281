"""`python -m bench.paint URL`: when does a person see each page of a console? Chromium's own account of it.

From the navigation to the first contentful paint, at two sizes: for somebody whose browser has nothing of ours yet, and on
the next page. Pages of single things are those that the lists lead to. Beside them stands what the
browser needs for a page of two letters (`/livez`): no page can be faster.
"""

import argparse
import re
import shutil
import statistics
import sys
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from playwright.sync_api import Browser, Page, sync_playwright

PAGES: Final = (
    "/",
    "/orders",
    "/orders?q=order-77",
    "/lag",
    "/lag/payments",
    "/dead-letters",
    "/mediation",
    "/suppliers",
    "/alarms",
    "/runbook",
    "/webhooks",
    "/reconciliation",
    "/contract",
)
LISTS: Final = ("/dead-letters", "/mediation")  # which lead to the pages of single things
SIZES: Final = ((1280, 900), (390, 844))
FLOOR: Final = "/livez"
GOAL_MS: Final = 300.0
_PAINT: Final = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1"
_LOOKS_MAX: Final = 100


class Paint(NamedTuple):
    """One page at one size: medians of all tries, ms."""

    page: str
    width: int
    first_ms: float
    next_ms: float
    floor_ms: float  # of the page of two letters, taken in between


def main() -> int:
    """One line a page and size; exit code 1 if a first visit's median is over the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="of a console that runs, such as `escrow up` prints")
    parser.add_argument("--tries", type=int, default=3)
    given = parser.parse_args()
    found = []
    print(f"{'page':34} {'width':>7} {'first':>9} {'next':>9} {'two letters':>14}")
    for one in paints(given.url.rstrip("/"), given.tries):
        found.append(one)
        print(
            f"{one.page:34} {one.width:4} px {one.first_ms:6.0f} ms {one.next_ms:6.0f} ms"
            f" {one.floor_ms:11.0f} ms",
            flush=True,
        )
    slowest = max(found, key=lambda one: one.first_ms)
    first, later, floor = (
        statistics.median(getattr(one, name) for one in found)
        for name in ("first_ms", "next_ms", "floor_ms")
    )
    print(
        f"first paint of {len(found)} pages and sizes: {first:.0f} ms in the median, the next page"
        f" {later:.0f}, two letters {floor:.0f}; slowest {slowest.page} {slowest.first_ms:.0f} ms;"
        f" the goal is {GOAL_MS:.0f} ms"
    )
    return int(slowest.first_ms > GOAL_MS)


def paints(url: str, tries: int) -> Iterator[Paint]:
    """Each page at each size."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        pages = (*PAGES, *_single_pages(browser, url))
        for width, height in SIZES:
            for path in pages:
                taken = [_once(browser, url, path, width, height) for _ in range(tries)]
                yield Paint(path, width, *map(statistics.median, zip(*taken, strict=True)))
        browser.close()


def _single_pages(browser: Browser, url: str) -> list[str]:
    """An order, a dispute, a dead letter: the first that its list shows."""
    pages = []
    with browser.new_context(ignore_https_errors=True) as context:
        page = context.new_page()
        for path in LISTS:
            page.goto(url + path)
            if found := re.search(rf'href="({path}/[^"?#]+)"', page.content()):
                pages.append(found[1])
    orders = [path.replace("/mediation/", "/orders/") for path in pages if "/mediation/" in path]
    return [*orders, *pages]


def _once(
    browser: Browser, url: str, path: str, width: int, height: int
) -> tuple[float, float, float]:
    """(first, next, floor): in a new window, once the browser has made a process for it."""
    context: Any = browser.new_context(
        viewport={"width": width, "height": height}, ignore_https_errors=True
    )
    try:
        page = context.new_page()
        _, first, floor, later = (_paint(page, url + one) for one in (FLOOR, path, FLOOR, path))
        return first, later, floor
    finally:
        context.close()


def _paint(page: Page, url: str) -> float:
    page.goto(url)
    for _ in range(_LOOKS_MAX):  # its policy forbids to wait for an expression
        if (ms := float(page.evaluate(_PAINT))) >= 0:
            return ms
        page.wait_for_timeout(20)
    raise TimeoutError(f"{url} is never painted")


if __name__ == "__main__":
    sys.exit(main())
