"""Whether this process gets on with its work: judged by its own turns, never by how much waits.

Alive is a loop that goes round. Ready is a loop that lately had the answers it needs: a stage the
acknowledgement of its offsets, relay and ticker an answer of the database. A long way behind, and
working, is ready; a restart would help nobody.
"""

import time
from typing import Final, NamedTuple

# Longer than any single wait of ours: an acknowledgement, a statement, a client that is built.
TURN_SECONDS_MAX: Final = 120.0
WORK_SECONDS_MAX: Final = 30.0


class Judged(NamedTuple):
    """An answer to a probe, and the sentence that goes with it."""

    good: bool
    text: str


class Health:
    """Two instants of the monotonic clock; setting them is all that a loop does."""

    def __init__(self) -> None:
        self._turned_at = time.monotonic()
        self._worked_at: float | None = None

    def turned(self, *, worked: bool = False) -> None:
        """The main loop went round, and perhaps has the answers that it needs."""
        self._turned_at = time.monotonic()
        if worked:
            self._worked_at = self._turned_at

    def answered(self, _question: object, answer: object) -> None:
        """A callback, on whatever thread: what was asked has come to an end."""
        if not isinstance(answer, Exception):
            self._worked_at = time.monotonic()

    @property
    def turn_age_seconds(self) -> float:
        return time.monotonic() - self._turned_at

    @property
    def work_age_seconds(self) -> float:
        """Infinite before the first answer."""
        return float("inf") if self._worked_at is None else time.monotonic() - self._worked_at

    def live(self) -> Judged:
        """Whether a restart could help: it hangs."""
        age = self.turn_age_seconds
        return Judged(age <= TURN_SECONDS_MAX, f"the last turn was {age:.0f} s ago")

    def ready(self) -> Judged:
        """Whether it does its work now."""
        age = self.work_age_seconds
        if age == float("inf"):
            return Judged(False, "nothing has answered yet")
        return Judged(age <= WORK_SECONDS_MAX, f"what it needs answered {age:.0f} s ago")


HEALTH: Final = Health()  # of this process
