"""A pause of sending in a sentence, for every page alike."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from storage.sending import Pause


def paused_words(pause: "Pause") -> str:
    """What is not sent, who said so, and why."""
    what = "all commands" if pause.scope == "all" else f"{pause.scope} commands"
    who = "the breaker" if pause.why == "breaker" else pause.by
    return f"{what} are paused by {who}: {pause.note}"
