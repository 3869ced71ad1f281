"""`escrow simulate`: the dry run of RULES 5."""

from pathlib import Path
from typing import Annotated

import typer

from ops.cli.policy import policies_of


def simulate(
    facts: Annotated[Path, typer.Argument(help="Records to decide, JSON Lines (RULES 5).")],
    outcomes: Annotated[Path, typer.Option(help="Where to write one outcome a record.")],
    orders: Annotated[Path, typer.Option(help="Where to write one line an order.")],
    policy: Annotated[
        Path | None, typer.Option(help="Versions of the policy besides the first (docs/policy.md).")
    ] = None,
) -> None:
    """Dry run: decide the records of a file with no broker and no database.

    Exit code 2 if a line is not a record; nothing is written then.
    """
    from escrow.policy import WrongPolicy, learn
    from ops.record_lines import NotARecord
    from ops.simulate import run

    try:
        if policy is not None:
            learn(policies_of(policy))
        count = run(facts, outcomes, orders)
    except (NotARecord, OSError, WrongPolicy) as error:
        typer.echo(f"escrow simulate: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"{count} records decided", err=True)
