"""Dead letters sent again, one or thousands: all is planned and foretold before anything is sent.

Resumable: what was sent is written down letter by letter, and what was sent before is passed over.
A letter that keeps coming back is not sent a fourth time unless somebody insists.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from consumers.engine.config import Settings
from consumers.engine.trusting import Trusting
from ops.dead_letters import CannotReplay, Original, find_originals, replay
from ops.foretell import Foreteller, Foretold
from ops.redecide import Unreadable
from storage.dead_letter_reading import LetterRow, tries
from storage.reading import Snapshot

TRIES_MAX: Final = 3  # replays of the same bytes; more are a loop


class Planned(NamedTuple):
    """One letter: what would be sent and what would come of it; or why it stays."""

    letter: LetterRow
    original: Original | None
    foretold: Foretold | None
    why_not: str  # empty where it can be sent

    @property
    def title(self) -> str:
        """For a histogram."""
        if self.why_not:
            return f"not sent: {self.why_not}"
        assert self.foretold is not None
        return self.foretold.title


class Sent(NamedTuple):
    """Where one letter's record went."""

    letter: LetterRow
    partition: int
    offset: int


def plan(
    settings: Settings,
    connection: Snapshot,
    letters: Sequence[LetterRow],
    *,
    wall_ms: int,
    insist: bool = False,
) -> list[Planned]:
    """What replaying these would do, in this order. `insist`: also those that keep coming back.

    `wall_ms`: the time that a broker would stamp on them, where it does. Raises KafkaUnavailable.
    """
    teller = Foreteller(connection, Trusting(settings))
    originals = find_originals(settings, letters)
    planned = []
    for letter, original, tried in zip(letters, originals, tries(connection, letters), strict=True):
        if isinstance(original, CannotReplay):
            planned.append(Planned(letter, None, None, str(original)))
        elif tried >= TRIES_MAX and not insist:
            why = f"the same bytes were replayed {TRIES_MAX} times before: mend the cause first"
            planned.append(Planned(letter, original, None, why))
        else:
            planned.append(_foretold(teller, settings, letter, original, wall_ms))
    return planned


def _foretold(
    teller: Foreteller, settings: Settings, letter: LetterRow, original: Original, wall_ms: int
) -> Planned:
    record = original.record
    if settings.timestamp_type == "LogAppendTime" or record.timestamp_ms < 0:
        record = record._replace(timestamp_ms=wall_ms)
    try:
        return Planned(letter, original, teller.foretell(record), "")
    except Unreadable as error:
        return Planned(letter, original, None, f"its order cannot be read ({error}): escrow audit")


def histogram(planned: Sequence[Planned]) -> list[tuple[str, int]]:
    """How many letters would end how, the most frequent first."""
    return Counter(one.title for one in planned).most_common()


def carry_out(
    settings: Settings,
    planned: Sequence[Planned],
    operator_id: str,
    reason: str,
    on_sent: Callable[[Sent], None],
) -> list[tuple[LetterRow, str]]:
    """Send those that can be, in this order; returns those that Kafka did not take, and why.

    Raises DatabaseTrouble or KafkaUnavailable: those told to `on_sent` are sent and written down,
    and the same call again goes on after them.
    """
    failed = []
    for one in planned:
        if one.why_not or one.original is None:
            continue
        try:
            place = replay(settings, one.letter, one.original, operator_id, reason)
        except CannotReplay as error:
            failed.append((one.letter, str(error)))
        else:
            on_sent(Sent(one.letter, *place))
    return failed
