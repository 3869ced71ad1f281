"""Flow: how many records of each type came in each minute, by record time; memory is bounded by the windows.

Counts are of records, repetitions included: this shows traffic, not decisions.
"""

from collections import Counter
from typing import Any, Final

from schemas.order_events import rfc3339

MINUTE_MS: Final = 60_000
WINDOWS_MAX: Final = 60  # minutes that are kept
EARLY_MS_MAX: Final = 5 * MINUTE_MS  # record times further ahead of our clock are only counted


class Flow:
    """Tumbling windows of one minute: [start, start + 60 s)."""

    def __init__(self) -> None:
        self._windows: dict[int, Counter[str]] = {}
        self._early = 0

    def count(self, kind: str, t: int, now: int) -> None:
        """One record of `kind` with record time `t`; both times in ms UTC."""
        if t > now + EARLY_MS_MAX:
            self._early += 1
        elif t >= _first_start(now):
            self._windows.setdefault(t - t % MINUTE_MS, Counter())[kind] += 1

    def view(self, now: int) -> dict[str, Any]:
        """The windows of the last hour that hold something, oldest first; older ones are dropped."""
        first = _first_start(now)
        for start in [start for start in self._windows if start < first]:
            del self._windows[start]
        return {
            "window_seconds": MINUTE_MS // 1000,
            "records_too_early": self._early,
            "windows": [
                {"start": rfc3339(start), "counts": dict(sorted(counts.items()))}
                for start, counts in sorted(self._windows.items())
            ],
        }


def _first_start(now: int) -> int:
    return now - now % MINUTE_MS - (WINDOWS_MAX - 1) * MINUTE_MS
