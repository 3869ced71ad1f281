"""The program `escrow`: each group of commands has a file in this folder; nothing here decides anything."""

import typer

from ops.cli import (
    archive,
    audit,
    bench,
    commands,
    conformance,
    contract,
    database,
    dlq,
    facts,
    forget,
    keys,
    lag,
    ledger,
    manifests,
    order,
    policy,
    positions,
    rebuild,
    reconcile,
    ruling,
    run,
    send,
    setup,
    simulate,
    top,
    topics,
    trigger,
    up,
    views,
    web,
    webhooks,
    whatif,
)

LOOK = "Look: nothing is changed"
ACT = "Act: with a confirmation, or --yes"
SET_UP = "Set up"

app = typer.Typer(
    name="escrow",
    help="A message-driven escrow pipeline: facts in, payout and refund commands out.\n\n"
    "Exit codes: 0 good, 1 the answer is bad (findings, not found, declined), 2 not done, "
    "3 a stage halted.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
up.register(app)
run.register(app)
app.add_typer(views.app, name="views")
app.command()(web.web)
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(order.app, name="order", rich_help_panel=LOOK)
app.command(rich_help_panel=LOOK)(lag.lag)
app.command(rich_help_panel=LOOK)(top.top)
app.command(rich_help_panel=LOOK)(audit.audit)
app.add_typer(facts.app, name="facts", rich_help_panel=LOOK)
app.add_typer(ledger.app, name="ledger", rich_help_panel=LOOK)
app.command(rich_help_panel=LOOK)(simulate.simulate)
app.command(rich_help_panel=LOOK)(whatif.whatif)
app.command(rich_help_panel=LOOK)(rebuild.rebuild)
app.command(rich_help_panel=LOOK)(reconcile.reconcile)
app.command(rich_help_panel=LOOK)(bench.bench)
app.add_typer(dlq.app, name="dlq", rich_help_panel=ACT)
app.add_typer(commands.app, name="commands", rich_help_panel=ACT)
app.add_typer(send.app, name="send", rich_help_panel=ACT)
app.command(rich_help_panel=ACT)(forget.forget)
app.add_typer(archive.app, name="archive", rich_help_panel=ACT)
app.add_typer(positions.app, name="positions", rich_help_panel=ACT)
app.add_typer(ruling.app, name="ruling", rich_help_panel=ACT)
app.add_typer(conformance.app, name="conformance", rich_help_panel=LOOK)
app.add_typer(contract.app, name="contract", rich_help_panel=LOOK)
app.command(rich_help_panel=ACT)(trigger.trigger)
app.command(rich_help_panel=SET_UP)(manifests.manifests)
app.add_typer(policy.app, name="policy", rich_help_panel=SET_UP)
app.add_typer(keys.app, name="keys", rich_help_panel=SET_UP)
app.add_typer(topics.app, name="topics", rich_help_panel=SET_UP)
app.add_typer(database.app, name="db", rich_help_panel=SET_UP)
setup.register(app, SET_UP)


def main() -> None:
    """Entry point of the program."""
    app(prog_name="escrow")  # however we were started


if __name__ == "__main__":
    main()
