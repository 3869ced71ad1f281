"""`escrow dlq`: records that no stage could take, and sending them once more."""

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, OperatorOption, YesOption, a_table, styled

app = typer.Typer(help="Dead letters: list, show, replay.", no_args_is_help=True)
Place = Annotated[
    str,
    typer.Argument(
        help="TOPIC/PARTITION/OFFSET, as `dlq list` shows it: payments/0/17.", metavar="PLACE"
    ),
]
_VALUE_SHOWN = 2_000


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
    from storage.dead_letter_reading import letters
    from storage.reading import snapshot

    url = terminal.settings().database.connection_url
    with terminal.troubles(), snapshot(url) as connection:
        found = letters(
            connection, limit=limit, code=code, order_id=order, topic=topic, open_only=not all_
        )
    if json:
        terminal.print_json([_without_value(letter) for letter in found])
    elif found:
        terminal.console().print(_list_page(found))
    else:
        terminal.note("no dead letters")


@app.command()
def show(place: Place, json: JsonOption = False) -> None:
    """Show one dead letter: why, headers, the kept copy, what was done. Exit code 1 if unknown."""
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
        terminal.console().print(_letter_page(letter, actions))


@app.command()
def replay(
    places: Annotated[
        list[str], typer.Argument(help="TOPIC/PARTITION/OFFSET, one or more.", metavar="PLACE...")
    ],
    operator: OperatorOption,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Publish dead letters once more, byte for byte, on their own topics.

    The original is read from its place in the log; the kept copy serves only if nothing was cut
    or redacted. Exit code 1 if one of them cannot be replayed (then none is), or you decline.
    """
    from ops.dead_letters import CannotReplay, find_original, place_of
    from ops.dead_letters import replay as replayed
    from storage.reading import snapshot

    settings = terminal.settings()
    with terminal.troubles():
        with snapshot(settings.database.connection_url) as connection:
            letters = [_find(connection, place) for place in places]
        originals = []
        for letter in letters:
            try:
                originals.append(find_original(settings, letter))
            except CannotReplay as error:
                raise terminal.fail(f"{place_of(letter)}: {error}", terminal.BAD) from None
        for letter, original in zip(letters, originals, strict=True):
            size = len(original.record.value or b"")
            again = f", replayed {letter.replays} times before" if letter.replays else ""
            text = f"{place_of(letter)} ({letter.code}{again}): {size} bytes"
            terminal.note(f"{text} from {original.taken_from}")
        if dry_run:
            terminal.note("dry run: nothing was sent")
            return
        terminal.confirm(f"Send {len(letters)} record(s) again?", yes=yes)
        for letter, original in zip(letters, originals, strict=True):
            try:
                partition, offset = replayed(settings, letter, original, operator, reason)
            except CannotReplay as error:
                raise terminal.fail(f"{place_of(letter)}: {error}", terminal.BAD) from None
            typer.echo(f"{place_of(letter)} -> {letter.topic}/{partition}/{offset}")


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


def _list_page(letters: list[Any]) -> RenderableType:
    from ops.dead_letters import place_of

    table = a_table("place", "code", "type", "key", "kept at (UTC)")
    for letter in letters:
        replayed = " replayed" if letter.replays else ""
        table.add_row(
            styled(place_of(letter)),
            Text.assemble((letter.code, "red"), (replayed, "dim")),
            styled(letter.type or "-", style="" if letter.type else "dim"),
            styled((letter.key or "-")[:20]),
            f"{letter.at:%m-%d %H:%M:%S}",
        )
    return table


def _letter_page(letter: Any, actions: list[Any]) -> RenderableType:
    from schemas.reasons import DEAD_LETTERS

    reason = DEAD_LETTERS.get(letter.code, "")
    grid = a_table("", "")
    grid.show_header = False
    for name, value in (
        ("place", f"{letter.topic}/{letter.partition}/{letter.offset}"),
        ("cluster", letter.cluster_id),
        ("code", letter.code),
        ("why", f"{reason} ({letter.detail})" if letter.detail != reason else reason),
        ("type", letter.type),
        ("source, id", " ".join(filter(None, (letter.source, letter.id)))),
        ("key", letter.key),
        ("record time", terminal.when(letter.t, exact=True)),
        ("size", _size(letter)),
    ):
        grid.add_row(Text(name, style="dim"), styled(value or "-"))
    for name, value in letter.headers.items():
        grid.add_row(Text(f"header {terminal.plain(name)}", style="dim"), styled(value))
    parts: list[RenderableType] = [grid]
    if letter.value is not None:
        text = letter.value[:_VALUE_SHOWN].decode("utf-8", "backslashreplace")
        parts += [Text("\nvalue", style="dim"), styled(text)]
    for action in actions:
        done = f"\n{action.action.replace('_', ' ')} by {action.operator_id}: {action.reason}"
        parts.append(Text(terminal.plain_lines(done), style="yellow"))
    return Group(*parts)


def _size(letter: Any) -> str:
    notes = [
        note
        for note, holds in (("copy cut", letter.cut), ("copy redacted", letter.redacted))
        if holds
    ]
    size = "no value" if letter.value_bytes is None else f"{letter.value_bytes:,} bytes"
    return ", ".join((size, *notes))
