"""Debian's Chromium as a person in front of the console, who notes every error and every request.

The browser talks to this machine only: what it would ask of others at its start is turned off.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCHEMES: Final = ("light", "dark")
SIZES: Final = ((1280, 900), (390, 844))
AXE: Final = Path(__file__).parent / "axe" / "axe.min.js"


def chromium() -> str:
    """The browser of this machine. In CI there must be one; elsewhere its tests are skipped."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        missing = "no Chromium: `apt-get install chromium`"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser of our own, with an empty profile."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield running
        running.close()


class Visit:
    """One window: its errors, its requests, and the bytes that its pages are made of."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.bytes = 0
        self._base = base.rstrip("/")
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("response", self._on_response)

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _on_response(self, response: Any) -> None:
        # What it asks for by itself, while it is looked at, grows with the time that a look takes.
        if response.request.resource_type not in ("fetch", "xhr", "eventsource"):
            self.bytes += int(response.headers.get("content-length", 0))

    def go(self, path: str) -> Page:
        """Open a page of the console; what was noted before is forgotten."""
        self.errors, self.requests, self.bytes = [], [], 0
        answer = self.page.goto(self._base + path)
        assert answer is not None
        assert answer.ok, (path, answer.status)
        return self.page

    def text(self, selector: str = "main") -> str:
        return " ".join(self.page.inner_text(selector).split())

    def assert_sound(self) -> None:
        """No error, nobody else was asked, nothing is wider than the window."""
        self.page.wait_for_load_state()  # after a form was sent; before its styles all is wide
        assert self.errors == []
        assert [url for url in self.requests if not url.startswith(self._base + "/")] == []
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert self.page.evaluate(wide) <= 0, self.page.url

    def accessibility(self) -> list[str]:
        """What axe-core finds: rule, and where."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        return [f"{one['id']}: {one['nodes'][0]['target']}" for one in found]

    @property
    def first_paint_ms(self) -> float:
        name = "first-contentful-paint"
        paint = f"performance.getEntriesByName('{name}')[0]?.startTime ?? -1"
        return float(self.page.evaluate(paint))


@contextmanager
def visit(
    running: Browser,
    base: str,
    scheme: str = "light",
    size: tuple[int, int] = SIZES[0],
    **more: Any,
) -> Iterator[Visit]:
    """A window of its own: colour scheme, size in pixels."""
    context = running.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,  # type: ignore[arg-type]
        ignore_https_errors=True,  # it does not know the authority of a secure line
        **more,
    )
    try:
        yield Visit(context, base)
    finally:
        context.close()
