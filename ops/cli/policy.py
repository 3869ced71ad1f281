"""`escrow policy`: which versions decide, since when, and adding one; a version never changes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, OperatorOption, YesOption, a_table

if TYPE_CHECKING:
    from escrow.policy import Policy

app = typer.Typer(help="Versions of the policy: show, apply.", no_args_is_help=True)


@app.command()
def show(json: JsonOption = False) -> None:
    """Show every version that the database knows. With --json: as a policy file."""
    from escrow.policy import POLICIES
    from escrow.policy_text import written
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url):
        versions = [POLICIES[version] for version in sorted(POLICIES)]
    if json:
        terminal.print_json({"policies": [written(version) for version in versions]})
        return
    table = a_table("", *(f"version {version.version}" for version in versions))
    for name in written(versions[0]):
        if name != "version":
            said = (written(version)[name] for version in versions)
            cells = (", ".join(cell) if isinstance(cell, list) else str(cell) for cell in said)
            table.add_row(name.replace("_", " "), *cells)
    terminal.console().print(table)


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(help="A policy file (docs/policy.md).")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    operator: OperatorOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Add the versions of a file that are new. Captures from their instant on are decided by them.

    All workers take new epochs and go on within seconds. Exit code 1 if you decline; 2 if a version
    cannot be added: it is there with another content, or would take effect in the past.
    """
    from escrow.policy import WrongPolicy
    from storage import policies
    from storage.reading import change, snapshot

    given = policies_of(file)
    settings = terminal.settings()
    url = settings.database.connection_url
    with terminal.troubles():
        try:
            with snapshot(url) as connection:
                new = policies.new_among(connection, given)
            for version in new:
                terminal.note(_what(version))
            if not new:
                terminal.note("nothing new: the database knows all of them")
                return
            if dry_run:
                terminal.note("dry run: nothing was added")
                return
            terminal.confirm("Add them?", yes=yes)
            with change(url) as connection:
                policies.add(connection, given, operator, reason)
        except WrongPolicy as error:
            raise terminal.fail(f"{file}: {error}") from None
    terminal.note("added; all workers take new epochs, and decide by them from now on")


def policies_of(file: Path) -> "list[Policy]":
    """The versions in a file, or exit 2 with what is wrong with it."""
    from escrow.policy import WrongPolicy
    from escrow.policy_text import read_policies

    try:
        return read_policies(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, WrongPolicy) as error:
        raise terminal.fail(f"{file}: {error}") from None


def _what(version: "Policy") -> str:
    since = terminal.when(version.effective_at, exact=True)
    return f"version {version.version}: decides orders whose money is held from {since} UTC on"
