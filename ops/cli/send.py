"""`escrow send`: the one stop for everything that goes to gateways, and holds of single commands."""

from typing import Annotated, Any, Literal

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, OperatorOption, YesOption, a_table, styled

app = typer.Typer(help="Sending: pause, resume, hold, release, status.", no_args_is_help=True)
NoteOption = Annotated[str, typer.Option(help="Why; it is kept with the fact.")]
OnlyOption = Annotated[
    Literal["refund", "payout"] | None, typer.Option(help="Only these commands; all without it.")
]
CommandId = Annotated[
    str, typer.Argument(help="The command's id, or how it begins.", metavar="COMMAND")
]


@app.command()
def pause(
    operator: OperatorOption,
    note: NoteOption,
    only: OnlyOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Stop sending commands; what the relay has in hand may still go (a second). Facts go on being decided."""
    data = {"scope": only or "all"}
    publish_instruction(
        "sending.paused", data, operator, note, "Stop sending?", dry_run=dry_run, yes=yes
    )


@app.command()
def resume(
    operator: OperatorOption,
    note: NoteOption,
    only: OnlyOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Send again; without --only every pause is taken away, the breaker's too. Holds stay."""
    data = {"scope": only or "all"}
    publish_instruction(
        "sending.resumed", data, operator, note, "Send again?", dry_run=dry_run, yes=yes
    )


@app.command()
def hold(
    command_id: CommandId,
    operator: OperatorOption,
    note: NoteOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Keep one command from being sent until it is released. Too late for one that was sent."""
    data = _command(command_id)
    publish_instruction(
        "command.held", data, operator, note, "Hold this command?", dry_run=dry_run, yes=yes
    )


@app.command()
def release(
    command_id: CommandId,
    operator: OperatorOption,
    note: NoteOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Let one command go that a person or a cap has held; no cap stops it again."""
    data = _command(command_id)
    publish_instruction(
        "command.released", data, operator, note, "Let it go?", dry_run=dry_run, yes=yes
    )


@app.command()
def status(json: JsonOption = False) -> None:
    """What is not sent at the moment, by whom and why. Exit code 1 if anything is stopped."""
    from ops.paused_words import paused_words
    from storage.reading import snapshot
    from storage.sending import held, pauses

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        paused, stopped = pauses(connection), held(connection, limit=100)
    if json:
        terminal.print_json(
            {
                "paused": [one._asdict() for one in paused],
                "held": [one._asdict() for one in stopped],
            }
        )
    else:
        for one in paused:
            typer.echo(f"{terminal.when(one.t)}  {terminal.plain(paused_words(one))}")
        if stopped:
            terminal.console().print(_held_page(stopped))
        if not paused and not stopped:
            terminal.note("nothing is stopped")
    raise typer.Exit(terminal.BAD if paused or stopped else terminal.GOOD)


def _command(begins: str) -> dict[str, Any]:
    """Order and command id of one command, or exit."""
    from storage.command_reading import find_commands
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        found = find_commands(connection, begins)
    if len(found) != 1:
        why = "no command" if not found else "more characters are needed of"
        raise terminal.fail(f"{why} {begins}", terminal.BAD)
    return {"order_id": found[0].order_id, "command_id": found[0].command.command_id}


def publish_instruction(
    type_name: str,
    data: dict[str, Any],
    operator: str,
    note: str,
    question: str,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Show, ask, publish. Exit code 1 if you decline, 2 where it cannot be said."""
    from consumers.engine.admin import republish
    from ops.said_by_people import CannotSay
    from ops.sending_control import instruction_record
    from storage.attention import rules_now
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles():
        with snapshot(settings.database.connection_url) as connection:
            now = rules_now(connection, terminal.wall_ms(), settings.timestamp_type)
        t = now if now >= 0 else terminal.wall_ms()
        try:
            record = instruction_record(settings, type_name, data, operator, note, t)
        except CannotSay as error:
            raise terminal.fail(str(error)) from None
        terminal.note(f"{type_name}: {', '.join(str(value) for value in data.values())}")
        if dry_run:
            terminal.note("dry run: nothing was sent")
            return
        terminal.confirm(question, yes=yes)
        partition, offset = republish(settings, record)
    typer.echo(f"{type_name} -> {record.topic}/{partition}/{offset}")


def _held_page(found: list[Any]) -> Any:
    from schemas.money import format_amount

    table = a_table("command", "kind", "order", "amount", "held by", "why", right=("amount",))
    for one in found:
        amount = "-" if one.amount_minor is None else format_amount(one.amount_minor, one.currency)
        table.add_row(
            one.command_id[:12],
            one.kind or "-",
            styled(one.order_id),
            amount,
            styled(f"{one.by} ({one.why})"),
            styled(one.note),
        )
    return table
