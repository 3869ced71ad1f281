"""`escrow commands`: what gateways were told to do, and asking for a failed one again."""

from typing import Annotated, Any, Literal

import typer
from rich.console import RenderableType

from ops.cli import terminal
from ops.cli.terminal import (
    COMMAND_STYLES,
    DryRunOption,
    JsonOption,
    OperatorOption,
    YesOption,
    a_table,
    styled,
)

_PREFIX_MIN = 8
app = typer.Typer(help="Commands to gateways: list, reissue.", no_args_is_help=True)


@app.command("list")
def list_all(
    state: Annotated[
        Literal["PENDING", "ACCEPTED", "SETTLED", "FAILED", "RETURNED"] | None,
        typer.Option(case_sensitive=False, help="Only those in this state."),
    ] = None,
    kind: Annotated[Literal["refund", "payout"] | None, typer.Option(help="Only these.")] = None,
    order: Annotated[str | None, typer.Option(help="Only this order's.")] = None,
    older: Annotated[
        float | None, typer.Option(help="Only those asked for at least so many minutes ago.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: JsonOption = False,
) -> None:
    """List commands, those that wait longest first. Ages count by the clock of the rules."""
    from storage.attention import rules_now
    from storage.command_reading import list_commands
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        now = rules_now(connection, terminal.wall_ms(), settings.timestamp_type)
        found = list_commands(
            connection,
            limit=limit,
            state=state,
            kind=kind,
            order_id=order,
            asked_until=None if older is None else now - int(older * 60_000),
        )
    if json:
        terminal.print_json(
            [
                {
                    "order_id": listed.order_id,
                    **listed.command._asdict(),
                    "hold": listed.hold,
                    "unsent": listed.unsent,
                    "age_seconds": max(now - listed.command.asked_at, 0) / 1000,
                }
                for listed in found
            ]
        )
    elif found:
        terminal.console().print(_list_page(found, now))
    else:
        terminal.note("no such commands")


@app.command()
def reissue(
    command_id: Annotated[
        str,
        typer.Argument(
            help="The failed or returned command: its id, or how it begins (8 characters at least)."
        ),
    ],
    operator: OperatorOption,
    note: Annotated[str | None, typer.Option(help="Why; it is kept with the fact.")] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Ask for a failed or returned command once more, under a new command id.

    Publishes the fact `command.reissued`; the stage operator_actions decides it. Exit code 1 if
    the command is unknown, not final, or reissued before, or if you decline.
    """
    from consumers.engine.admin import republish
    from consumers.engine.signing import signed
    from ops.reissue import CannotReissue, reissue_record
    from schemas.money import format_amount
    from storage.attention import rules_now
    from storage.command_reading import find_commands
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles():
        with snapshot(settings.database.connection_url) as connection:
            found = find_commands(connection, command_id)
            now = rules_now(connection, terminal.wall_ms(), settings.timestamp_type)
        if len(found) != 1 or len(command_id) < _PREFIX_MIN:
            why = "no command" if not found else "more characters are needed of"
            raise terminal.fail(f"{why} {command_id}", terminal.BAD)
        (listed,) = found
        try:
            record, fact = reissue_record(
                listed,
                operator_id=operator,
                note=note,
                t=now if now >= 0 else terminal.wall_ms(),
            )
        except CannotReissue as error:
            raise terminal.fail(f"{command_id}: {error}", terminal.BAD) from None
        command = listed.command
        amount = format_amount(command.amount_minor, command.currency)
        what = f"{command.kind} of {amount} to {command.party_id} (order {listed.order_id})"
        terminal.note(f"{what}: {command.state}, tried {command.attempt} time(s)")
        if dry_run:
            terminal.note("dry run: nothing was sent")
            return
        terminal.confirm("Ask for this money to be sent once more?", yes=yes)
        partition, offset = republish(settings, signed(settings, record))
    typer.echo(f"{fact.type} {fact.id} -> {record.topic}/{partition}/{offset}")


def _list_page(found: list[Any], now: int) -> RenderableType:
    from schemas.money import format_amount

    numbers = ("amount", "try", "age")
    table = a_table("command", "kind", "order", *numbers, "state", right=numbers)
    table.columns[0].min_width = 12
    for listed in found:
        command = listed.command
        state = styled(command.state, COMMAND_STYLES)
        for mark, holds in (
            (" held", listed.hold is not None),
            (" not sent", listed.unsent),
            (" reissued", command.reissue_id is not None),
        ):
            if holds:
                state.append(mark, style="dim")
        table.add_row(
            command.command_id[:12],
            command.kind,
            styled(listed.order_id),
            format_amount(command.amount_minor, command.currency),
            str(command.attempt),
            terminal.how_long(max(now - command.asked_at, 0)),
            state,
        )
    return table
