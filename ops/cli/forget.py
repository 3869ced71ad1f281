"""`escrow forget`: a buyer's own words are erased, the proofs of his orders stay."""

from typing import Annotated

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, OperatorOption, YesOption


def forget(
    buyer_id: Annotated[str, typer.Argument(help="The buyer's id.", metavar="BUYER")],
    operator: OperatorOption,
    reason: Annotated[str, typer.Option(help="Why; it is kept, with a digest of the buyer's id.")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Erase a buyer's free texts: notes, rationales, reports, kept copies of dead letters.

    Decisions, chains and postings stay, and the audit stays clean. It cannot be undone. Exit code 1
    if nothing of this buyer is there to erase, or you decline.
    """
    from storage.forgetting import forget as erase

    url = terminal.settings().database.connection_url
    with terminal.troubles():
        found = erase(url, buyer_id, operator, reason, dry_run=True)
        told = (
            f"{found.orders:,} orders: {found.texts:,} texts, {found.reports:,} reports and"
            f" {found.letters:,} copies of dead letters"
        )
        if not (found.texts or found.reports or found.letters):
            raise terminal.fail(f"nothing to erase in {told}", terminal.BAD)
        terminal.note(f"to erase in {told}")
        if dry_run:
            terminal.note("dry run: nothing was erased")
            return
        terminal.confirm("Erase these for good?", yes=yes)
        done = erase(url, buyer_id, operator, reason)
    typer.echo(f"erased {done.texts} texts, {done.reports} reports, {done.letters} copies")
