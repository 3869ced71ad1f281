"""What the benchmarks calculate is right for figures that one can check by hand."""

import pytest

from bench.paper import Costs, need, told
from bench.soak import growth

COSTS = Costs({"payments": 15.0, "relay": 3.0}, 20.0, 10.0, 6.0, 2_000.0, 100.0, 60.0, 0.002)


def test_memory_that_grows_evenly_has_no_noise() -> None:
    grown = growth([100.0, 100.5, 101.0, 101.5])

    assert (grown.mb_first, grown.mb_last) == (100.0, 101.5)
    assert grown.per_hour == pytest.approx(30.0)
    assert grown.noise == pytest.approx(0.0, abs=1e-6)


def test_memory_that_goes_up_and_down_is_not_said_to_grow() -> None:
    grown = growth([100.0, 103.0, 100.0, 103.0, 100.0, 103.0, 100.0])

    assert abs(grown.per_hour) < grown.noise


def test_a_rate_needs_what_its_facts_cost() -> None:
    wanted = need(COSTS, 50_000)

    assert wanted.processes == {"payments": 1, "relay": 1}  # exactly three quarters of one
    assert wanted.postgres_cores == 2  # 30 µs
    assert wanted.kafka_cores == 1
    assert wanted.wal_mb == pytest.approx(100.0)
    assert wanted.broker_in_mb == pytest.approx(24.0)  # 160 bytes, three times
    assert wanted.broker_out_mb == pytest.approx(24.0)
    assert wanted.commits == pytest.approx(100.0)


def test_four_times_the_rate_needs_no_half_processors() -> None:
    wanted = need(COSTS, 200_000)

    assert wanted.processes == {"payments": 4, "relay": 1}
    assert wanted.postgres_cores == 8


def test_the_table_has_a_column_a_rate() -> None:
    lines = told(COSTS).splitlines()

    assert {line.count("|") for line in lines} == {5}
    assert "| WAL, MB/s | 20 | 100 | 400 |" in lines
