"""`escrow ledger`: every movement of money in a period, and what lies on each account at a date."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from ops.cli import terminal
from ops.cli.terminal import JsonOption, a_table

if TYPE_CHECKING:
    from ops.ledger import TrialBalance

app = typer.Typer(help="The ledger: export, balance.", no_args_is_help=True)


@app.command()
def export(
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Booked then or later.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Booked before then.")
    ] = None,
    form: Annotated[Literal["csv", "jsonl"], typer.Option("--format", help="How.")] = "csv",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file instead of standard output.")
    ] = None,
) -> None:
    """Write the movements of a period, by their time: one row has debit, credit and amount.

    TIME is RFC 3339 (UTC without an offset) or ms. Exit code 1 if there are none.
    """
    from ops.ledger import write_bookings
    from storage.ledger_reading import stream_bookings
    from storage.reading import snapshot

    first, end = terminal.moment(since) or 0, terminal.moment(until)
    url = terminal.settings().database.connection_url
    with terminal.troubles(), snapshot(url) as connection, terminal.opened(output) as out:
        bookings = stream_bookings(connection, first, end)
        count = write_bookings(out, bookings, as_csv=form == "csv")
    if output is not None:
        terminal.note(f"{count} movements in {output}")
    if count == 0:
        raise terminal.fail("nothing was booked in that time", terminal.BAD)


@app.command()
def balance(
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Of all that was booked before then.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show the trial balance of each currency: debits equal credits.

    Without --at what is held is also compared with the orders. Exit code 1 if it does not balance.
    """
    from ops.ledger import trial_balances
    from storage.ledger_reading import held, sums
    from storage.reading import snapshot

    until = terminal.moment(at)
    url = terminal.settings().database.connection_url
    with terminal.troubles(), snapshot(url) as connection:
        found = trial_balances(sums(connection, until), held(connection) if until is None else None)
    if json:
        terminal.print_json([_as_json(one) for one in found])
    else:
        terminal.console().print(Group(*(_page(one) for one in found)))
    raise typer.Exit(terminal.GOOD if all(one.balances for one in found) else terminal.BAD)


def _as_json(one: "TrialBalance") -> dict[str, Any]:
    lines = [line._asdict() | {"balance_minor": line.balance_minor} for line in one.lines]
    sums = {"debit_minor": one.debit_minor, "credit_minor": one.credit_minor}
    return {**one._asdict(), "lines": lines, **sums, "balances": one.balances}


def _page(one: "TrialBalance") -> RenderableType:
    from schemas.money import format_amount

    sums = ("debit", "credit", "balance")
    table = a_table(one.currency, *sums, right=sums)
    rows = [(line.account.replace("_", " "), *line[1:], line.balance_minor) for line in one.lines]
    rows.append(("", one.debit_minor, one.credit_minor, one.credit_minor - one.debit_minor))
    for name, *amounts in rows:
        table.add_row(name, *(format_amount(amount, one.currency) for amount in amounts))
    said = f"{one.movements:,} movements"
    if one.held_by_orders is not None:
        said += f"; orders hold {format_amount(one.held_by_orders, one.currency)}"
    verdict = ("balances", "bold green") if one.balances else ("does not balance", "bold red")
    return Group(table, Text.assemble(verdict, (f"  {said}", "dim")), Text())
