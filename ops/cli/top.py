"""`escrow top`: the whole line on one page that changes, with keys to sort and to look closer."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli import terminal

if TYPE_CHECKING:
    from ops.cli.top_page import Seen
    from ops.eyes import Eyes

FIRST_SECONDS = 15.0


def top(
    every: Annotated[
        float, typer.Option(min=0.2, max=60, help="Seconds between two pictures.")
    ] = 1.0,
) -> None:
    """Watch lag, money, outbox, commands and dead letters live; q quits.

    Where the output is not a terminal: one picture. Exit code 1 then, if a stage is stuck or has no
    members; 2 if the database or Kafka does not answer.
    """
    from ops.cli.top_page import View, top_page

    settings = terminal.settings()
    with _eyes(settings) as (eyes, troubles, stop):
        if sys.stdin.isatty() and sys.stdout.isatty():
            _live(eyes, troubles, every)
            return
        _await_rates(eyes, troubles, stop)
        seen = _seen(eyes, troubles)
        terminal.console().print(top_page(seen, View()))
        if seen.report is None or seen.figures is None:
            raise typer.Exit(terminal.NOT_DONE)
        raise typer.Exit(terminal.GOOD if seen.report.healthy else terminal.BAD)


@contextmanager
def _eyes(settings: object) -> Iterator[tuple["Eyes", list[str], Event]]:
    from ops.eyes import Eyes

    stop = Event()
    troubles: list[str] = []

    def turned(trouble: str | None) -> None:
        troubles[:] = [] if trouble is None else [trouble]

    with terminal.troubles():
        eyes = Eyes(settings, stop, turned=turned, rows_seconds=2.0)  # type: ignore[arg-type]
    eyes.start()
    try:
        yield eyes, troubles, stop
    finally:
        stop.set()
        eyes.join()


def _seen(eyes: "Eyes", troubles: list[str]) -> "Seen":
    from ops.cli.top_page import Seen

    figures, now = eyes.rows.fresh or (None, 0)
    return Seen(eyes.lag.fresh, figures, now, troubles[0] if troubles else None)


def _await_rates(eyes: "Eyes", troubles: list[str], stop: Event) -> None:
    """Two looks at the lag and one at the rows, or the sentence of whoever does not answer."""
    left = FIRST_SECONDS
    while left > 0 and not troubles:
        report = eyes.lag.fresh
        if report is not None and report.sampled_seconds and eyes.rows.fresh is not None:
            return
        stop.wait(0.1)
        left -= 0.1


def _live(eyes: "Eyes", troubles: list[str], every: float) -> None:
    from rich.live import Live

    from ops.cli.top_page import View, pressed, top_page
    from ops.lag import by_stage

    view: View | None = View()
    with _keys(), Live(console=terminal.console(), screen=True, auto_refresh=False) as live:
        while view is not None:
            seen = _seen(eyes, troubles)
            live.update(top_page(seen, view), refresh=True)
            waiting, _, _ = select.select([sys.stdin], [], [], every)
            if not waiting:
                continue
            stages = [] if seen.report is None else [row.stage for row in by_stage(seen.report)]
            for key in os.read(sys.stdin.fileno(), 64).decode(errors="replace") or "q":
                view = None if view is None else pressed(view, key, stages)


@contextmanager
def _keys() -> Iterator[None]:
    """Keys come one by one and unseen; whatever happens, the terminal is given back as it was."""
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
