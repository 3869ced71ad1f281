"""How far each stage is behind, in records and in seconds, and whether it will catch up.

Positions are the database's, ends are Kafka's: what is committed to Kafka decides nothing. Two
samples make a rate; without movement there is no promise of an end.
"""

from itertools import groupby
from typing import Any, Final, Literal, NamedTuple

from consumers.engine.asking import Span
from consumers.engine.config import Settings
from consumers.engine.records import Partition
from consumers.stages import STAGES
from storage.sending import Pause

WORK_LEFT_SECONDS_MAX: Final = 10.0  # more than this at the present speed is slow
IDLE_SECONDS_MAX: Final = 10.0  # behind, and no batch for so long, is stuck
TURN_SECONDS_MAX: Final = (
    60.0  # and no batch of this partition, while its process works on another one
)

Verdict = Literal["ok", "slow", "stuck", "no-members"]
BADNESS: Final = ("ok", "slow", "no-members", "stuck")


class Sample(NamedTuple):
    """What could be seen at one moment."""

    monotonic: float
    wall_ms: int
    positions: dict[tuple[str, int], int]  # stage, partition → next offset
    idle: dict[tuple[str, int], float]  # stage, partition → seconds since its last batch
    spans: dict[Partition, Span]
    members: dict[str, int]  # stage → members of its group
    next_times: dict[Partition, int]  # timestamp of the next record, ms, where there is one
    unsent: int  # records in the outbox that the relay has yet to send
    unsent_since: int | None
    cluster_id: str = ""
    next_known: dict[Partition, tuple[int, int]] = {}  # noqa: RUF012  position and that timestamp
    paused: tuple[Pause, ...] = ()


class PartitionLag(NamedTuple):
    """One stage in one partition."""

    stage: str
    topic: str
    partition: int
    position: int
    end: int
    behind: int  # records
    seconds: float  # 0 at the end; else since the next record's timestamp
    rate_in: float | None  # records/s; None before a second sample
    rate_out: float | None
    drain_seconds: float | None  # None: nothing to drain, or no end in sight
    members: int
    idle_seconds: float | None  # since its last batch; None: there was none
    verdict: Verdict
    detail: str
    next_at: int | None = None  # timestamp of the next record, ms; None: at the end
    begin: int = 0  # what retention has left begins here


class StageLag(NamedTuple):
    """All partitions of a stage together: sums, but the worst of seconds and verdict, and when all are done."""

    stage: str
    behind: int
    seconds: float
    rate_in: float | None
    rate_out: float | None
    drain_seconds: float | None
    members: int
    verdict: Verdict


class LagReport(NamedTuple):
    """All partitions, and what waits for the relay."""

    sampled_seconds: float
    record_time: bool  # seconds count from the producers' clocks (CreateTime)
    partitions: list[PartitionLag]
    unsent: int
    unsent_since: int | None
    missing_topics: list[str]
    cluster_id: str = ""
    paused: tuple[Pause, ...] = ()  # commands of these scopes are not sent

    @property
    def healthy(self) -> bool:
        return not self.missing_topics and all(
            lag.verdict in ("ok", "slow") for lag in self.partitions
        )


def compare(old: Sample | None, new: Sample, settings: Settings) -> LagReport:
    """The lag now; with an earlier sample also the rates, and a verdict on movement."""
    rows = [
        _lag(name, stage.topic, partition, old, new)
        for name, stage in STAGES.items()
        for topic, partition in sorted(new.spans)
        if topic == stage.topic
    ]
    rows = [row for _, of in groupby(rows, key=lambda row: row.stage) for row in _turns(list(of))]
    there = {topic for topic, _ in new.spans}
    return LagReport(
        0.0 if old is None else new.monotonic - old.monotonic,
        settings.timestamp_type == "CreateTime",
        rows,
        new.unsent,
        new.unsent_since,
        [stage.topic for stage in STAGES.values() if stage.topic not in there],
        new.cluster_id,
        new.paused,
    )


def _lag(stage: str, topic: str, partition: int, old: Sample | None, new: Sample) -> PartitionLag:
    span = new.spans[topic, partition]
    position = new.positions.get((stage, partition), 0)
    behind = max(span.end - max(position, span.begin), 0)
    next_at = new.next_times.get((topic, partition)) if behind else None
    seconds = 0.0 if next_at is None else max(new.wall_ms - next_at, 0) / 1000
    rate_in = rate_out = None
    if old is not None and (topic, partition) in old.spans:
        elapsed = max(new.monotonic - old.monotonic, 0.001)
        rate_in = (span.end - old.spans[topic, partition].end) / elapsed
        rate_out = (position - old.positions.get((stage, partition), 0)) / elapsed
    members = new.members.get(stage, 0)
    idle = new.idle.get((stage, partition))
    verdict, detail = judge(position, span, members, rate_out, idle)
    return PartitionLag(
        stage,
        topic,
        partition,
        position,
        span.end,
        behind,
        seconds,
        rate_in,
        rate_out,
        time_to_drain(behind, rate_in, rate_out),
        members,
        idle,
        verdict,
        detail,
        next_at,
        span.begin,
    )


def _turns(rows: list[PartitionLag]) -> list[PartitionLag]:
    """A process that has several partitions takes them in turns: who waits while another moves is not stuck."""
    shared = 0 < rows[0].members < len(rows) and any((row.rate_out or 0) > 0 for row in rows)
    return [
        row._replace(
            verdict="slow",
            detail=f"its process works on another partition, the last batch began {row.idle_seconds:.0f} s ago",
        )
        if shared
        and row.verdict == "stuck"
        and row.begin <= row.position < row.end
        and row.idle_seconds is not None
        and row.idle_seconds <= TURN_SECONDS_MAX
        else row
        for row in rows
    ]


def by_stage(report: LagReport) -> list[StageLag]:
    """One row a stage. It has drained when its last partition has."""
    return [
        _together(stage, list(rows))
        for stage, rows in groupby(report.partitions, key=lambda lag: lag.stage)
    ]


def _together(stage: str, rows: list[PartitionLag]) -> StageLag:
    rates_in = [row.rate_in for row in rows if row.rate_in is not None]
    rates_out = [row.rate_out for row in rows if row.rate_out is not None]
    return StageLag(
        stage,
        sum(row.behind for row in rows),
        max(row.seconds for row in rows),
        sum(rates_in) if rates_in else None,
        sum(rates_out) if rates_out else None,
        _drain(rows),
        rows[0].members,
        max((row.verdict for row in rows), key=BADNESS.index),
    )


def _drain(rows: list[PartitionLag]) -> float | None:
    """When the last partition is done.

    A process that has several takes them in turns, so that one of them may not move for a while
    though all goes well: then the stage's own rates count.
    """
    waiting = [row for row in rows if row.behind]
    if any(row.verdict == "stuck" for row in waiting):
        return None
    if 0 < rows[0].members < len(rows):
        behind, rates_in, rates_out = 0, 0.0, 0.0
        for row in rows:
            behind += row.behind
            rates_in += row.rate_in or 0.0
            rates_out += row.rate_out or 0.0
        return time_to_drain(behind, rates_in, rates_out)
    drains = [row.drain_seconds for row in waiting]
    known = [drain for drain in drains if drain is not None]
    return max(known) if known and len(known) == len(drains) else None


def judge(
    position: int,
    span: Span,
    members: int,
    rate_out: float | None,
    idle_seconds: float | None,
) -> tuple[Verdict, str]:
    """One word, and what is behind it. Without a rate only what is certain is said.

    A batch may take seconds: not to have moved between two looks is not yet to be stuck.
    """
    if position > span.end:
        return "stuck", f"the position {position} is beyond the end {span.end}: not the same log"
    if position < span.begin:
        return "stuck", f"records {position} to {span.begin - 1} are gone: retention passed us"
    if members == 0:
        return "no-members", "no process of this stage is in its group"
    behind = span.end - position
    if behind == 0 or rate_out is None:
        return "ok", ""
    if rate_out <= 0:
        if idle_seconds is not None and idle_seconds <= IDLE_SECONDS_MAX:
            return "slow", f"behind, the last batch began {idle_seconds:.0f} s ago"
        since = "ever" if idle_seconds is None else f"for {idle_seconds:.0f} s"
        return "stuck", f"behind, and no batch {since}"
    if behind / rate_out > WORK_LEFT_SECONDS_MAX:
        return "slow", f"{behind / rate_out:.0f} s of work at the present speed"
    return "ok", ""


def time_to_drain(behind: int, rate_in: float | None, rate_out: float | None) -> float | None:
    """Seconds until nothing is behind if all goes on as now; None where it never ends."""
    if not behind or rate_in is None or rate_out is None or rate_out <= rate_in:
        return None
    return behind / (rate_out - rate_in)


def report_json(report: LagReport) -> dict[str, Any]:
    """The report as JSON values."""
    return {
        "healthy": report.healthy,
        "sampled_seconds": round(report.sampled_seconds, 3),
        "seconds_are": "record time" if report.record_time else "broker time",
        "missing_topics": report.missing_topics,
        "partitions": [lag._asdict() for lag in report.partitions],
        "outbox": {
            "unsent": report.unsent,
            "oldest_at": report.unsent_since,
            "paused": [pause._asdict() for pause in report.paused],
        },
    }
