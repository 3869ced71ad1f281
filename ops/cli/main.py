"""The program `escrow`: each group of commands has a file in this folder; nothing here decides anything."""

import typer

from ops.cli import (
    audit,
    commands,
    dlq,
    facts,
    lag,
    order,
    positions,
    run,
    setup,
    simulate,
    topics,
    up,
)

app = typer.Typer(
    name="escrow",
    help="A message-driven escrow pipeline: facts in, payout and refund commands out.\n\n"
    "Exit codes: 0 good, 1 the answer is bad (findings, not found, declined), 2 not done, "
    "3 a stage halted.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
run.register(app)
app.command()(simulate.simulate)
app.add_typer(facts.app, name="facts")
app.add_typer(order.app, name="order")
app.command()(audit.audit)
app.command()(lag.lag)
app.add_typer(dlq.app, name="dlq")
app.add_typer(commands.app, name="commands")
app.add_typer(positions.app, name="positions")
app.add_typer(topics.app, name="topics")
setup.register(app)
up.register(app)


def main() -> None:
    """Entry point of the program."""
    app()


if __name__ == "__main__":
    main()
