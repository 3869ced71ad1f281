"""How figures and other people's words are written on a page: every number with its unit, every text as text."""

from collections.abc import Callable
from typing import Any, Final

from markupsafe import Markup

from ops.cli.terminal import how_long, plain, when
from ops.dead_letters import place_of
from ops.plain_words import short
from schemas.money import EXPONENTS, format_amount
from schemas.topics import TOPIC_NAMES

# What turns the direction of writing could make a page say something else than its bytes.
_TURNS: Final = {
    code: f"\\u{code:04x}"
    for code in (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
}
_SETTLED: Final = ("RELEASED", "REFUNDED", "SPLIT")
_TONES: Final[dict[str, str]] = {
    **dict.fromkeys(("ok", "SETTLED", "applied", *_SETTLED), "good"),
    **dict.fromkeys(("slow", "PENDING", "DISPUTED", "IN_MEDIATION", "refused"), "warn"),
    **dict.fromkeys(("stuck", "no-members", "FAILED", "RETURNED", "CHARGED_BACK"), "bad"),
    **dict.fromkeys(("HELD", "ACCEPTED", "parked", "FROZEN"), "calm"),
    **dict.fromkeys(("dead_letter", "critical"), "bad"),
    **dict.fromkeys(("warning", "failing", "gave up", "not named"), "warn"),
    "sending": "calm",
}


def said(value: object) -> str:
    """Text of others: control characters and turns of direction are shown, never obeyed."""
    return plain(value).translate(_TURNS)


def typed(value: object) -> Markup:
    """A sentence of ours or others in which what one types stands between back ticks."""
    parts = said(value).split("`")
    if len(parts) % 2 == 0:  # one is left over: then they mean something else
        return Markup("{}").format(said(value))
    code = Markup("<code>{}</code>")
    return Markup().join(code.format(part) if n % 2 else part for n, part in enumerate(parts))


def number(value: float | None) -> str:
    """A count with thin groups."""
    return "–" if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Records a second."""
    if value is None:
        return "–"
    return f"{value:.1f}" if 0 < value < 10 else f"{value:,.0f}"


def seconds(value: float | None, *, at_least: bool = False) -> str:
    """A duration: tenths below ten seconds, then its two largest units."""
    if value is None:
        return "–"
    text = f"{value:.1f} s" if 0 < value < 10 else how_long(int(value * 1000))
    return f"≥ {text}" if at_least else text


def ago(at_ms: int | None, now_ms: int) -> str:
    """How long before now, for the age of a figure."""
    if at_ms is None:
        return "–"
    past = now_ms - at_ms
    return "just now" if past < 1_500 else f"{how_long(past)} ago"


def until(at_ms: int, now_ms: int) -> str:
    """How far an instant lies from now, in either direction."""
    left = at_ms - now_ms
    return f"in {how_long(left)}" if left > 0 else f"{how_long(left)} ago"


def amount(minor: int, currency: str) -> Markup:
    """An amount whose currency does not disturb the column."""
    digits, _, code = format_amount(int(minor), currency).rpartition(" ")
    if currency not in EXPONENTS:
        return Markup("{}").format(format_amount(int(minor), currency))
    return Markup('{} <span class="unit">{}</span>').format(digits, code)


def digits(minor: int, currency: str) -> str:
    """An amount where its currency stands at the row or column."""
    return format_amount(int(minor), currency).removesuffix(f" {currency}")


def topic(name: str) -> str:
    """A topic of ours in short: `payments` for escrow.payments.v1."""
    return name.removeprefix("escrow.").removesuffix(".v1") if name in TOPIC_NAMES else name


def lower(word: str) -> str:
    """`IN_MEDIATION` → `in mediation`."""
    return word.replace("_", " ").lower()


def tone(word: str | None) -> str:
    """The colour of a status, state, outcome or verdict; words never stand on colour alone."""
    return _TONES.get(word or "", "quiet")


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "said": said,
    "typed": typed,
    "number": number,
    "rate": rate,
    "seconds": seconds,
    "digits": digits,
    "ago": ago,
    "until": until,
    "topic": topic,
    "lower_words": lower,
    "tone": tone,
    "when": when,
    "short": short,
    "place": place_of,
}
