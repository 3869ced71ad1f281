"""The heat map as one small picture: a row a partition, a column ten seconds, the newest on the right.

Neighbours of one heat are one stroke, and each heat is one path, so that a bad hour is no bigger a
page than a good one.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ops.web.history import COLUMN_SECONDS, COLUMNS_MAX, Column, Place
from ops.web.words import seconds

# Seconds waited, from which a cell is so hot; below the first it is cool.
HEATS: Final = (1.0, 5.0, 30.0, 120.0, 600.0)
CELL_WIDTH: Final = 8


class HeatMap(NamedTuple):
    """Ready to be drawn; `paths` by heat (0: looked at, and cool)."""

    width: int
    height: int
    paths: dict[int, str]
    worst: float  # seconds

    @property
    def said(self) -> str:
        """The picture for those who do not see it."""
        minutes = COLUMNS_MAX * COLUMN_SECONDS // 60
        if self.worst < HEATS[0]:
            return f"nothing waited in the last {minutes} minutes"
        return f"the longest wait in the last {minutes} minutes: {seconds(self.worst)}"


def heat_of(waited: float) -> int:
    """0 to 5."""
    return sum(waited >= limit for limit in HEATS)


def heat_map(columns: Sequence[Column], places: Sequence[Place], cell_height: int) -> HeatMap:
    """Draw these partitions, in their order; a cell is `cell_height` pixels high."""
    paths: defaultdict[int, list[str]] = defaultdict(list)
    newest = columns[-1].at if columns else 0
    worst = 0.0
    for row, place in enumerate(places):
        y = row * cell_height
        for heat, start, length in _strokes(columns, place, newest):
            width = length * CELL_WIDTH - 1
            path = f"M{start * CELL_WIDTH} {y}h{width}v{cell_height - 1}h-{width}z"
            paths[heat].append(path)
        cells = (column.cells.get(place) for column in columns)
        worst = max(worst, *(cell.seconds for cell in cells if cell is not None), 0.0)
    drawn = {heat: "".join(parts) for heat, parts in sorted(paths.items())}
    return HeatMap(COLUMNS_MAX * CELL_WIDTH, len(places) * cell_height, drawn, worst)


def _strokes(
    columns: Sequence[Column], place: Place, newest: int
) -> Iterator[tuple[int, int, int]]:
    """Runs of one heat: heat, first column, length. Where nobody looked there is nothing."""
    run: tuple[int, int, int] | None = None
    for column in columns:
        index = COLUMNS_MAX - 1 - (newest - column.at) // COLUMN_SECONDS
        cell = column.cells.get(place)
        if index < 0 or cell is None:
            continue
        heat = heat_of(cell.seconds)
        if run is not None and run[0] == heat and run[1] + run[2] == index:
            run = (heat, run[1], run[2] + 1)
            continue
        if run is not None:
            yield run
        run = (heat, index, 1)
    if run is not None:
        yield run
