"""`escrow order`: one order, as it is stored and in plain words."""

from typing import Annotated

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
    from ops.order_answer import rows_json
    from storage.dossiers import read_order
    from storage.reading import snapshot

    url = terminal.settings().database.connection_url
    with terminal.troubles(), snapshot(url) as connection:
        dossier = read_order(connection, order_id)
    if dossier is None:
        raise terminal.fail(f"no fact of order {order_id} has come", terminal.BAD)
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
