"""`escrow db`: who may do what in the database, and putting that into force as its owner."""

from typing import Annotated

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, YesOption, a_table, styled

app = typer.Typer(help="Who may do what in the database: roles, grant.", no_args_is_help=True)


@app.command()
def roles(
    process: Annotated[str | None, typer.Argument(help="Only this one's, cell by cell.")] = None,
    json: JsonOption = False,
) -> None:
    """Show the catalogue of roles; with a process, each table that is open to it. Asks no database."""
    from storage.roles import ROLES

    known = {role.process: role for role in ROLES}
    if process is not None and process not in known:
        terminal.note(f"no role for {process!r}; there are: {', '.join(known)}")
        raise typer.Exit(terminal.BAD)
    shown = ROLES if process is None else (known[process],)
    if json:
        terminal.print_json(
            [
                {"role": role.name, "purpose": role.purpose, "tables": dict(role.cells)}
                for role in shown
            ]
        )
        return
    if process is None:
        table = a_table("role", "for", "tables")
        for role in shown:
            table.add_row(role.name, styled(role.purpose), str(len(role.cells)))
    else:
        table = a_table("table", "may")
        for name, privileges in sorted(known[process].cells.items()):
            table.add_row(name, styled(", ".join(privileges)))
    terminal.console().print(table)


@app.command()
def grant(dry_run: DryRunOption = False, yes: YesOption = False) -> None:
    """As the owner: make the roles, and give each exactly what the catalogue says.

    Run it after each `migrate`. The dry run prints the SQL. Exit code 1 if you decline.
    """
    from storage.granting import grant as give
    from storage.granting import planned
    from storage.roles import ROLES

    url = terminal.settings().database.connection_url
    with terminal.troubles():
        said = planned(url)
        if dry_run:
            typer.echo(";\n".join(said) + ";")
            return
        terminal.confirm(f"Give {len(ROLES)} roles what the catalogue says?", yes=yes)
        give(url)
    terminal.note("done; a login is made by: CREATE ROLE name LOGIN PASSWORD '...' IN ROLE role")


@app.command()
def distribution() -> None:
    """Print the SQL that would spread the tables over several machines (Citus). Nothing is asked or run.

    No cluster was tried: the open points are printed with it, as comments.
    """
    from storage.distribution import ON_THE_COORDINATOR, OPEN, ddl

    for name, text in OPEN.items():
        typer.echo(f"-- open: {name}: {text}")
    typer.echo(f"-- on the coordinator: {', '.join(ON_THE_COORDINATOR)}")
    typer.echo(";\n".join(ddl()) + ";")
