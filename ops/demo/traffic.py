"""Many orders at once, sent at a pace while a display shows how far the line has come with them.

What was sent is counted here, record by record, so that the summary can hold the line to it.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from threading import Event, Thread
from typing import Final, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from consumers.engine.config import Settings
from ops.local.traffic import Knobs, paced, planted_code, publish, stories
from schemas.door import Record
from schemas.facts import GATEWAY_RESULTS, STAGE_TOPICS
from storage.pulse import Counts, counts, pulse
from storage.reading import snapshot

ORDERS: Final = 1_200
FACTS_PER_SECOND: Final = 700.0
CATCH_UP_SECONDS_MAX: Final = 60.0
_LOOK_SECONDS: Final = 0.25
_LINES_SECONDS: Final = 2.0  # without a terminal
_KNOBS: Final = Knobs()
# Written by the line itself, not by the traffic.
_OWN_TOPICS: Final = (GATEWAY_RESULTS, STAGE_TOPICS["deadlines"])


class Sending:
    """Publishes on a thread of its own until all is sent or `stop` is set; counts what it sends."""

    def __init__(
        self,
        settings: Settings,
        records: Iterable[Record],
        per_second: float,
        stop: Event,
    ) -> None:
        self.sent = 0
        self.planted: Counter[str] = Counter()  # dead letters to come, by code
        self.error: Exception | None = None
        self._settings, self._stop = settings, stop
        self._records = paced(records, per_second)
        self._thread = Thread(target=self._publish, name="traffic", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """All is sent, or nothing more will be."""
        return not self._thread.is_alive()

    def join(self) -> None:
        """Wait for the end; raises what went wrong."""
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _publish(self) -> None:
        try:
            publish(self._counted(), self._settings)
        except Exception as error:  # noqa: BLE001 -- raised again by join
            self.error = error

    def _counted(self) -> Iterator[Record]:
        for record in self._records:
            if self._stop.is_set():
                return
            self.sent += 1
            if code := planted_code(record):
                self.planted[code] += 1
            yield record


class Look(NamedTuple):
    """One moment of the line."""

    at: float
    decided: int  # records of the traffic's topics
    counts: Counts


def look(settings: Settings) -> Look:
    """As it is now, from the database."""
    with snapshot(settings.database.connection_url) as connection:
        positions = pulse(connection).positions
        decided = sum(n for (topic, _), n in positions.items() if topic not in _OWN_TOPICS)
        return Look(time.monotonic(), decided, counts(connection))


def send_traffic(
    settings: Settings, console: Console, seed: int, prefix: str, start_ms: int, stop: Event
) -> Sending:
    """Send it all and show it, until the line has decided what was sent."""
    first = look(settings)
    records = stories(seed, ORDERS, knobs=_KNOBS, prefix=prefix, start_ms=start_ms)
    sending = Sending(settings, records, FACTS_PER_SECOND, stop)
    if console.is_terminal:
        _show_live(settings, console, sending, first, stop)
    else:
        _show_lines(settings, console, sending, first, stop)
    sending.join()
    return sending


def _show_live(
    settings: Settings, console: Console, sending: Sending, first: Look, stop: Event
) -> None:
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        for now, rate in _looks(settings, sending, first, stop):
            live.update(_board(sending, first, now, rate))


def _show_lines(
    settings: Settings, console: Console, sending: Sending, first: Look, stop: Event
) -> None:
    told = first.at
    for now, rate in _looks(settings, sending, first, stop):
        if now.at - told >= _LINES_SECONDS:
            told = now.at
            figures = _figures(sending, first, now, rate)[:5]
            console.print("  " + " · ".join(f"{value} {name}" for name, value in figures))


def _looks(
    settings: Settings, sending: Sending, first: Look, stop: Event
) -> Iterator[tuple[Look, float]]:
    """Moment after moment, with the rate since the one before, until all is decided."""
    before, sent_at = first, 0.0
    while not stop.is_set():
        now = look(settings)
        yield now, (now.decided - before.decided) / max(now.at - before.at, 1e-6)
        before = now
        if sending.done:
            sent_at = sent_at or now.at
            late = now.at - sent_at > CATCH_UP_SECONDS_MAX
            if now.decided - first.decided >= sending.sent or late:
                return
        stop.wait(_LOOK_SECONDS)


def _figures(sending: Sending, first: Look, now: Look, rate: float) -> list[tuple[str, str]]:
    decided = now.decided - first.decided
    return [
        ("sent", f"{sending.sent:,}"),
        ("decided", f"{decided:,}"),
        ("behind", f"{max(0, sending.sent - decided):,}"),
        ("facts/s", f"{rate:,.0f}"),
        ("commands", f"{now.counts.commands:,}"),
        ("answered", f"{now.counts.answered:,}"),
        ("dead letters", f"{now.counts.dead_letters:,}"),
    ]


def _board(sending: Sending, first: Look, now: Look, rate: float) -> Table:
    """Figures over their names, in one row: it fits 80 columns."""
    figures = _figures(sending, first, now, rate)
    board = Table.grid(padding=(0, 2))
    for _ in figures:
        board.add_column(justify="right", min_width=7)
    board.add_row(*(Text(value, style="bold cyan") for _, value in figures))
    board.add_row(*(Text(name, style="dim") for name, _ in figures))
    return board
