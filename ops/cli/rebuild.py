"""`escrow rebuild`: the same past decided again into an empty database. Exit code 0 equal, 1 different."""

from typing import Annotated

import typer

from ops.cli import terminal
from ops.cli.terminal import JsonOption, YesOption


def rebuild(
    into: Annotated[
        str,
        typer.Option(
            "--into",
            envvar="ESCROW_REBUILD_URL",
            show_envvar=True,
            help="The URL of an empty database. A password belongs into the variable.",
        ),
    ],
    json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Decide all stored facts again, in their recorded order, into an empty database.

    Nothing is sent. Exit code 0: all rows and commands are equal; 1: tables differ, or you
    decline; 2: not done, such as into a database that holds anything.
    """
    from consumers.engine.config import ConfigError, load_settings
    from ops.rebuild import CannotRebuild
    from ops.rebuild import rebuild as rebuilt_from

    settings = terminal.settings()
    try:
        target = load_settings(database={"url": into}).database
    except ConfigError as error:
        raise terminal.fail(f"--into is not usable\n{error}") from None
    terminal.confirm(f"Write into {target.shown_url}?", yes=yes)
    with terminal.troubles(), terminal.progress("facts") as bar:
        try:
            rebuilt = rebuilt_from(settings.database.connection_url, target.connection_url, bar)
        except CannotRebuild as error:
            raise terminal.fail(str(error)) from None
        except (AssertionError, LookupError, ValueError) as error:
            why = f"{type(error).__name__} {error}".rstrip()
            raise terminal.fail(
                f"a fact cannot be decided again: {why}\nrun `escrow audit`"
            ) from None
    if json:
        terminal.print_json(rebuilt._asdict() | {"equal": not rebuilt.differing})
    else:
        rate = rebuilt.facts / rebuilt.seconds
        said = f"{rebuilt.facts:,} facts decided again in {rebuilt.seconds:.1f} s ({rate:,.0f}/s): "
        verdict = f"different: {', '.join(rebuilt.differing)}" if rebuilt.differing else "all equal"
        typer.echo(said + verdict)
    if rebuilt.unsent:
        terminal.note(f"{rebuilt.unsent} records were not sent yet; in the copy they count as sent")
    raise typer.Exit(terminal.BAD if rebuilt.differing else terminal.GOOD)
