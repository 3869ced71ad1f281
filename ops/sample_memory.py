"""What was scraped last, and of a few metrics what was scraped before: bounded by time, gone with the process.

A series that the last look did not show is not there, as in Prometheus.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final, NamedTuple

Labels = tuple[tuple[str, str], ...]  # sorted
Answer = dict[Labels, float]
Point = tuple[float, float]  # seconds, value

POINTS_MAX: Final = 2_000  # of one series


class Sample(NamedTuple):
    """One value of one series."""

    name: str
    labels: Labels
    value: float


class Memory:
    """The last look whole; `spans` says of which metrics how many seconds are kept besides."""

    def __init__(self, spans: Mapping[str, float]) -> None:
        self.at = 0.0  # of the last look, seconds
        self._spans = spans
        self._now: dict[str, Answer] = {}
        self._past: dict[tuple[str, Labels], deque[Point]] = {}

    def look(self, at: float, samples: Iterable[Sample]) -> None:
        """Take in what was seen at this instant."""
        self.at, self._now = at, {}
        for name, labels, value in samples:
            self._now.setdefault(name, {})[labels] = value
            if name in self._spans:
                points = self._past.setdefault((name, labels), deque(maxlen=POINTS_MAX))
                points.append((at, value))
        for key, points in list(self._past.items()):
            while points and points[0][0] < at - self._spans[key[0]]:
                points.popleft()
            if not points:
                del self._past[key]

    def now(self, name: str) -> Iterable[tuple[Labels, float]]:
        """The series of a metric, as of the last look."""
        return self._now.get(name, {}).items()

    def past(self, name: str, seconds: float) -> Iterator[tuple[Labels, list[Point]]]:
        """What is kept of each series of a metric, the oldest first."""
        for (known, labels), points in self._past.items():
            if known == name:
                yield labels, [point for point in points if point[0] >= self.at - seconds]


def increase(points: list[Point], now: float, span: float, *, counts: bool) -> float | None:
    """By how much a series grew in the `span` seconds up to now, drawn out to its ends as Prometheus does.

    None where there are fewer than two points. `counts`: a counter, which may begin anew at 0.
    """
    if len(points) < 2:
        return None
    (first_at, first), (last_at, last) = points[0], points[-1]
    grown = last - first
    if counts:
        values = [value for _, value in points]
        grown += sum(a for a, b in pairwise(values) if b < a)
    seen = last_at - first_at
    average = seen / (len(points) - 1)
    before, after = first_at - (now - span), now - last_at
    if before >= average * 1.1:
        before = average / 2
    if counts and grown > 0 and first >= 0:
        before = min(before, seen * (first / grown))
    if after >= average * 1.1:
        after = average / 2
    return grown * (seen + before + after) / seen
