"""`escrow archive`: facts of orders long settled go to files, and can be proved and brought back."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli import terminal
from ops.cli.terminal import (
    DryRunOption,
    JsonOption,
    OperatorOption,
    YesOption,
    a_table,
    styled,
)

if TYPE_CHECKING:
    from ops.archive import Gone, Verified, Wrong

app = typer.Typer(
    help="Facts of settled orders in files: run, list, verify, restore, move.",
    no_args_is_help=True,
)
ReasonOption = Annotated[str, typer.Option(help="Why; it is kept.")]


@app.command()
def run(
    into: Annotated[Path, typer.Option(help="The folder for the files.", metavar="FOLDER")],
    reason: ReasonOption,
    operator: OperatorOption,
    days: Annotated[
        int, typer.Option(min=1, help="Orders of which nothing was heard for so many days.")
    ] = 180,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Move the facts of orders at rest into compressed files, and note where each is.

    A file is written, read back and proved before its rows leave; what was killed halfway is run
    again. Orders are decided, shown and audited as before, wherever the folder can be read. Exit
    code 1 if orders were passed over, or you decline.
    """
    from escrow.policy import DAY_MS
    from ops.archive import archive, to_archive
    from storage.archiving import NotAsRead, Told
    from storage.attention import rules_now
    from storage.reading import snapshot

    settings = terminal.settings()
    url, wall = settings.database.connection_url, terminal.wall_ms()
    folder = _folder(into)
    with terminal.troubles():
        with snapshot(url) as connection:
            before = rules_now(connection, wall, settings.timestamp_type) - days * DAY_MS
        planned, passed_over = to_archive(url, before)
        terminal.note(
            f"{planned.facts:,} facts of {planned.orders:,} orders of which nothing was heard"
            f" since {terminal.when(before)} UTC"
        )
        if dry_run or not planned.orders:
            terminal.note("dry run: nothing was moved" if dry_run else "nothing to archive")
            _say(planned, passed_over, json=json)
            return
        terminal.confirm(f"Move them into {folder}?", yes=yes)
        day = f"{datetime.fromtimestamp(wall / 1_000, UTC):%Y%m%d}"
        try:
            gone, passed_over = archive(url, folder, before, day, Told(operator, reason))
        except NotAsRead as error:
            raise terminal.fail(f"{error}; nothing of that file has left") from None
        except OSError as error:
            raise terminal.fail(f"cannot write into {folder}: {error.strerror}") from None
    _say(gone, passed_over, json=json)


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """Show the files: what is in each, from when, and who archived it. Opens none of them."""
    from storage.archived import archives
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        found = archives(connection)
    if json:
        terminal.print_json([one._asdict() for one in found])
        return
    if not found:
        terminal.note("nothing is archived")
        return
    table = a_table(
        "file", "orders", "facts", "KB", "facts from", "to", right=("orders", "facts", "KB")
    )
    for one in found:
        times = (terminal.when(one.t_min)[:10], terminal.when(one.t_max)[:10])
        sizes = (f"{one.orders:,}", f"{one.facts:,}", f"{one.size_bytes / 1_000:,.0f}")
        table.add_row(one.name, *sizes, *times)
    terminal.console().print(table)
    for folder in sorted({one.folder for one in found}):
        terminal.note(f"in {folder}")


@app.command()
def verify(json: JsonOption = False) -> None:
    """Read every file whole: its digests, the chain of each order in it, and that rows and files agree.

    Exit code 0: all is as it was written; 1: something is not. That the facts make the orders' rows
    is proved by `escrow audit`, archived or not.
    """
    from ops.archive import verify as verified

    url = terminal.settings().database.connection_url
    with terminal.troubles(), terminal.progress("files") as bar:
        found = verified(url, bar)
    if json:
        terminal.print_json(found._asdict())
    else:
        _verdict(found)
    raise typer.Exit(terminal.BAD if found.wrong else terminal.GOOD)


@app.command()
def restore(
    order_id: Annotated[str, typer.Argument(help="The order.", metavar="ORDER")],
    reason: ReasonOption,
    operator: OperatorOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Bring an order's facts back into the database, as they were.

    It is shown and decided the same without; this is for who wants to close a file. Exit code 1 if
    none of it is in a file, or you decline.
    """
    from ops.archive import restore as bring_back
    from storage.archived import OF_ORDERS, facts_of, places
    from storage.archiving import NotAsRead, Told
    from storage.reading import snapshot

    url = terminal.settings().database.connection_url
    with terminal.troubles():
        with snapshot(url) as connection:
            there = places(connection, OF_ORDERS, order_ids=[order_id])
            number = len(facts_of(connection, [order_id]))
        if not there:
            raise terminal.fail(f"nothing of order {order_id} is in a file", terminal.BAD)
        terminal.note(f"{number:,} facts of order {order_id} are in files")
        if dry_run:
            terminal.note("dry run: nothing was moved")
            return
        terminal.confirm("Bring them back?", yes=yes)
        try:
            back = bring_back(url, order_id, Told(operator, reason))
        except NotAsRead as error:
            raise terminal.fail(f"{error}; nothing was moved") from None
    typer.echo(f"{back} facts are back")


@app.command()
def move(
    to: Annotated[Path, typer.Option(help="Where the files are now.", metavar="FOLDER")],
    yes: YesOption = False,
) -> None:
    """After copying all files: look for them in another folder from now on.

    Each must be there, and be the one that was written; else nothing changes. Exit code 1 if you
    decline.
    """
    from ops.archive import move as moved

    url = terminal.settings().database.connection_url
    folder = _folder(to)
    terminal.confirm(f"Look for all files in {folder} from now on?", yes=yes)
    with terminal.troubles():
        number = moved(url, folder)
    typer.echo(f"{number} files are looked for in {folder}")


def _folder(said: Path) -> Path:
    """As everybody who reads must find it. Exit 2 where there is none."""
    folder = said.resolve()
    if not folder.is_dir():
        raise terminal.fail(f"{said} is not a folder")
    return folder


def _say(gone: "Gone", passed_over: "Wrong", *, json: bool) -> None:
    if json:
        terminal.print_json(gone._asdict() | {"passed_over": passed_over})
    elif gone.files:
        typer.echo(
            f"{gone.facts:,} facts of {gone.orders:,} orders are in new files, {gone.files} in all"
            f" ({gone.size_bytes / 1_000:,.0f} KB); {gone.left:,} rows have left"
        )
    for order_id, why in passed_over:
        terminal.note(f"passed over {order_id}: {why}; run `escrow audit`")
    if passed_over:
        raise typer.Exit(terminal.BAD)


def _verdict(found: "Verified") -> None:
    if found.wrong:
        table = a_table("finding in", "what")
        for subject, what in found.wrong:
            table.add_row(styled(subject), styled(what))
        terminal.console().print(table)
    else:
        said = f"{found.files} files, {found.orders:,} orders, {found.facts:,} facts"
        terminal.console().print(styled(f"all as it was written: {said}", style="green"))
    for path in found.left_over:
        terminal.note(f"no row names {path}: of a run that did not end, and may be removed")
