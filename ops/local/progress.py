"""What a person sees while the stack gets ready: a bar on a terminal, one line a step elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Step(NamedTuple):
    """How far one thing has come. `bytes_total` 0: it has no measure, only a beginning."""

    text: str
    bytes_done: int = 0
    bytes_total: int = 0


Report = Callable[[Step], None]


def silent(step: Step) -> None:
    """Report to nobody."""


@contextmanager
def shown(console: Console | None = None) -> Iterator[Report]:
    """A report that draws on the console (default: standard error)."""
    console = console or Console(file=sys.stderr)
    if console.is_terminal:
        with _bars(console) as report:
            yield report
    else:
        yield _lines(console)


@contextmanager
def _bars(console: Console) -> Iterator[Report]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console, transient=True) as progress:

        def report(step: Step) -> None:
            if not step.bytes_total:
                console.print(step.text, style="dim")
            elif step.text not in tasks:
                tasks[step.text] = progress.add_task(step.text, total=step.bytes_total)
            if step.bytes_total:
                progress.update(tasks[step.text], completed=step.bytes_done)

        yield report


def _lines(console: Console) -> Report:
    seen: set[str] = set()

    def report(step: Step) -> None:
        if step.text not in seen:
            seen.add(step.text)
            size = f" ({step.bytes_total / 1e6:.0f} MB)" if step.bytes_total else ""
            console.print(f"{step.text}{size}")

    return report
