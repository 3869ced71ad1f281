"""The lag as Prometheus reads it, under the names of kafka-lag-exporter and of our own.

Seconds are those of the moment at which somebody asks: what waits grows older between two looks.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final, get_args

from prometheus_client.metrics_core import Metric as Family

from consumers.engine.config import Settings
from consumers.engine.metrics import Sample, family
from ops.lag import LagReport, PartitionLag, Verdict, by_stage

VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)


def lag_families(report: LagReport, settings: Settings, wall_ms: int) -> Iterator[Family]:
    """All families of the lag; `wall_ms` is now."""
    cluster_id = report.cluster_id

    def by_partition(row: PartitionLag) -> tuple[str, ...]:
        return cluster_id, settings.kafka.group(row.stage), row.topic, str(row.partition)

    def by_group(stage: str) -> tuple[str, ...]:
        return cluster_id, settings.kafka.group(stage)

    rows = report.partitions
    age = {by_partition(row): _age_seconds(row, wall_ms) for row in rows}
    worst = [
        (by_group(stage), max(age[by_partition(row)] for row in group))
        for stage, group in groupby(rows, key=lambda row: row.stage)
    ]
    yield family("kafka_consumergroup_group_offset", [(by_partition(r), r.position) for r in rows])
    yield family("kafka_consumergroup_group_lag", [(by_partition(r), r.behind) for r in rows])
    yield family("kafka_consumergroup_group_lag_seconds", age.items())
    yield family("kafka_consumergroup_group_max_lag_seconds", worst)
    sums = [(by_group(stage.stage), stage.behind) for stage in by_stage(report)]
    yield family("kafka_consumergroup_group_sum_lag", sums)
    ends: list[Sample] = [((cluster_id, r.topic, str(r.partition)), r.end) for r in rows]
    yield family("kafka_partition_latest_offset", ends)
    begins: list[Sample] = [((cluster_id, r.topic, str(r.partition)), r.begin) for r in rows]
    yield family("kafka_partition_earliest_offset", begins)
    yield from _movement(report)


def _movement(report: LagReport) -> Iterator[Family]:
    places = {row: (row.stage, row.topic, str(row.partition)) for row in report.partitions}
    rates_in = [(at, row.rate_in) for row, at in places.items() if row.rate_in is not None]
    rates_out = [(at, row.rate_out) for row, at in places.items() if row.rate_out is not None]
    yield family("escrow_stage_in_per_second", rates_in)
    yield family("escrow_stage_out_per_second", rates_out)
    stages = by_stage(report)
    drains = [
        (
            (s.stage,),
            0.0 if not s.behind else float("inf") if s.drain_seconds is None else s.drain_seconds,
        )
        for s in stages
    ]
    yield family("escrow_stage_drain_seconds", drains)
    yield family("escrow_stage_members", [((s.stage,), s.members) for s in stages])
    verdicts = [
        ((*at, verdict), int(row.verdict == verdict))
        for row, at in places.items()
        for verdict in VERDICTS
    ]
    yield family("escrow_stage_verdict", verdicts)
    yield family("escrow_topics_missing", [((), len(report.missing_topics))])


def _age_seconds(row: PartitionLag, wall_ms: int) -> float:
    return 0.0 if row.next_at is None else max(wall_ms - row.next_at, 0) / 1000
