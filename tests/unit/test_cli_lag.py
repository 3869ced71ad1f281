"""Lag is judged by movement: what does not move is stuck, what moves too slowly is slow."""

import io

import pytest
from rich.console import Console

from consumers.engine.admin import Span
from consumers.engine.config import Settings
from consumers.stages import STAGES
from ops.cli.lag import lag_page
from ops.lag import (
    TURN_SECONDS_MAX,
    LagReport,
    Sample,
    by_stage,
    compare,
    judge,
    report_json,
    time_to_drain,
)
from storage.sending import Pause

TOPIC = STAGES["payments"].topic
NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("position", "span", "members", "rate_out", "idle", "verdict"),
    [
        (10, Span(0, 10), 1, 0.0, 99.0, "ok"),  # nothing to do
        (10, Span(0, 10), 0, 0.0, 1.0, "no-members"),
        (5, Span(0, 10), 0, None, 1.0, "no-members"),
        (5, Span(0, 10), 1, None, 99.0, "ok"),  # one look says nothing of movement
        (5, Span(0, 10), 1, 0.0, 10.1, "stuck"),
        (5, Span(0, 10), 1, 0.0, None, "stuck"),
        (5, Span(0, 10), 1, 0.0, 10.0, "slow"),  # in the middle of a long batch, perhaps
        (5, Span(0, 10), 1, -3.0, 99.0, "stuck"),  # an operator moved it back meanwhile
        (0, Span(0, 100), 1, 10.0, 1.0, "ok"),  # ten seconds of work
        (0, Span(0, 101), 1, 10.0, 1.0, "slow"),
        (11, Span(0, 10), 1, 5.0, 1.0, "stuck"),  # the log was truncated or made anew
        (4, Span(5, 10), 1, 5.0, 1.0, "stuck"),  # retention took what was not read
        (5, Span(5, 10), 1, 5.0, 1.0, "ok"),
    ],
)
def test_verdicts(
    position: int,
    span: Span,
    members: int,
    rate_out: float | None,
    idle: float | None,
    verdict: str,
) -> None:
    assert judge(position, span, members, rate_out, idle)[0] == verdict


@pytest.mark.parametrize(
    ("behind", "rate_in", "rate_out", "seconds"),
    [
        (100, 10.0, 30.0, 5.0),
        (100, 0.0, 50.0, 2.0),
        (100, 30.0, 30.0, None),  # never
        (100, 40.0, 30.0, None),
        (0, 0.0, 0.0, None),  # nothing to drain
        (100, None, None, None),
    ],
)
def test_time_to_drain(
    behind: int, rate_in: float | None, rate_out: float | None, seconds: float | None
) -> None:
    assert time_to_drain(behind, rate_in, rate_out) == seconds


def sample(at: float, position: int, end: int, *, next_time: int | None = None) -> Sample:
    """One look at the payments stage, which has one partition and one member."""
    return Sample(
        at,
        NOW,
        {("payments", 0): position},
        {("payments", 0): 1.0},
        {(TOPIC, 0): Span(0, end)},
        dict.fromkeys(STAGES, 1),
        {} if next_time is None else {(TOPIC, 0): next_time},
        3,
        NOW,
    )


def lag_of(old: Sample | None, new: Sample) -> LagReport:
    return compare(old, new, Settings.model_construct(timestamp_type="CreateTime"))


def test_two_looks_make_rates() -> None:
    report = lag_of(sample(10.0, 100, 200), sample(12.0, 140, 220, next_time=NOW - 1_500))
    (row,) = report.partitions
    assert (row.behind, row.rate_in, row.rate_out, row.drain_seconds) == (80, 10.0, 20.0, 8.0)
    assert (row.seconds, row.verdict) == (1.5, "ok")
    assert (report.sampled_seconds, report.record_time, report.unsent) == (2.0, True, 3)


@pytest.mark.parametrize(
    ("members", "moved", "idle", "seconds"),
    [
        (1, (40, 0), 30.0, 8.5),  # it takes them in turns: 170 left, 20 a second
        (2, (40, 20), 1.0, 9.0),  # each has its own process: the slower one
        (2, (40, 0), 1.0, None),
        (1, (40, 0), 61.0, None),  # one of them has no turn: it is stuck, and never ends
        (1, (0, 0), 11.0, None),
        (0, (0, 0), 1.0, None),
    ],
)
def test_a_stage_is_done_when_its_last_partition_is(
    members: int, moved: tuple[int, int], idle: float, seconds: float | None
) -> None:
    """Once it was never done, if one of its partitions had to wait for its turn."""

    def look(at: float, positions: tuple[int, int]) -> Sample:
        places = [("payments", 0), ("payments", 1)]
        return sample(at, 0, 100)._replace(
            positions=dict(zip(places, positions, strict=True)),
            idle=dict.fromkeys(places, idle),
            spans={(TOPIC, 0): Span(0, 100), (TOPIC, 1): Span(0, 110)},
            members=dict.fromkeys(STAGES, members),
        )

    report = lag_of(look(10.0, (0, 0)), look(12.0, moved))
    (stage,) = by_stage(report)
    assert stage.drain_seconds == seconds
    assert (stage.verdict == "stuck") == (
        idle > TURN_SECONDS_MAX or (members, moved) == (1, (0, 0))
    )
    details = [row.detail for row in report.partitions]
    assert any("another partition" in detail for detail in details) == (idle == 30.0)


def test_seconds_are_never_below_zero_and_zero_at_the_end() -> None:
    (ahead,) = lag_of(None, sample(1.0, 5, 6, next_time=NOW + 9_000)).partitions
    (done,) = lag_of(None, sample(1.0, 6, 6)).partitions
    assert (ahead.behind, ahead.seconds) == (1, 0.0)
    assert (done.behind, done.seconds) == (0, 0.0)


def test_a_missing_topic_is_unhealthy() -> None:
    report = lag_of(None, sample(1.0, 6, 6))
    assert TOPIC not in report.missing_topics
    assert len(report.missing_topics) == len(STAGES) - 1
    assert not report.healthy


def page(report: LagReport, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(lag_page(report))
    return out.getvalue()


def test_quiet_partitions_share_a_row_and_busy_ones_do_not() -> None:
    (row,) = lag_of(None, sample(1.0, 6, 6)).partitions
    quiet = [row._replace(partition=n) for n in range(4)]
    report = LagReport(2.0, False, quiet, 0, None, [])
    assert page(report).count("payments") == page(report).count("all") == 1
    behind = quiet[2]._replace(behind=7, verdict="stuck", detail="behind, and not moving")
    busy = report._replace(partitions=[*quiet[:2], behind, quiet[3]])
    lines = page(busy).splitlines()
    assert sum("ok" in line for line in lines) == 3
    assert any("payments/2: behind, and not moving" in line for line in lines)


def test_the_page_marks_record_time_and_fits() -> None:
    report = lag_of(sample(10.0, 100, 200), sample(12.0, 140, 220, next_time=0))
    shown = page(report, 80)
    assert "delay*" in shown
    assert "3 records wait in the outbox" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_pause_of_sending_stands_under_the_lag() -> None:
    pause = Pause("payout", "breaker", "relay", "over 5.00 EUR within an hour\x1b[2J", 1)
    report = LagReport(1.0, False, [], 0, None, [], paused=(pause,))
    said = page(report)
    assert "payout commands are paused by the breaker: over 5.00 EUR within an hour" in said
    assert "\x1b" not in said
    assert report_json(report)["outbox"]["paused"][0]["why"] == "breaker"
