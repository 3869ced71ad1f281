"""`make screenshots`: the pictures of docs/console, taken of a real line in a real browser."""

import sys
from pathlib import Path
from typing import Final

from ops.dead_letters import place_of
from ops.local.pipeline import Pipeline
from ops.local.traffic import publish
from storage.dead_letter_reading import letters
from storage.reading import snapshot
from tests.acceptance.browser import SIZES, browser, visit
from tests.acceptance.console_line import SPOILT, VIOLIN, console_line, many_parcels

FOLDER: Final = Path(__file__).parents[2] / "docs" / "console"
BYTES_MAX: Final = 200_000
WATCHED_SECONDS: Final = 45  # of a stage that stands still, for the map
_RISEN: Final = 1_500


def take(folder: Path) -> None:
    """All pictures, each once: pages in light or dark, wide or narrow; the overview in full."""
    folder.mkdir(parents=True, exist_ok=True)
    with console_line() as line, browser() as running:
        assert line.web_url is not None
        _a_stage_stands_still(line)
        for name, path, scheme, size in (
            ("overview", "/", "light", SIZES[0]),
            ("overview-dark", "/", "dark", SIZES[0]),
            ("overview-narrow", "/", "dark", SIZES[1]),
            ("order", f"/orders/{VIOLIN}", "light", SIZES[0]),
            ("lag", "/lag/shipments", "dark", SIZES[0]),
            ("dead-letter", _letter(line), "light", SIZES[0]),
            ("mediation", f"/mediation/{VIOLIN}", "dark", SIZES[0]),
        ):
            with visit(running, line.web_url, scheme, size) as window:
                page = window.go(path)
                page.wait_for_timeout(1_500)
                file = folder / f"{name}.png"
                page.screenshot(path=file, full_page=path == "/")
                size_bytes = file.stat().st_size
                assert size_bytes < BYTES_MAX, f"{file}: {size_bytes:,} bytes"
                sys.stdout.write(f"{file.name} {size_bytes:,} bytes\n")


def _a_stage_stands_still(line: Pipeline) -> None:
    """For a while, so that the map has something to show; it has not caught up yet."""
    import time

    line.stop_program("shipments")
    publish(many_parcels(_RISEN, "still"), line.settings)
    time.sleep(WATCHED_SECONDS)


def _letter(line: Pipeline) -> str:
    with snapshot(line.settings.database.connection_url) as connection:
        found = letters(connection, limit=1_000, code="invalid_data")
    return f"/dead-letters/{place_of(next(one for one in found if one.id == SPOILT))}"


if __name__ == "__main__":
    take(FOLDER)
