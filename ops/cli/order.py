"""`escrow order`: one order, as it is stored and in plain words."""

from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli import order_evidence, terminal
from ops.cli.terminal import JsonOption

if TYPE_CHECKING:
    from ops.redecide import Elsewhere
    from storage.dossiers import Dossier

app = typer.Typer(help="One order: what is stored, and what it means.", no_args_is_help=True)
OrderId = Annotated[str, typer.Argument(help="The order id.", metavar="ID")]


@app.command()
def show(
    order_id: OrderId,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="As it stood then: RFC 3339 (UTC without an offset), or ms."
        ),
    ] = None,
    decision: Annotated[
        int | None, typer.Option(min=1, help="As it stood after this decision.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show an order's rows: money, facts with their outcomes, parcels, offers, commands.

    With --at or --decision its first facts are decided again. Exit code 1 if no fact of it has
    come, or had come then.
    """
    from ops.cli.order_pages import show_page
    from ops.order_answer import rows_json
    from ops.redecide import Elsewhere, claimed_elsewhere, payment_ids, read_facts
    from storage.dossiers import read_order
    from storage.reading import snapshot

    until = terminal.moment(at)
    url = terminal.settings().database.connection_url
    elsewhere: dict[str, Elsewhere] = {}
    with terminal.troubles(), snapshot(url) as connection:
        dossier = read_order(connection, order_id)
        if dossier is not None and not until is decision is None:
            named = {order_id: payment_ids(read_facts(dossier))}
            _, elsewhere = claimed_elsewhere(connection, named)
    if dossier is None:
        raise terminal.fail(f"no fact of order {order_id} has come", terminal.BAD)
    if not until is decision is None:
        dossier = _back_then(dossier, elsewhere, until, decision)
    if json:
        terminal.print_json(rows_json(dossier))
    else:
        terminal.console().print(show_page(dossier))


@app.command()
def explain(order_id: OrderId, json: JsonOption = False) -> None:
    """Where the money is, why, what happens next and when, what was ignored and why.

    Exit code 1 if no fact of it has come.
    """
    from ops.cli.order_pages import explain_page
    from ops.order_answer import answer, explanation_json
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        found = answer(connection, settings, order_id, terminal.wall_ms())
    if found is None:
        raise terminal.fail(f"no fact of order {order_id} has come", terminal.BAD)
    if json:
        terminal.print_json(explanation_json(found.explanation))
    else:
        terminal.console().print(explain_page(found.explanation, found.now))


def _back_then(
    dossier: "Dossier", elsewhere: "dict[str, Elsewhere]", until: int | None, decision: int | None
) -> "Dossier":
    """The order as it stood; what came since is told beside it."""
    from ops.redecide import read_facts
    from ops.time_travel import NothingYet, as_of

    facts = read_facts(dossier)
    try:
        then = as_of(dossier.order_id, facts, elsewhere, until=until, decision=decision)
    except NothingYet:
        said = f"no fact of order {dossier.order_id} had come then"
        raise terminal.fail(said, terminal.BAD) from None
    later = f"as after decision {then.decision_no}; {then.facts_later} facts were decided since"
    if then.facts_late:
        later += f", {then.facts_late} of them with a time that is not later"
    terminal.note(later)
    return then.dossier


app.command()(order_evidence.evidence)
