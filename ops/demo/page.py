"""The story on a terminal: one line a fact, one line an answer, nothing else; it reads at 80 columns.

On a wide terminal each line ends with where the record lies and how long the answer took.
"""

from typing import Final

from rich.console import Console
from rich.text import Text

from ops.cli.terminal import STATUS_STYLES
from ops.demo.script import Beat, Becomes, DeadLetter, Pays, Refused, Scene, Tells
from ops.demo.teller import Reply, Sent
from ops.local.listener import Heard
from schemas.money import format_amount
from schemas.reasons import DEAD_LETTERS, REFUSALS
from storage.pulse import Fate

WIDE: Final = 112  # columns from which there is room for more
_RECORDED_AT: Final = 66  # columns, so that the marks stand under each other
_MONEY: Final = ("held", "refunded", "paid_out")


class StoryPage:
    """Prints as it happens; a fact and what became of it stand together."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._wide = console.width >= WIDE
        self._fact = Text()
        self._place = ""

    def scene(self, number: int, scene: Scene) -> None:
        """A headline."""
        title = Text.assemble(
            (f"{number}  {scene.title}", "bold"), (f"  order-{scene.order}", "dim")
        )
        self._console.print()
        self._console.print(title)

    def beat(self, beat: Beat, sent: Sent) -> None:
        """Who says what. Printed at once where an answer will follow."""
        self._fact = Text.assemble(
            (f"  day {int(beat.day):>2}  ", "dim"),
            (f"{beat.who:<9}", "magenta"),
            (f"{beat.type:<26}", "bold cyan"),
            beat.shows,
        )
        record = sent.record
        stem = record.topic.removeprefix("escrow.").removesuffix(".v1")
        self._place = f"{stem}[{record.partition}]@{record.offset}"
        if beat.answers:
            self._line(self._fact, self._place)

    def reply(self, reply: Reply) -> None:
        """What the pipeline said, and the gateway after it."""
        text = Text.assemble("          ⇒ ", _said(reply.heard, reply))
        took, why = _took(reply.seconds), _sentence(reply)
        if why and text.cell_len + len(why) + len(took) + 4 <= self._console.width:
            text.append(f"  {why}", style="dim")
        self._line(text, took)

    def fate(self, beat: Beat, fate: Fate, seconds: float) -> None:
        """What became of a fact that nobody else was told of."""
        if beat.answers:
            return
        if fate.outcome == "applied":
            self._fact.pad_right(max(0, _RECORDED_AT - self._fact.cell_len))
            self._fact.append("  ✓ recorded", style="green")
            self._line(self._fact, f"{self._place}  {_took(seconds)}")
        else:
            self._line(self._fact, self._place)
            text = Text(f"{fate.outcome}, no effect", style="yellow")
            self._line(Text.assemble("          ⇒ ", text), _took(seconds))

    def closing(self, scene: Scene) -> None:
        """What the scene has shown."""
        if scene.closing:
            self._console.print(Text(f"          {scene.closing}", style="italic dim"))

    def _line(self, text: Text, right: str) -> None:
        if self._wide:
            room = self._console.width - text.cell_len - len(right) - 1
            if room > 0:
                text = Text.assemble(text, " " * room, (right, "dim"))
        self._console.print(text, no_wrap=True, overflow="ellipsis", crop=True)


def _said(heard: Heard, reply: Reply) -> Text:
    data = heard.data
    match reply.answer:
        case Becomes():
            status = data["to"]
            text = Text(status, style=f"bold {STATUS_STYLES.get(status, '')}".strip())
            parts = [
                f"{name.replace('_', ' ')} {format_amount(data[f'{name}_minor'], data['currency'])}"
                for name in _MONEY
                if data[f"{name}_minor"]
            ]
            if data["decided_by"]:
                parts.append(f"by {data['decided_by'].replace('_', ' ')}")
            return text.append("".join(f" · {part}" for part in parts), style="not bold default")
        case Pays():
            money = format_amount(data["amount_minor"], data["currency"])
            answered = "" if reply.result is None else f" ⇒ {reply.result.type}"
            return Text.assemble(
                (heard.type, "bold blue"), f" {money} to {data['party_id']}", (answered, "green")
            )
        case Refused():
            text = Text.assemble(("refused", "yellow"), f": {data['code']}")
            for name, value in (data.get("detail") or {}).items():
                text.append(f" · {name} {value}", style="dim")
            return text
        case Tells():
            return Text.assemble(
                (heard.type, "bold yellow"), " · said by the ticker, not by anyone"
            )
        case DeadLetter():
            text = Text.assemble(("dead letter", "red"), f": {data['code']}")
            return text.append(" · card number redacted" if data["redacted"] else "", style="dim")


def _sentence(reply: Reply) -> str:
    """What a code means."""
    match reply.answer:
        case Refused(code=code):
            return REFUSALS[code]
        case DeadLetter(code=code):
            return DEAD_LETTERS[code]
        case _:
            return ""


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
