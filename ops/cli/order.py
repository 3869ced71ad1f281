"""`escrow order`: one order, as it is stored and in plain words."""

from typing import Annotated, Any

import typer

from ops.cli import terminal
from ops.cli.terminal import JsonOption

app = typer.Typer(help="One order: what is stored, and what it means.", no_args_is_help=True)
OrderId = Annotated[str, typer.Argument(help="The order id.", metavar="ID")]


@app.command()
def show(order_id: OrderId, json: JsonOption = False) -> None:
    """Show an order's rows: money, facts with their outcomes, parcels, offers, commands.

    Exit code 1 if no fact of it has come.
    """
    from ops.cli.order_pages import show_page
    from storage.dossiers import read_order
    from storage.reading import snapshot

    url = terminal.settings().database.connection_url
    with terminal.troubles(), snapshot(url) as connection:
        dossier = read_order(connection, order_id)
    if dossier is None:
        raise terminal.fail(f"no fact of order {order_id} has come", terminal.BAD)
    if json:
        terminal.print_json(_as_json(dossier))
    else:
        terminal.console().print(show_page(dossier))


@app.command()
def explain(order_id: OrderId, json: JsonOption = False) -> None:
    """Where the money is, why, what happens next and when, what was ignored and why.

    Exit code 1 if no fact of it has come.
    """
    from ops.cli.order_pages import explain_page
    from ops.explain import explain as explained
    from ops.redecide import Elsewhere, Unreadable, claimed_elsewhere, payment_ids, read_facts
    from storage.attention import rules_now
    from storage.dead_letter_reading import letters
    from storage.dossiers import read_order
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        dossier = read_order(connection, order_id)
        dead = letters(connection, limit=100, order_id=order_id)
        now = rules_now(connection, terminal.wall_ms(), settings.timestamp_type)
        elsewhere: dict[str, Elsewhere] = {}
        if dossier is not None:
            try:
                named = {order_id: payment_ids(read_facts(dossier))}
            except Unreadable:
                named = {}  # the explanation says so
            _, elsewhere = claimed_elsewhere(connection, named)
    if dossier is None:
        raise terminal.fail(f"no fact of order {order_id} has come", terminal.BAD)
    explanation = explained(dossier, dead, elsewhere, now)
    if json:
        terminal.print_json(
            explanation._asdict()
            | {
                name: [part._asdict() for part in getattr(explanation, name)]
                for name in ("why", "next", "waiting", "ignored")
            }
        )
    else:
        terminal.console().print(explain_page(explanation, now))


def _as_json(dossier: Any) -> dict[str, Any]:
    """All rows of the order, named as their columns."""
    from storage.facts import FACT_COLUMNS

    facts = [
        {
            "decision_no": stored.no,
            "seq": stored.seq,
            "outcome": stored.outcome,
            "code": stored.code,
            **dict(zip(FACT_COLUMNS, stored.columns, strict=True)),
            "text": stored.text,
        }
        for stored in dossier.facts
    ]
    plain_rows = ("resolutions", "parked", "postings", "shipments", "offers", "evidence")
    return {
        "order": None if dossier.row is None else dossier.row._asdict(),
        "facts": facts,
        "commands": [
            {
                **sent.command._asdict(),
                "decision_no": sent.no,
                "hold": sent.hold,
                "unsent": sent.unsent,
            }
            for sent in dossier.commands
        ],
        **{
            name: [row._asdict() for row in getattr(dossier, name)]
            for name in (*plain_rows, "chargebacks", "deadlines")
        },
    }
