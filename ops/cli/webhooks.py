"""`escrow webhooks`: tell order events to others over HTTPS; what was given up; have it sent again."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, YesOption, a_table, styled

app = typer.Typer(
    help="Order events and alarms for others, as signed Standard Webhooks: run, dead, retry.",
    no_args_is_help=True,
)
DataOption = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="Where it keeps what is still to be told.")
]
EndpointOption = Annotated[str | None, typer.Option(help="Only those of this endpoint.")]


@app.command()
def run(
    data: DataOption,
    from_beginning: Annotated[
        bool,
        typer.Option("--from-beginning", help="At the first start: all that the topic holds."),
    ] = False,
) -> None:
    """Tell events to the endpoints of ESCROW_WEBHOOKS__ENDPOINTS_FILE until SIGTERM or Ctrl-C.

    At least once each, under the event's own id; one process a directory.
    """
    from ops.cli.run import run_program
    from ops.webhooks.run import run_webhooks

    settings = terminal.settings()
    run_program(
        "webhooks",
        lambda given, stop: run_webhooks(given, data, stop, from_beginning=from_beginning),
        settings,
    )


@app.command()
def dead(
    data: DataOption,
    endpoint: EndpointOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 50,
    json: JsonOption = False,
) -> None:
    """Show what was given up, and why. Exit code 1 if there is any."""
    from ops.webhooks.store import Store

    with Store(_there(data)) as store:
        found = store.dead(limit, endpoint)
        waiting = store.waiting()
    if json:
        shown = [one._asdict() | {"body": one.body.decode()} for one in found]
        terminal.print_json({"dead": shown, "waiting": waiting})
    else:
        table = a_table("endpoint", "type", "id", "tries", "given up (UTC)", "", right=("tries",))
        for one in found:
            at = datetime.fromtimestamp(one.dead_at or 0, UTC).strftime("%Y-%m-%d %H:%M")
            table.add_row(
                styled(one.endpoint),
                one.type,
                styled(one.id),
                str(one.attempts),
                at,
                styled(one.error or ""),
            )
        terminal.console().print(table)
        terminal.note(f"{waiting:,} wait to be told")
    raise typer.Exit(terminal.BAD if found else terminal.GOOD)


@app.command()
def retry(
    data: DataOption,
    endpoint: EndpointOption = None,
    id_: Annotated[str | None, typer.Option("--id", help="Only this event.")] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Have what was given up tried again from the beginning. Exit code 1 if there is none."""
    import time

    from ops.webhooks.store import Store

    with Store(_there(data)) as store:
        found = [one for one in store.dead(1_000_000, endpoint) if id_ in (None, one.id)]
        terminal.note(f"{len(found):,} were given up")
        if not found:
            raise typer.Exit(terminal.BAD)
        if dry_run:
            terminal.note("dry run: nothing was changed")
            return
        terminal.confirm("Try them again?", yes=yes)
        terminal.note(f"{store.again(time.time(), endpoint=endpoint, id_=id_):,} will be tried")


def _there(data: Path) -> Path:
    from ops.webhooks.store import FILE

    if not (data / FILE).is_file():
        raise terminal.fail(f"no webhooks were ever run with {data}")
    return data
