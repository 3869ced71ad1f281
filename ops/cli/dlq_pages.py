"""Dead letters, plans and changes as a person reads them on a terminal; nothing is looked up here."""

import difflib
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from ops.cli import terminal
from ops.cli.terminal import OUTCOME_STYLES, a_table, styled
from ops.dead_letters import place_of
from ops.foretell import Foretold
from ops.redrive import Planned
from schemas.money import format_amount
from schemas.reasons import DEAD_LETTERS

_VALUE_SHOWN: Final = 2_000
_PLANS_SHOWN: Final = 20


def plan_page(planned: Sequence[Planned], histogram: Sequence[tuple[str, int]]) -> RenderableType:
    """The first letters one by one, then how many would end how."""
    parts: list[RenderableType] = []
    for one in planned[:_PLANS_SHOWN]:
        letter, original = one.letter, one.original
        again = f", replayed {letter.replays} times before" if letter.replays else ""
        line = Text(f"{terminal.plain(place_of(letter))} ({letter.code}{again}): ")
        if original is not None:
            size = len(original.record.value or b"")
            line.append(f"{size} bytes from {original.taken_from} ", style="dim")
        line.append("=> ")
        line.append(one.title if one.foretold is None else "")
        if one.foretold is not None:
            line.append(told_line(one.foretold))
        parts.append(line)
    if len(planned) > _PLANS_SHOWN:
        parts.append(Text(f"... and {len(planned) - _PLANS_SHOWN} more", style="dim"))
    table = a_table("what would become of them", "letters", right=("letters",))
    for title, count in histogram:
        style = OUTCOME_STYLES.get(title.partition(":")[0], "dim")
        table.add_row(styled(title, style=style), str(count))
    return Group(*parts, Text(), table)


def plan_as_json(
    planned: Sequence[Planned], histogram: Sequence[tuple[str, int]]
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "letters": [
            {
                "place": place_of(one.letter),
                "code": one.letter.code,
                "why_not": one.why_not or None,
                "would_be": None if one.foretold is None else one.foretold.title,
                "order_id": None if one.foretold is None else one.foretold.order_id,
            }
            for one in planned
        ],
        "would_become": dict(histogram),
    }


def told_line(told: Foretold) -> Text:
    """One line: the outcome, what changes in the order, what would be paid."""
    line = Text(terminal.plain(told.title), style=OUTCOME_STYLES.get(told.outcome, "dim"))
    if told.detail:
        line.append(f" ({terminal.plain(told.detail)})", style="dim")
    if told.before is not None and told.after is not None and told.before != told.after:
        if told.before.status != told.after.status:
            line.append(f", {told.order_id}: {told.before.status or 'new'} -> {told.after.status}")
        for command in told.commands:
            amount = format_amount(command.amount_minor, command.currency)
            line.append(f", {command.kind} {amount} to {command.party_id}", style="bold")
    return line


def diff_page(before: str, after: str) -> RenderableType:
    """What was, what would be: only lines that differ, with two around them."""
    lines = difflib.unified_diff(
        before.splitlines(),
        after.splitlines(),
        "as it came",
        "as it would be sent",
        lineterm="",
        n=2,
    )
    styles = {"+": "green", "-": "red", "@": "dim"}
    return Group(*(Text(terminal.plain(line), style=styles.get(line[:1], "")) for line in lines))


def list_page(letters: list[Any]) -> RenderableType:
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


def letter_page(letter: Any, actions: list[Any]) -> RenderableType:
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
