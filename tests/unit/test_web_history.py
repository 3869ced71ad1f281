"""How long a record waited is told by what was seen of the log, whatever clock its producer has."""

import pytest

from consumers.engine.config import Settings
from ops.web.heat import HEATS, heat_map, heat_of
from ops.web.history import COLUMNS_MAX, Cell, Column, Wait
from ops.web.words import seconds
from tests.unit.looks import a_sample, seen_by


def wait_of(samples: list[tuple[float, int, int]]) -> Wait:
    """After looks (second, position, end)."""
    seen = seen_by([a_sample(at, position=position, end=end) for at, position, end in samples])
    assert seen.look is not None
    return seen.look.waits.get(("payments", 0), Wait(0.0))


@pytest.mark.parametrize(
    ("samples", "wait"),
    [
        ([(0, 10, 10)], Wait(0.0)),
        ([(0, 10, 12)], Wait(0.0, at_least=True)),
        ([(0, 10, 12), (5, 10, 12)], Wait(5.0, at_least=True)),  # it was there before we were
        ([(0, 10, 10), (1, 10, 12), (9, 10, 20)], Wait(8.5)),
        ([(0, 10, 10), (1, 10, 12), (2, 12, 14), (9, 12, 20)], Wait(7.5)),  # the next one's age
        ([(0, 10, 10), (1, 10, 12), (2, 12, 12)], Wait(0.0)),
        ([(0, 10, 10), (1, 10, 12), (2, 11, 30)], Wait(1.5)),  # half of what came at once
    ],
)
def test_a_record_is_as_old_as_the_look_that_first_saw_it(
    samples: list[tuple[float, int, int]], wait: Wait
) -> None:
    assert wait_of(samples) == wait


def test_where_brokers_stamp_records_their_clock_counts() -> None:
    settings = Settings(timestamp_type="LogAppendTime")
    sample = a_sample(0, position=8, end=10)
    at = next(iter(key for key in sample.spans if "payments" in key[0]))
    sample = sample._replace(next_times={(at[0], 0): sample.wall_ms - 7_000})
    seen = seen_by([sample], settings)
    assert seen.look is not None
    assert seen.look.waits["payments", 0] == Wait(7.0)


def test_the_outbox_is_as_old_as_its_oldest_record_was_seen_to_be() -> None:
    waiting = [a_sample(at, unsent=5, unsent_since=77) for at in range(12)]
    seen = seen_by(waiting)
    assert seen.look is not None
    assert seen.look.unsent_seconds == 11.0
    seen = seen_by([*waiting, a_sample(12, unsent=5, unsent_since=78)])  # that one was sent
    assert seen.look is not None
    assert seen.look.unsent_seconds == 0.0


def test_memory_is_bounded() -> None:
    samples = [a_sample(at * 10, end=10 + at) for at in range(COLUMNS_MAX + 50)]
    seen = seen_by(samples)
    assert len(seen.columns) == COLUMNS_MAX


def test_a_column_keeps_the_worst() -> None:
    samples = [a_sample(0), a_sample(1, end=90), a_sample(9, end=90), a_sample(9.5, position=90)]
    (column,) = seen_by(samples).columns
    assert column.cells["payments", 0] == Cell(80, 8.5)


@pytest.mark.parametrize("heat", range(len(HEATS) + 1))
def test_heats(heat: int) -> None:
    limits = (0.0, *HEATS)
    assert heat_of(limits[heat]) == heat


def test_neighbours_of_one_heat_are_one_stroke_and_now_is_on_the_right() -> None:
    place = ("payments", 0)
    warm, cool = Cell(5, HEATS[0]), Cell(0, 0.0)
    columns = [Column(at * 10, {place: warm if at in (3, 4) else cool}) for at in range(6)]
    drawn = heat_map(columns, [place], 6)
    assert drawn.paths[1].count("M") == 1
    assert drawn.paths[0].count("M") == 2
    assert f"M{(COLUMNS_MAX - 1) * 8} 0h7" in drawn.paths[0]


def test_where_nobody_looked_nothing_is_drawn() -> None:
    place = ("payments", 0)
    columns = [Column(0, {place: Cell(0, 0.0)}), Column(50, {place: Cell(0, 0.0)})]
    assert heat_map(columns, [place], 6).paths[0].count("M") == 2
    assert heat_map([], [place], 6).paths == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "0 s"), (0.25, "0.2 s"), (9.96, "10.0 s"), (61, "1 min 1 s")],
)
def test_durations(value: float | None, text: str) -> None:
    assert seconds(value) == text
    assert seconds(3, at_least=True) == "≥ 3.0 s"
