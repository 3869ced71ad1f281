"""`escrow reconcile FILE`: the gateway's account of a day against commands and ledger. 0 all agree, 1 not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from ops.cli import terminal
from ops.cli.terminal import JsonOption, a_table, styled

if TYPE_CHECKING:
    from ops.reconciliation import Reconciliation

DIFFERENCES_SHOWN = 50
TimeOption = Annotated[
    str | None, typer.Option(metavar="TIME", help="RFC 3339 (UTC without an offset), or ms.")
]


def reconcile(
    file: Annotated[Path, typer.Argument(help="CSV or JSON Lines, as in docs/reconciliation.md.")],
    since: TimeOption = None,
    until: TimeOption = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write the differences to this file, too.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Compare the gateway's file with our commands, and these with our ledger.

    With --since and --until the file need only know commands asked for in that time. Exit code 0:
    all agree; 1: differences; 2: the file or the database cannot be read, so nothing is known.
    """
    from ops.gateway_file import BadFile
    from ops.reconcile_run import reconcile_file
    from ops.reconciliation import result_json

    period = (terminal.moment(since), terminal.moment(until))
    url = terminal.settings().database.connection_url
    with terminal.troubles():
        try:
            result = reconcile_file(url, file, *period)
        except BadFile as error:
            raise terminal.fail(f"{file}: {error}") from None
        except OSError as error:
            raise terminal.fail(f"cannot read {file}: {error.strerror}") from None
    if csv is not None:
        _write(csv, result)
    if json:
        terminal.print_json(result_json(result))
    else:
        terminal.console().print(_page(result))
    raise typer.Exit(terminal.GOOD if result.clean else terminal.BAD)


def _write(path: Path, result: "Reconciliation") -> None:
    from ops.reconciliation import Difference
    from ops.spreadsheet import write_csv

    try:
        with path.open("w", encoding="utf-8", newline="") as out:
            write_csv(out, Difference._fields, result.differences)
    except OSError as error:
        raise terminal.fail(f"cannot write {path}: {error.strerror}") from None


def _page(result: "Reconciliation") -> RenderableType:
    from ops.reconciliation import KINDS
    from schemas.money import format_amount

    counts = a_table("", "how many", "", right=("how many",))
    counts.add_row("matched", f"{result.matched:,}", "")
    counts.add_row("open", f"{result.open:,}", styled("no final answer yet", style="dim"))
    for kind, means in KINDS.items():
        style = "bold red" if result.found[kind] else "green"
        figure = Text(f"{result.found[kind]:,}", style=style)
        counts.add_row(kind, figure, styled(means, style="dim"))
    sums = ("settled: file", "commands", "returned: file", "commands ")
    totals = a_table("", *sums, right=sums)
    for total in result.totals:
        amounts = (format_amount(amount, total.currency) for amount in total[2:])
        totals.add_row(f"{total.kind}s", *amounts)
    parts: list[RenderableType] = [counts, Text(), totals, Text()]
    if result.differences:
        table = a_table("what", "order", "command", "line", "", right=("line",))
        for kind, order_id, command_id, line, text in result.differences[:DIFFERENCES_SHOWN]:
            place = "" if line is None else str(line)
            table.add_row(
                kind, styled(order_id), styled((command_id or "")[:12]), place, styled(text)
            )
        parts += [table, Text()]
    found = sum(result.found.values())
    if found > DIFFERENCES_SHOWN:
        parts.append(styled(f"and {found - DIFFERENCES_SHOWN:,} more: --json, --csv", style="dim"))
    verdict = (
        ("all agree", "bold green") if result.clean else (f"{found:,} differences", "bold red")
    )
    said = f"  {result.lines:,} lines, {result.commands:,} commands"
    parts.append(Text.assemble(verdict, (said, "dim")))
    return Group(*parts)
