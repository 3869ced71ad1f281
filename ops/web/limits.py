"""How much one person, or one address, may ask: a burst, then so many a second. Nobody is kept waiting, only refused.

Memory is bounded: who has not asked for longest is forgotten first, which only makes them welcome again.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

KNOWN_MAX: Final = 10_000
PAGE_BYTES_MAX: Final = 4 * 1024 * 1024  # of what is sent to a page
FILE_BYTES_MAX: Final = 64 * 1024 * 1024  # of a gateway's file


class Limit(NamedTuple):
    """So many at once, and so many a second from then on."""

    burst: float
    a_second: float


PAGES: Final = Limit(200, 20)
FORMS: Final = Limit(30, 1)
WRONG_TOKENS: Final = Limit(10, 1 / 6)


class Meter:
    """What is left to each of one limit."""

    def __init__(self, limit: Limit, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # left, at

    def spends(self, who: str) -> bool:
        """Whether there was something left; it is spent now."""
        left = self.left(who)
        if left < 1:
            return False
        self._keep(who, left - 1)
        return True

    def left(self, who: str) -> float:
        """What is left now."""
        now = self._clock()
        left, at = self._left.get(who, (self._limit.burst, now))
        return min(self._limit.burst, left + (now - at) * self._limit.a_second)

    def _keep(self, who: str, left: float) -> None:
        self._left[who] = (left, self._clock())
        self._left.move_to_end(who)
        while len(self._left) > KNOWN_MAX:
            self._left.popitem(last=False)


class Meters:
    """Those of one console."""

    def __init__(self) -> None:
        self.pages = Meter(PAGES)
        self.forms = Meter(FORMS)
        self.wrong_tokens = Meter(WRONG_TOKENS)
