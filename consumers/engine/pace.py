"""How many records a batch takes: as many as are done soon, because others wait for its orders.

A batch holds the locks of its orders until it commits. On a busy machine a large one would keep
other stages past their lock timeout, and their work would be done twice.
"""

from typing import Final

RECORDS_MIN: Final = 100
SECONDS_GOOD: Final = 0.2  # quicker than this, and full: twice as many
SECONDS_MAX: Final = 0.5  # slower than this: half as many


class Pace:
    """The present size of a batch, between RECORDS_MIN and the configured maximum."""

    def __init__(self, records_max: int) -> None:
        self._records_max = records_max
        self.records = min(4 * RECORDS_MIN, records_max)

    def took(self, records: int, seconds: float) -> None:
        """A batch of so many records took so long, from its first try to its commit."""
        if seconds > SECONDS_MAX:
            self.slow_down()
        elif seconds < SECONDS_GOOD and records >= self.records:
            self.records = min(self._records_max, self.records * 2)

    def slow_down(self) -> None:
        """Half as many from now on."""
        self.records = max(min(RECORDS_MIN, self._records_max), self.records // 2)
