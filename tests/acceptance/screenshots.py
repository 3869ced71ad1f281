"""`make screenshots`: the pictures of docs/console, taken of a real line in a real browser; `ARGS="NAME..."`: only these."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from playwright.sync_api import Page

from ops.dead_letters import place_of
from ops.local.pipeline import Pipeline
from ops.local.processes import escrow
from ops.local.traffic import publish
from storage.dead_letter_reading import letters
from storage.reading import snapshot
from tests.acceptance.browser import SIZES, browser, visit
from tests.acceptance.console_line import SPOILT, VIOLIN, console_line, many_parcels, write_account

FOLDER: Final = Path(__file__).parents[2] / "docs" / "console"
BYTES_MAX: Final = 200_000
WATCHED_SECONDS: Final = 45  # of a stage that stands still, for the map
WIDE, NARROW = SIZES
CONTROLS: Final = {"ESCROW_SENDING__OPERATOR_CONTROLS": "true"}
_RISEN: Final = 1_500


def _as_it_is(_page: Page) -> None:
    """Nothing is done before the picture."""


class Picture(NamedTuple):
    """Which page, how, and what a person does there first."""

    name: str
    path: str
    scheme: str
    size: tuple[int, int] = WIDE
    whole: bool = False  # not only what the window shows
    first: Callable[[Page], None] = _as_it_is


def take(folder: Path, names: Collection[str] = ()) -> None:
    """These pictures, or all, each once: pages in light or dark, wide or narrow; the overview in full."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        console_line(**CONTROLS) as line,
        browser() as running,
        TemporaryDirectory() as temporary,
    ):
        assert line.web_url is not None
        account = Path(temporary) / "gateway-day.jsonl"
        write_account(line, account, plant=8)
        _a_stage_stands_still(line)
        for picture in _pictures(line, account):
            if names and picture.name not in names:
                continue
            with visit(running, line.web_url, picture.scheme, picture.size) as window:
                page = window.go(picture.path)
                picture.first(page)
                page.wait_for_timeout(1_500)
                file = folder / f"{picture.name}.png"
                page.screenshot(path=file, full_page=picture.whole)
                window.assert_sound()
                size_bytes = file.stat().st_size
                assert size_bytes < BYTES_MAX, f"{file}: {size_bytes:,} bytes"
                sys.stdout.write(f"{file.name} {size_bytes:,} bytes\n")


def _pictures(line: Pipeline, account: Path) -> Iterator[Picture]:
    """One by one: between two of them something may be done to the line."""

    def compared(page: Page) -> None:
        page.set_input_files("#file", account)
        page.get_by_role("button", name="Compare").click()

    yield from (
        Picture("overview", "/", "light", whole=True),
        Picture("overview-dark", "/", "dark", whole=True),
        Picture("overview-narrow", "/", "dark", NARROW, whole=True),
        Picture("order", f"/orders/{VIOLIN}", "light"),
        Picture("lag", "/lag/shipments", "dark"),
        Picture("dead-letter", _letter(line), "light"),
        Picture("mediation", f"/mediation/{VIOLIN}", "dark"),
        Picture("suppliers", "/suppliers", "light"),
        Picture("suppliers-narrow", "/suppliers", "dark", NARROW),
        Picture("webhooks", "/webhooks", "light", whole=True),
        Picture("webhooks-narrow", "/webhooks", "dark", NARROW, whole=True),
        Picture("reconciliation", "/reconciliation", "light", first=compared),
        Picture("contract", "/contract/refund.offered", "dark"),
    )
    _pause(line)
    yield from (
        Picture("sending", "/", "light"),
        Picture("alarms", "/alarms", "dark", first=lambda page: page.wait_for_timeout(6_000)),
        Picture("runbook-narrow", "/runbook#sending-paused", "light", NARROW),
    )


def _pause(line: Pipeline) -> None:
    """Somebody stops sending, and the ticker is gone."""
    note = "payouts to one supplier look wrong"
    subprocess.run(
        escrow("send", "pause", "--operator", "olga", "--note", note, "--yes"),
        env={**os.environ, **line.stack.environment, **CONTROLS},
        check=True,
        capture_output=True,
    )
    line.stop_program("ticker")


def _a_stage_stands_still(line: Pipeline) -> None:
    """For a while, so that the map has something to show; it has not caught up yet."""
    line.stop_program("shipments")
    publish(many_parcels(_RISEN, "still"), line.settings)
    time.sleep(WATCHED_SECONDS)


def _letter(line: Pipeline) -> str:
    with snapshot(line.settings.database.connection_url) as connection:
        found = letters(connection, limit=1_000, code="invalid_data")
    return f"/dead-letters/{place_of(next(one for one in found if one.id == SPOILT))}"


if __name__ == "__main__":
    take(FOLDER, sys.argv[1:])
