"""What `escrow top` shows and what a key does: pure, so that a test can press keys without a terminal."""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.cli import terminal
from ops.cli.lag import lag_page
from ops.cli.terminal import a_table, how_long
from ops.lag import BADNESS, LagReport, StageLag, by_stage
from ops.paused_words import paused_words
from schemas.money import format_amount
from storage.figures import Figures

_STYLES: Final = {"ok": "green", "slow": "yellow", "stuck": "bold red", "no-members": "red"}
SORTS: Final[dict[str, Callable[[StageLag], object]]] = {
    "verdict": lambda row: -BADNESS.index(row.verdict),
    "behind": lambda row: -row.behind,
    "delay": lambda row: -row.seconds,
    "drain": lambda row: -(row.drain_seconds or 0),
    "in/s": lambda row: -(row.rate_in or 0),
}
KEYS: Final = "q quit · s sort · 1-8 a stage's partitions · 0 all · d dead letters · m money"


class View(NamedTuple):
    """What the person wants to see."""

    sort: str | None = None  # None: in the order of the line
    stage: str | None = None
    part: str | None = None  # "letters" or "money": more of it


class Seen(NamedTuple):
    """What is known; None: not yet, or too old."""

    report: LagReport | None
    figures: Figures | None
    now: int  # the rules' clock when the figures were read, ms UTC
    trouble: str | None


def pressed(view: View, key: str, stages: list[str]) -> View | None:
    """The view after a key; None: the person has had enough. Other keys change nothing."""
    match key:
        case "q" | "\x03" | "\x1b":
            return None
        case "s":
            names = [None, *SORTS]
            return view._replace(sort=names[(names.index(view.sort) + 1) % len(names)])
        case "0":
            return View(view.sort)
        case "d":
            return View(view.sort, part=None if view.part == "letters" else "letters")
        case "m":
            return View(view.sort, part=None if view.part == "money" else "money")
        case _ if key.isdecimal() and 0 < int(key) <= len(stages):
            return View(view.sort, stage=stages[int(key) - 1])
        case _:
            return view


def top_page(seen: Seen, view: View) -> RenderableType:
    """The whole page."""
    return Group(*_parts(seen, view))


def _parts(seen: Seen, view: View) -> Iterator[RenderableType]:
    if seen.trouble is not None:
        yield Text(f"! {terminal.plain(seen.trouble)}", style="bold red")
    if seen.report is None:
        yield Text("looking at the lag ...", style="dim")
    elif view.stage is not None:
        rows = [row for row in seen.report.partitions if row.stage == view.stage]
        yield lag_page(seen.report._replace(partitions=rows, unsent=0))
    else:
        yield _stages(seen.report, view.sort)
        yield from (
            Text(f"! no topic {topic}: run `escrow topics apply`", style="bold red")
            for topic in seen.report.missing_topics
        )
    yield Text()
    if seen.figures is None:
        yield Text("looking at the rows ...", style="dim")
    else:
        yield from _figures(seen.figures, seen.now, view.part)
    yield Text()
    yield Text(KEYS, style="dim")


def _stages(report: LagReport, sort: str | None) -> Table:
    names = [row.stage for row in by_stage(report)]
    rows = by_stage(report)
    if sort is not None:
        rows.sort(key=SORTS[sort])  # type: ignore[arg-type]  # numbers, negated
    heads = ("behind", "delay", "in/s", "out/s", "drain", "proc")
    shown = {head: f"{head} v" if head == sort else head for head in (*heads, "verdict")}
    numbers = tuple(shown[head] for head in heads)
    table = a_table("stage", *numbers, shown["verdict"], right=numbers)
    table.padding = (0, 1, 0, 0)  # so that all of it fits in eighty columns
    for row in rows:
        drain = "-" if row.drain_seconds is None else how_long(int(row.drain_seconds * 1000))
        table.add_row(
            Text.assemble((f"{names.index(row.stage) + 1} ", "dim"), row.stage),
            Text(f"{row.behind:,}", style="bold" if row.behind else "dim"),
            how_long(int(row.seconds * 1000)) if row.behind else Text("0", style="dim"),
            _rate(row.rate_in),
            _rate(row.rate_out),
            drain if row.behind else "",
            str(row.members),
            Text(row.verdict, style=_STYLES[row.verdict]),
        )
    return table


def _rate(rate: float | None) -> Text:
    return Text("-" if rate is None else f"{rate:,.0f}", style="" if rate else "dim")


def _figures(figures: Figures, now: int, part: str | None) -> Iterator[RenderableType]:
    yield from _money(figures, more=part == "money")
    yield _commands(figures, now)
    age = (
        ""
        if not figures.unsent.number
        else f", the oldest {_age(figures.unsent.oldest_at, now)} old"
    )
    parked = sum(group.number for group in figures.parked.values())
    yield Text(
        f"outbox {figures.unsent.number:,} to send{age} · {parked:,} facts wait · "
        f"{figures.overdue:,} deadlines overdue"
    )
    letters = sum(group.number for group in figures.dead_letters.values())
    yield Text(f"dead letters {letters:,}", style="yellow" if letters else "")
    if part == "letters":
        groups = sorted(figures.dead_letters.items(), key=lambda item: -item[1].number)
        yield from (Text(f"  {group.number:>6,}  {code}") for code, group in groups)


def _money(figures: Figures, *, more: bool) -> Iterator[RenderableType]:
    for currency, money in sorted(figures.money.items()):
        line = f"held {format_amount(money.held, currency)}"
        if more:
            line += (
                f" · captured {format_amount(money.captured, currency)}"
                f" · paid out {format_amount(money.paid_out, currency)}"
                f" · refunded {format_amount(money.refunded, currency)}"
                f" · charged back {format_amount(money.charged_back, currency)}"
            )
        yield Text(line)
        if money.imbalance:
            gone = format_amount(money.imbalance, currency)
            yield Text(f"! {gone} not accounted for: run `escrow audit`", style="bold red")


def _commands(figures: Figures, now: int) -> Text:
    going = sum(group.number for group in figures.silent.values())
    oldest = [group.oldest_at for group in figures.silent.values() if group.oldest_at is not None]
    since = f", the oldest for {_age(min(oldest), now)}" if oldest else ""
    unresolved = sum(figures.unresolved.values())
    text = Text(f"commands {going:,} without a final answer{since}")
    if unresolved:
        text.append(f" · {unresolved:,} failed or returned", style="bold red")
    if figures.held_back:
        text.append(f" · {figures.held_back:,} held for a person", style="bold red")
    for pause in figures.paused:
        text.append(f" · {terminal.plain(paused_words(pause))}", style="bold red")
    return text


def _age(at: int | None, now: int) -> str:
    return "-" if at is None else how_long(max(now - at, 0))
