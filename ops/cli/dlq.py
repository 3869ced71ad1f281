"""`escrow dlq`: records that no stage could take, and sending them once more."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, OperatorOption, YesOption

app = typer.Typer(help="Dead letters: list, show, replay, edit.", no_args_is_help=True)
Place = Annotated[
    str,
    typer.Argument(
        help="TOPIC/PARTITION/OFFSET, as `dlq list` shows it: payments/0/17.", metavar="PLACE"
    ),
]


@app.command("list")
def list_letters(
    code: Annotated[str | None, typer.Option(help="Only this code.")] = None,
    order: Annotated[str | None, typer.Option(help="Only those that name this order.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also those replayed before.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    json: JsonOption = False,
) -> None:
    """List dead letters, the newest first."""
    from ops.cli.dlq_pages import list_page
    from storage.dead_letter_reading import letters
    from storage.reading import snapshot

    url = terminal.settings().database.connection_url
    with terminal.troubles(), snapshot(url) as connection:
        found = letters(
            connection,
            limit=limit,
            code=code,
            order_id=order,
            topic=_in_full(topic),
            open_only=not all_,
        )
    if json:
        terminal.print_json([_without_value(letter) for letter in found])
    elif found:
        terminal.console().print(list_page(found))
    else:
        terminal.note("no dead letters")


@app.command()
def show(place: Place, json: JsonOption = False) -> None:
    """Show one dead letter: why, headers, the kept copy, what was done. Exit code 1 if unknown."""
    from ops.cli.dlq_pages import letter_page
    from storage.dead_letter_reading import actions_on
    from storage.reading import snapshot

    url = terminal.settings().database.connection_url
    with terminal.troubles(), snapshot(url) as connection:
        letter = _find(connection, place)
        actions = actions_on(connection, letter)
    if json:
        shown = _without_value(letter) | {
            "value": None if letter.value is None else letter.value.decode("utf-8", "replace"),
            "actions": [action._asdict() for action in actions],
        }
        terminal.print_json(shown)
    else:
        terminal.console().print(letter_page(letter, actions))


@app.command()
def replay(
    operator: OperatorOption,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    places: Annotated[
        list[str] | None,
        typer.Argument(help="TOPIC/PARTITION/OFFSET, or none and a filter.", metavar="[PLACE]..."),
    ] = None,
    code: Annotated[str | None, typer.Option(help="All open ones of this code.")] = None,
    order: Annotated[str | None, typer.Option(help="All open ones that name this order.")] = None,
    topic: Annotated[str | None, typer.Option(help="All open ones of this topic.")] = None,
    max_: Annotated[int, typer.Option("--max", min=1, help="At most so many, oldest first.")] = 100,
    insist: Annotated[
        bool, typer.Option("--insist", help="Also those that came back three times.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Publish dead letters once more, byte for byte, on their own topics.

    First says what would become of each, by the rules and what is stored now. The original is read
    from its place in the log; the kept copy serves only if nothing was cut or redacted. With a
    filter, those that cannot be sent are passed over, and the same command again goes on where it
    stopped. Exit code 1 if one that was named cannot be replayed (then none is), if nothing was
    found, or if you decline.
    """
    from ops.redrive import plan
    from storage.reading import snapshot

    settings = terminal.settings()
    if any((code, order, topic)) == bool(places):
        raise terminal.fail("name places, or a filter (--code, --order, --topic), not both")
    with terminal.troubles():
        with snapshot(settings.database.connection_url) as connection:
            if places:
                chosen = [_find(connection, place) for place in places]
            else:
                chosen = _open_ones(connection, max_, code=code, order_id=order, topic=topic)
            planned = plan(settings, connection, chosen, wall_ms=terminal.wall_ms(), insist=insist)
        _show_plan(planned, named=bool(places), json=json)
        if dry_run:
            terminal.note("dry run: nothing was sent")
            return
        sendable = sum(not one.why_not for one in planned)
        if not sendable:
            raise terminal.fail("none of them can be sent again", terminal.BAD)
        terminal.confirm(f"Send {sendable} record(s) again?", yes=yes)
        _carry_out(settings, planned, operator, reason, quiet=json)


def _open_ones(connection: Any, limit: int, *, topic: str | None, **like: str | None) -> list[Any]:
    from storage.dead_letter_reading import letters

    found = letters(
        connection, limit=limit, topic=_in_full(topic), open_only=True, oldest_first=True, **like
    )
    if not found:
        raise terminal.fail("no open dead letter is like that", terminal.BAD)
    return found


def _show_plan(planned: list[Any], *, named: bool, json: bool) -> None:
    """What would become of them; exit if one that was named cannot be sent."""
    from ops.cli.dlq_pages import plan_as_json, plan_page
    from ops.dead_letters import place_of
    from ops.redrive import histogram

    for one in planned:
        if named and one.why_not:
            raise terminal.fail(f"{place_of(one.letter)}: {one.why_not}", terminal.BAD)
    if json:
        terminal.print_json(plan_as_json(planned, histogram(planned)))
    else:
        terminal.errors().print(plan_page(planned, histogram(planned)))


def _carry_out(
    settings: Any, planned: list[Any], operator: str, reason: str, *, quiet: bool
) -> None:
    from ops.dead_letters import place_of
    from ops.redrive import Sent, carry_out

    def tell(sent: Sent) -> None:
        to = f"{sent.letter.topic}/{sent.partition}/{sent.offset}"
        typer.echo(f"{place_of(sent.letter)} -> {to}", err=quiet)

    failed = carry_out(settings, planned, operator, reason, tell)
    for letter, why in failed:
        terminal.note(f"{place_of(letter)}: {why}")
    if failed:
        raise typer.Exit(terminal.BAD)


@app.command()
def edit(
    place: Place,
    operator: OperatorOption,
    reason: Annotated[str, typer.Option(help="Why; it is kept, and goes with the record.")],
    value: Annotated[
        Path | None, typer.Option(help="A file with the new value; - is standard input.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="NAME=TEXT sets a header; NAME= takes it away.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="The new key.")] = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Send a mended copy under a new id, which names the old one, who mended it, and why.

    Shows what differs and what would become of it. Exit code 1 if the door would refuse it again,
    or you decline.
    """
    from consumers.engine.trusting import Trusting
    from ops.cli import dlq_pages as pages
    from ops.edited_letters import CannotEdit, Edit, edited, send_edited
    from ops.foretell import Foreteller
    from storage.reading import snapshot

    settings = terminal.settings()
    if value is None and not header and key is None:
        raise terminal.fail("nothing is changed: give --value, --header or --key")
    new_value = None if value is None else _read(value)
    with terminal.troubles():
        with snapshot(settings.database.connection_url) as connection:
            letter = _find(connection, place)
            try:
                change = Edit(new_value, _headers(header or []), key)
                mended = edited(settings, letter, change, operator, reason, terminal.wall_ms())
            except CannotEdit as error:
                raise terminal.fail(f"{place}: {error}", terminal.BAD) from None
            told = Foreteller(connection, Trusting(settings)).foretell(mended.record)
        terminal.errors().print(pages.diff_page(mended.before, mended.after))
        terminal.errors().print(pages.told_line(told))
        if told.outcome == "dead_letter":
            raise terminal.fail(f"it would be a dead letter again: {told.code}", terminal.BAD)
        if dry_run:
            terminal.note("dry run: nothing was sent")
            return
        terminal.confirm("Send the mended record?", yes=yes)
        partition, offset = send_edited(settings, letter, mended, operator, reason)
    typer.echo(f"{place} -> {mended.record.topic}/{partition}/{offset} as {mended.new_id}")


@app.command()
def discard(
    place: Place,
    operator: OperatorOption,
    reason: Annotated[str, typer.Option(help="Why nothing is to be done about it.")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Say that a person has looked at a dead letter and nothing is to be done: a fact on its topic."""
    from ops.cli.send import publish_instruction
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles(), snapshot(settings.database.connection_url) as connection:
        letter = _find(connection, place)
    data = {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset}
    publish_instruction(
        "dead_letter.discarded", data, operator, reason, "Discard it?", dry_run=dry_run, yes=yes
    )


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise terminal.fail(f"{path}: {error.strerror}") from None


def _headers(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, sign, _ in pairs if not (name and sign)]:
        raise terminal.fail(f"{wrong[0]}: write NAME=TEXT, or NAME= to take the header away")
    return {name: text for name, _, text in pairs}


def _in_full(topic: str | None) -> str | None:
    from ops.dead_letters import topic_in_full

    return None if topic is None else topic_in_full(topic)


def _find(connection: Any, place: str) -> Any:
    """The dead letter at this place, or exit."""
    from ops.dead_letters import parse_place
    from storage.dead_letter_reading import letter_at

    try:
        topic, partition, offset = parse_place(place)
    except ValueError:
        raise terminal.fail(f"{place}: write TOPIC/PARTITION/OFFSET") from None
    letter = letter_at(connection, topic, partition, offset)
    if letter is None:
        raise terminal.fail(f"no dead letter at {place}", terminal.BAD)
    return letter


def _without_value(letter: Any) -> dict[str, Any]:
    """The letter as JSON, without its bytes."""
    shown: dict[str, Any] = letter._asdict()
    del shown["value"]
    return shown
