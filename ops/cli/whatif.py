"""`escrow whatif`: what another policy would have made of the stored history; nothing is sent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ops.cli import terminal
from ops.cli.policy import policies_of
from ops.cli.terminal import JsonOption, a_table, styled

if TYPE_CHECKING:
    from ops.whatif import WhatIf


def whatif(
    policy: Annotated[Path, typer.Option("--policy", help="A policy file (docs/policy.md).")],
    as_dated: Annotated[
        bool,
        typer.Option(
            "--as-dated",
            help="Each version from its own date on, version 1 before; else the file's last one for all.",
        ),
    ] = False,
    examples: Annotated[
        int, typer.Option(min=0, max=1_000, help="Show so many orders that would differ.")
    ] = 10,
    json: JsonOption = False,
) -> None:
    """Decide the stored history under another policy: which orders would differ, and what money.

    Nothing is written or sent. People would have acted otherwise, too: only the rules are compared.
    Exit code 0 also where much would differ; 1 where orders cannot be decided again.
    """
    from escrow.policy import CURRENT, WrongPolicy
    from ops.whatif import what_if, what_if_json

    known = policies_of(policy)
    last = known[-1]._replace(effective_at=0)
    versions = [CURRENT, *(p for p in known if p != CURRENT)] if as_dated else [last]
    settings = terminal.settings()
    with terminal.troubles(), terminal.progress("orders") as bar:
        try:
            result = what_if(settings.database.connection_url, versions, bar)
        except WrongPolicy as error:
            raise terminal.fail(f"{policy}: {error}") from None
    if json:
        shown = what_if_json(result)
        terminal.print_json(shown | {"examples": shown["examples"][:examples]})
    else:
        _page(result, examples)
    if result.unreadable:
        terminal.note(f"{len(result.unreadable)} orders left out: run `escrow audit`")
    raise typer.Exit(terminal.BAD if result.unreadable else terminal.GOOD)


def _page(result: "WhatIf", examples: int) -> None:
    out = terminal.console()
    said = f"{result.different:,} of {result.orders:,} orders would have ended otherwise"
    out.print(Text(f"{said}, {result.facts:,} facts decided again", style="bold"))
    if not result.different and not result.endings:
        return
    out.print(_statuses(result))
    for table in _money(result):
        out.print(table)
    if result.endings:
        out.print(_endings(result))
    if result.examples and examples:
        out.print(_examples(result, examples))


def _statuses(result: "WhatIf") -> object:
    table = a_table("was", "would be", "orders", right=("orders",), title="\nOrders")
    for (was, would_be), number in result.statuses.most_common():
        names = (styled(name or "-", terminal.STATUS_STYLES) for name in (was, would_be))
        table.add_row(*names, f"{number:,}")
    return table


def _money(result: "WhatIf") -> list[object]:
    from ops.whatif import amounts
    from schemas.money import format_amount

    tables: list[object] = []
    for currency in sorted({*result.was, *result.would_be}):
        rows = [row for row in amounts(result, currency) if row[1] or row[2]]
        if all(was == would_be for _, was, would_be in rows):
            continue
        columns = ("was", "would be", "difference")
        table = a_table("", *columns, right=columns, title=f"\n{currency}")
        for name, was, would_be in rows:
            sign = "+" if would_be > was else "-" if would_be < was else ""
            difference = f"{sign}{format_amount(abs(would_be - was), currency)}" if sign else ""
            amount = (format_amount(was, currency), format_amount(would_be, currency))
            table.add_row(name.replace("_", " "), *amount, difference)
        tables.append(table)
    return tables


def _endings(result: "WhatIf") -> object:
    table = a_table("fact", "was", "would be", "facts", right=("facts",), title="\nFacts")
    for (type_name, was, would_be), number in result.endings.most_common(20):
        named = (" ".join(part for part in ending if part) for ending in (was, would_be))
        table.add_row(type_name, *named, f"{number:,}")
    return table


def _examples(result: "WhatIf", number: int) -> object:
    from schemas.money import format_amount

    columns = ("refunded", "paid out")
    table = a_table("order", "was", "would be", *columns, right=columns, title="\nFirst orders")
    for order in result.examples[:number]:
        pairs = (
            f"{format_amount(was, order.currency)} -> {format_amount(would_be, order.currency)}"
            if was != would_be
            else ""
            for was, would_be in (order.refunded, order.paid_out)
        )
        names = (
            styled(name or "-", terminal.STATUS_STYLES) for name in (order.status, order.would_be)
        )
        table.add_row(styled(order.order_id), *names, *pairs)
    return table
