"""`escrow facts`: the stored facts as records, for the dry run, an auditor, or an empty database."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ops.cli import terminal

app = typer.Typer(help="The stored facts.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `export` a command of its own while it is the only one."""


@app.command()
def export(
    order: Annotated[
        str | None,
        typer.Option(
            help="Only this order's, with the captures elsewhere that used one of its payment ids."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file instead of standard output.")
    ] = None,
) -> None:
    """Write the stored facts in their recorded order, as `escrow simulate` reads them.

    Deciding them again gives the same orders and the same command ids. Texts that were forgotten
    stay forgotten. Exit code 1 if there are none.
    """
    from ops.export import write_export
    from storage.exporting import count_facts, stream_facts
    from storage.reading import snapshot

    url = terminal.settings().database.connection_url
    with (
        terminal.troubles(),
        snapshot(url) as connection,
        terminal.progress("facts") as bar,
        terminal.opened(output) as out,
    ):
        total = count_facts(connection) if order is None and sys.stderr.isatty() else 0
        count = write_export(stream_facts(connection, order), out, lambda n: bar(n, total))
    if output is not None:
        terminal.note(f"{count} facts in {output}")
    if count == 0:
        raise terminal.fail("there are no such facts", terminal.BAD)
