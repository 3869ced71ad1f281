"""Batches grow while they are quick and shrink when others would wait for them."""

from consumers.engine.pace import RECORDS_MIN, SECONDS_GOOD, SECONDS_MAX, Pace


def test_full_quick_batches_grow_to_the_maximum() -> None:
    pace = Pace(5_000)
    for _ in range(10):
        pace.took(pace.records, SECONDS_GOOD / 2)
    assert pace.records == 5_000


def test_a_quick_batch_that_was_not_full_says_nothing() -> None:
    pace = Pace(5_000)
    before = pace.records
    pace.took(before - 1, 0.001)
    assert pace.records == before


def test_slow_batches_shrink_to_the_minimum() -> None:
    pace = Pace(5_000)
    for _ in range(10):
        pace.took(pace.records, SECONDS_MAX * 2)
    assert pace.records == RECORDS_MIN


def test_in_between_it_stays() -> None:
    pace = Pace(5_000)
    before = pace.records
    pace.took(before, (SECONDS_GOOD + SECONDS_MAX) / 2)
    assert pace.records == before


def test_a_small_configured_maximum_is_never_passed() -> None:
    pace = Pace(10)
    assert pace.records == 10
    pace.took(10, 5.0)
    pace.took(10, 0.0)
    assert pace.records == 10
