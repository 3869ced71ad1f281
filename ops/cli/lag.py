"""`escrow lag`: how far each stage is behind, partition by partition."""

import json as json_module
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Never

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ops.cli import terminal
from ops.cli.terminal import JsonOption, a_table
from ops.paused_words import paused_words

if TYPE_CHECKING:
    from ops.lag import LagReport, PartitionLag
    from ops.lag_watch import LagWatch

ALL = -1
_STYLES = {"ok": "green", "slow": "yellow", "stuck": "bold red", "no-members": "red"}


def lag(
    json: JsonOption = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again.")] = False,
    sample: Annotated[
        float, typer.Option(min=0.2, max=60, help="Seconds between two looks, for rates.")
    ] = 2.0,
) -> None:
    """Show how far each stage is behind: records, seconds, rates, time to drain, verdict.

    Positions come from the database, ends from Kafka. Exit code 1 if a stage is stuck or has no
    members, 2 if the database or Kafka does not answer.
    """
    from ops.lag_watch import LagWatch

    settings = terminal.settings()
    with terminal.troubles(), closing(LagWatch(settings, max(sample, 2.0))) as looking:
        first = looking.look()
        if watch:
            _watch(looking, first, sample, json=json)
        time.sleep(sample)
        report = looking.look()
    if json:
        from ops.lag import report_json

        terminal.print_json(report_json(report))
    else:
        terminal.console().print(lag_page(report))
    raise typer.Exit(terminal.GOOD if report.healthy else terminal.BAD)


def _watch(looking: "LagWatch", first: "LagReport", sample: float, *, json: bool) -> Never:
    """Until Ctrl-C: one page that changes, or one line of JSON a look."""
    from ops.lag import report_json

    with Live(console=terminal.console(), auto_refresh=False, transient=json) as live:
        if not json:
            live.update(lag_page(first), refresh=True)
        while True:
            time.sleep(sample)
            report = looking.look()
            if json:
                sys.stdout.write(json_module.dumps(report_json(report)) + "\n")
                sys.stdout.flush()
            else:
                live.update(lag_page(report), refresh=True)


def lag_page(report: "LagReport") -> RenderableType:
    """A row a partition; the stage's name where it begins."""
    behind = any(row.behind for row in report.partitions)
    delay = "delay*" if report.record_time and behind else "delay"
    numbers = ("p", "behind", delay, "in/s", "out/s", "drained in")
    table = a_table("stage", *numbers, "verdict", right=numbers)
    for stage, group in groupby(report.partitions, key=lambda row: row.stage):
        rows = list(group)
        if len(rows) > 1 and all(_quiet(row) and row.verdict == rows[0].verdict for row in rows):
            rows = [_joined(rows)]
        for row in rows:
            table.add_row(stage if row is rows[0] else "", *_cells(row))
    parts: list[RenderableType] = [table]
    parts += [
        Text(f"! no topic {topic}: run `escrow topics apply`", style="bold red")
        for topic in report.missing_topics
    ]
    for row in report.partitions:
        if row.detail and row.verdict != "no-members":
            parts.append(Text(f"! {row.stage}/{row.partition}: {row.detail}", style="yellow"))
    for pause in report.paused:
        parts.append(Text(f"! {terminal.plain(paused_words(pause))}", style="bold red"))
    if report.unsent:
        parts.append(Text(f"relay: {report.unsent:,} records wait in the outbox"))
    if delay == "delay*":
        parts.append(Text("* since the next record's own timestamp", style="dim"))
    return Group(*parts)


def _quiet(row: "PartitionLag") -> bool:
    return not row.behind and (not row.detail or row.verdict == "no-members")


def _joined(rows: "list[PartitionLag]") -> "PartitionLag":
    """All partitions of a stage in one row, where none of them has anything to say of its own."""
    rate_in, rate_out = _sum(row.rate_in for row in rows), _sum(row.rate_out for row in rows)
    return rows[0]._replace(partition=ALL, rate_in=rate_in, rate_out=rate_out)


def _sum(rates: Iterable[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _cells(row: "PartitionLag") -> list[Text | str]:
    drain = "" if row.drain_seconds is None else terminal.how_long(int(row.drain_seconds * 1000))
    return [
        "all" if row.partition == ALL else str(row.partition),
        Text(f"{row.behind:,}", style="bold" if row.behind else "dim"),
        terminal.how_long(int(row.seconds * 1000)) if row.behind else Text("0", style="dim"),
        _rate(row.rate_in),
        _rate(row.rate_out),
        drain,
        Text(row.verdict, style=_STYLES[row.verdict]),
    ]


def _rate(rate: float | None) -> Text:
    return Text("-" if rate is None else f"{rate:,.0f}", style="" if rate else "dim")
