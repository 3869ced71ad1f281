"""What the console has seen of the lag, in memory: short, bounded, gone with the process.

How long a record has waited is told by what was seen, not by a producer's clock: a record that was
not yet written in one look, and was in the next, is as old as the middle between the two.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from ops.lag import LagReport, PartitionLag

COLUMN_SECONDS: Final = 10  # a column of the heat map
COLUMNS_MAX: Final = 90
_ENDS_MAX: Final = 2_000
Place = tuple[str, int]  # stage, partition


class Wait(NamedTuple):
    """How long the next record of a partition has waited."""

    seconds: float
    at_least: bool = False  # it was there before we looked for the first time


class Cell(NamedTuple):
    """The worst that was seen of a partition during a column."""

    behind: int
    seconds: float


class Column(NamedTuple):
    """`COLUMN_SECONDS` of all partitions; `at` is its beginning, seconds of the wall clock."""

    at: int
    cells: dict[Place, Cell]


class Look(NamedTuple):
    """One look at the lag."""

    at: int  # ms UTC, wall clock
    report: LagReport
    waits: dict[Place, Wait]
    unsent_seconds: float  # how long the oldest unsent record was seen to be the oldest

    def stage(self, name: str) -> list[PartitionLag]:
        """The partitions of one stage."""
        return [row for row in self.report.partitions if row.stage == name]

    def wait(self, row: PartitionLag) -> Wait:
        """How long the next record has waited; 0 at the end."""
        return self.waits.get((row.stage, row.partition), Wait(0.0))


class _End(NamedTuple):
    """An end of a log, and when it was seen first and last."""

    end: int
    first: float
    last: float


class _Ends:
    """When a partition's end was seen where: enough to say how old a record is."""

    def __init__(self) -> None:
        self._seen: deque[_End] = deque(maxlen=_ENDS_MAX)

    def add(self, instant: float, end: int, position: int) -> None:
        """An end as seen now; what was read past is forgotten."""
        if self._seen and self._seen[-1].end == end:
            self._seen[-1] = self._seen[-1]._replace(last=instant)
        else:
            self._seen.append(_End(end, instant, instant))
        while len(self._seen) > 1 and self._seen[1].end <= position:
            self._seen.popleft()

    def wait(self, now: float, position: int) -> Wait:
        """Since when there has been a record at this position."""
        before: _End | None = None
        for seen in self._seen:
            if seen.end > position:
                if before is None:
                    return Wait(now - seen.first, at_least=True)
                return Wait(now - (before.last + seen.first) / 2)
            before = seen
        return Wait(0.0)


class History:
    """The looks of the last minutes; written by one thread, read by many."""

    def __init__(self) -> None:
        self.columns: deque[Column] = deque(maxlen=COLUMNS_MAX)
        self._ends: dict[Place, _Ends] = {}
        self._unsent: tuple[int | None, float] = (None, 0.0)

    def add(self, report: LagReport, at: int, monotonic: float) -> Look:
        """Take in a report, made at this instant of the wall clock (ms UTC) and of our own."""
        waits = dict(self._waits(report, monotonic))
        self._add_column(at // 1000, report, waits)
        if report.unsent_since != self._unsent[0]:
            self._unsent = (report.unsent_since, monotonic)
        unsent_seconds = monotonic - self._unsent[1] if report.unsent else 0.0
        return Look(at, report, waits, unsent_seconds)

    def _waits(self, report: LagReport, monotonic: float) -> Iterator[tuple[Place, Wait]]:
        for row in report.partitions:
            place = row.stage, row.partition
            ends = self._ends.setdefault(place, _Ends())
            ends.add(monotonic, row.end, row.position)
            if row.behind:
                seen = ends.wait(monotonic, row.position)
                yield place, seen if report.record_time else Wait(row.seconds)

    def _add_column(self, second: int, report: LagReport, waits: dict[Place, Wait]) -> None:
        at = second - second % COLUMN_SECONDS
        old = self.columns[-1].cells if self.columns and self.columns[-1].at == at else {}
        cells = {}
        for row in report.partitions:
            place = row.stage, row.partition
            was = old.get(place, Cell(0, 0.0))
            seconds = waits[place].seconds if place in waits else 0.0
            cells[place] = Cell(max(was.behind, row.behind), max(was.seconds, seconds))
        if old:
            self.columns[-1] = Column(at, cells)
        else:
            self.columns.append(Column(at, cells))
