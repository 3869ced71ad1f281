"""`escrow migrate`, `config show`, `doctor`: is this machine set up so that the pipeline can work."""

from typing import Any

import typer
from rich.text import Text

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, YesOption, a_table, styled

config = typer.Typer(help="The configuration.", no_args_is_help=True)
_MARKS = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "wrong": ("✗", "bold red"),
    "unknown": ("?", "dim"),
}


def register(app: typer.Typer, panel: str) -> None:
    """Add these commands to the program, under this heading of its help."""
    app.command(rich_help_panel=panel)(migrate)
    app.command(rich_help_panel=panel)(doctor)
    app.add_typer(config, name="config", rich_help_panel=panel)


def migrate(dry_run: DryRunOption = False, yes: YesOption = False) -> None:
    """Bring the database to the schema that this program expects. Exit code 1 if you decline."""
    from storage.reading import revision, upgrade_schema

    url = terminal.settings().database.connection_url
    with terminal.troubles():
        there, wanted = revision(url)
        if there == wanted:
            terminal.note(f"the database is at revision {there} already")
            return
        terminal.note(f"revision {there or 'none'} -> {wanted}")
        if dry_run:
            return
        terminal.confirm("Change the database's schema?", yes=yes)
        terminal.note(f"the database is at revision {upgrade_schema(url)}")


@config.callback()
def _group() -> None:
    """Keep `show` a command of its own while it is the only one."""


@config.command("show")
def show_config(json: JsonOption = False) -> None:
    """Show every setting with its environment variable; secrets are masked."""
    from consumers.engine.config import Settings, render_settings

    shown = render_settings(terminal.settings())
    if json:
        terminal.print_json(shown)
        return
    defaults = render_settings(Settings.model_construct())
    table = a_table("variable", "value")
    table.columns[0].no_wrap = True
    for name, value in shown.items():
        table.add_row(name, styled(value, style="dim" if value == defaults.get(name) else "bold"))
    terminal.console().print(table)


def doctor(json: JsonOption = False) -> None:
    """Check Python, configuration, database, Kafka, clock and disk, each with its remedy.

    Exit code 1 if anything is wrong.
    """
    from ops.doctor import examine

    checks = examine()
    wrong = any(check.state in ("wrong", "unknown") for check in checks)
    if json:
        terminal.print_json([check._asdict() for check in checks])
    else:
        terminal.console().print(_doctor_page(checks))
    raise typer.Exit(terminal.BAD if wrong else terminal.GOOD)


def _doctor_page(checks: list[Any]) -> Any:
    table = a_table("", "what", "found")
    for check in checks:
        mark, style = _MARKS[check.state]
        found = styled(check.found)
        if check.remedy and check.state != "ok":
            found.append(f"\n→ {terminal.plain(check.remedy)}", style="bold")
        table.add_row(Text(mark, style=style), check.what, found)
    return table
