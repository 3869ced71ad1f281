"""The program `escrow`: one command a file in this folder; nothing here decides anything."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="escrow",
    help="A message-driven escrow pipeline: facts in, payout and refund commands out.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@app.command()
def simulate(
    facts: Annotated[Path, typer.Argument(help="Records to decide, JSON Lines (RULES 5).")],
    outcomes: Annotated[Path, typer.Option(help="Where to write one outcome a record.")],
    orders: Annotated[Path, typer.Option(help="Where to write one line an order.")],
) -> None:
    """Dry run: decide the records of a file with no broker and no database.

    Exit code 2 if a line is not a record; nothing is written then.
    """
    from ops.simulate import NotARecord, run

    try:
        count = run(facts, outcomes, orders)
    except (NotARecord, OSError) as error:
        typer.echo(f"escrow simulate: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{count} records decided", err=True)


@app.callback()
def _root() -> None:
    """Keep `simulate` a command of its own while it is the only one."""


def main() -> None:
    """Entry point of the program."""
    app()


if __name__ == "__main__":
    main()
