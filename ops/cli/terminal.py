"""How every command speaks: data on standard output, all else on standard error, one set of exit codes.

0 done, and the answer is good · 1 done, and the answer is bad (findings, nothing found, declined)
· 2 not done: wrong use, configuration, or a server that does not answer. What others wrote into
facts is shown as text and never as a terminal command.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from consumers.engine.config import Settings

GOOD: Final = 0
BAD: Final = 1
NOT_DONE: Final = 2

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a page.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
OperatorOption = Annotated[
    str, typer.Option("--operator", envvar="ESCROW_OPERATOR", help="Who you are; it is kept.")
]

STATUS_STYLES: Final = {
    "HELD": "cyan",
    "DISPUTED": "yellow",
    "IN_MEDIATION": "yellow",
    "FROZEN": "bold blue",
    "RELEASED": "green",
    "REFUNDED": "green",
    "SPLIT": "green",
    "CHARGED_BACK": "red",
    "NOT_PROTECTED": "dim",
}
COMMAND_STYLES: Final = {
    "PENDING": "yellow",
    "ACCEPTED": "cyan",
    "SETTLED": "green",
    "FAILED": "red",
    "RETURNED": "red",
}
OUTCOME_STYLES: Final = {
    "applied": "green",
    "refused": "yellow",
    "parked": "cyan",
    "dead_letter": "red",
}
_INVISIBLE: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}


def console() -> Console:
    """Standard output as it is now (tests and pipes change it)."""
    return Console(highlight=False, soft_wrap=False)


def errors() -> Console:
    return Console(stderr=True, highlight=False)


def plain(value: object) -> str:
    """Text of others without control characters, which could drive the terminal."""
    return str(value).translate(_INVISIBLE)


def styled(value: object, styles: dict[str, str] | None = None, style: str = "") -> Text:
    """A cell: plain text, coloured by its value."""
    text = plain(value)
    return Text(text, style=(styles or {}).get(text, style))


def print_json(value: Any) -> None:
    """JSON for programs: UTF-8, stable names, bytes as hex."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2, default=jsonable) + "\n")


def a_table(*columns: str, right: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A plain table that fits a page; columns in `right` are numbers."""
    table = Table(
        box=None,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        justify = "right" if column in right else "left"
        table.add_column(column, justify=justify, no_wrap=column in right)  # type: ignore[arg-type]
    return table


def when(t: int | None, *, exact: bool = False) -> str:
    """Milliseconds UTC for people: `2026-01-31 10:00:00`, to the millisecond if `exact`."""
    if t is None or t < 0:
        return "-"
    instant = datetime.fromtimestamp(min(t, 253_402_300_799_999) // 1000, UTC)
    rest = f".{t % 1000:03d}" if exact and t % 1000 else ""
    return f"{instant:%Y-%m-%d %H:%M:%S}{rest}"


def how_long(ms: int) -> str:
    """A duration in its two largest units: `3 d 2 h`, `45 s`."""
    seconds = abs(ms) // 1000
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        amount, seconds = divmod(seconds, size)
        if amount or (unit == "s" and not parts):
            parts.append(f"{amount} {unit}")
        if len(parts) == 2:
            break
    return " ".join(parts)


def moment(said: str | None) -> int | None:
    """What a person means by a time, ms UTC; exit 2 for what is neither a time nor a number."""
    try:
        return None if said is None else moment_of(said)
    except ValueError:
        raise fail(f"{said}: neither RFC 3339 nor milliseconds") from None


def moment_of(said: str) -> int:
    """The same for a text that is there. Raises ValueError."""
    if said.isascii() and said.isdigit():
        return int(said)
    instant = datetime.fromisoformat(said)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return round(instant.timestamp() * 1000)


def wall_ms() -> int:
    """The wall clock, ms UTC: for people only, no rule sees it."""
    return time.time_ns() // 1_000_000


def settings() -> "Settings":
    """The configuration, or exit 2 with what is wrong with it."""
    from consumers.engine.config import ConfigError, load_settings

    try:
        return load_settings()
    except ConfigError as error:
        raise fail(f"the configuration is not usable\n{error}") from None


def fail(message: str, code: int = NOT_DONE) -> typer.Exit:
    """Say what is wrong and what to do; raise what this returns."""
    errors().print(Text.assemble(("error: ", "bold red"), plain_lines(message)))
    return typer.Exit(code)


def plain_lines(message: str) -> str:
    return "\n".join(plain(line) for line in message.split("\n"))


def note(message: str) -> None:
    """A line for the person in front of it; never part of the data."""
    errors().print(Text(plain_lines(message), style="dim"))


@contextmanager
def troubles() -> Iterator[None]:
    """Turn a database or broker that does not answer into a sentence and exit code 2."""
    from consumers.engine.admin import KafkaUnavailable
    from consumers.engine.processing import Halt
    from storage.reading import DatabaseTrouble

    try:
        yield
    except Halt as halt:  # keys or source rules that cannot be used
        raise fail(str(halt)) from None
    except DatabaseTrouble as trouble:
        raise fail(str(trouble)) from None
    except KafkaUnavailable as trouble:
        text = f"Kafka does not answer: {trouble}"
        hint = "is it running, and is ESCROW_KAFKA__BOOTSTRAP_SERVERS right?"
        raise fail(f"{text}\n{hint}") from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask before anything is changed; without a terminal only `--yes` will do."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise fail("this changes something: add --yes (or --dry-run to see what)")
    if not typer.confirm(question, err=True):
        note("nothing was done")
        raise typer.Exit(BAD)


@contextmanager
def opened(output: Path | None) -> Iterator[IO[str]]:
    """The file, or standard output; a file that cannot be written ends in exit code 2."""
    if output is None:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        yield sys.stdout
        return
    try:
        file = output.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise fail(f"cannot write {output}: {error.strerror}") from None
    with file:
        yield file


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, on a terminal only: call it with (done, all)."""
    bar = Progress(
        TextColumn(what),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)


def jsonable(value: object) -> object:
    """What JSON has no word for: bytes as hex, instants in ISO form."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
