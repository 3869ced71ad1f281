"""One catalogue of metrics: what programs serve is in it, what is in it is served, and the page is made from it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import CollectorRegistry

from consumers.engine import metrics
from consumers.engine.catalogue import BY_NAME, CATALOGUE, Metric
from consumers.engine.config import Settings
from ops.figure_families import figure_families
from ops.lag import LagReport
from ops.lag_families import lag_families
from ops.metrics_page import render_metrics_page
from storage.figures import Figures, Group, Money
from tests.unit.test_cli_lag import NOW, lag_of, sample

ROOT: Final = Path(__file__).parents[2]
SETTINGS: Final = Settings()


def by_name(families: Iterator[Family]) -> dict[str, dict[tuple[str, ...], float]]:
    """Name as scraped → label values → value."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in families:
        for one in family.samples:
            labels = BY_NAME[one.name].labels
            assert set(one.labels) == set(labels)
            found.setdefault(one.name, {})[tuple(one.labels[name] for name in labels)] = one.value
    return found


def test_the_page_is_made_from_the_catalogue() -> None:
    assert (ROOT / "docs/metrics.md").read_text() == render_metrics_page()


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_names_follow_the_rules_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"(escrow|kafka)_[a-z_]+[a-z]", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.sentence.endswith(".")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    if "seconds" in metric.name and "per_second" not in metric.name:
        assert metric.unit == "seconds"
    if metric.name.endswith("_minor"):
        assert metric.unit == "minor units"
    assert len(BY_NAME) == len(CATALOGUE)


def test_every_metric_is_served_somewhere_and_none_that_is_not_in_the_catalogue() -> None:
    served = {
        node.value
        for folder in ("consumers", "ops")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "catalogue.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(
            r"(escrow|kafka)_[a-z_]+_[a-z_]+|escrow_(facts_total|orders|parked|commands)",
            node.value,
        )
    }
    assert BY_NAME.keys() <= served
    assert served - BY_NAME.keys() <= {"kafka_clients"}


def test_what_is_counted_here_goes_by_the_catalogue() -> None:
    made = {
        "escrow_facts_total": metrics.FACTS,
        "escrow_batch_seconds": metrics.BATCH_SECONDS,
        "escrow_batch_records": metrics.BATCH_RECORDS,
        "escrow_batch_retries_total": metrics.RETRIES,
        "escrow_consumer_restarts_total": metrics.RESTARTS,
        "escrow_partitions_owned": metrics.PARTITIONS,
    }
    assert made.keys() == {metric.name for metric in CATALOGUE if metric.source == "stage"}
    for name, metric in made.items():
        (described,) = metric.describe()
        assert (described.type, described.documentation) == (
            BY_NAME[name].kind,
            BY_NAME[name].sentence,
        )


def test_lag_is_served_as_it_is_at_the_moment_of_the_question() -> None:
    report = lag_of(sample(10.0, 100, 200), sample(12.0, 140, 220, next_time=NOW - 1_500))
    shown = by_name(lag_families(report._replace(cluster_id="c"), SETTINGS, NOW + 4_000))
    where = ("c", "escrow.payments", "escrow.payments.v1", "0")
    assert shown["kafka_consumergroup_group_lag"] == {where: 80}
    assert shown["kafka_consumergroup_group_lag_seconds"] == {where: 5.5}
    assert shown["kafka_consumergroup_group_max_lag_seconds"] == {where[:2]: 5.5}
    assert shown["kafka_consumergroup_group_sum_lag"] == {where[:2]: 80}
    assert shown["kafka_consumergroup_group_offset"] == {where: 140}
    assert shown["kafka_partition_latest_offset"] == {("c", *where[2:]): 220}
    assert shown["kafka_partition_earliest_offset"] == {("c", *where[2:]): 0}
    place = ("payments", *where[2:])
    assert shown["escrow_stage_in_per_second"] == {place: 10.0}
    assert shown["escrow_stage_out_per_second"] == {place: 20.0}
    assert shown["escrow_stage_drain_seconds"] == {("payments",): 8.0}
    assert shown["escrow_stage_members"] == {("payments",): 1}
    assert shown["escrow_stage_verdict"] == {
        (*place, "ok"): 1,
        (*place, "slow"): 0,
        (*place, "stuck"): 0,
        (*place, "no-members"): 0,
    }
    assert shown["escrow_topics_missing"] == {(): 7}


def drain(report: LagReport) -> float:
    return by_name(lag_families(report, SETTINGS, NOW))["escrow_stage_drain_seconds"][("payments",)]


def test_no_end_in_sight_is_not_the_same_as_nothing_to_do() -> None:
    assert drain(lag_of(sample(1.0, 5, 9), sample(2.0, 5, 9))) == float("inf")
    assert drain(lag_of(sample(1.0, 5, 9), sample(2.0, 9, 9))) == 0.0


def test_before_a_second_look_there_is_no_rate() -> None:
    shown = by_name(lag_families(lag_of(None, sample(1.0, 5, 9)), SETTINGS, NOW))
    assert "escrow_stage_in_per_second" not in shown
    assert "escrow_stage_out_per_second" not in shown


FIGURES: Final = Figures(
    {"EUR": Money(1_000, 400, 100, 300, 199, 7, 8), "JPY": Money(5, 5, 0, 0, 0, 0, 0)},
    {"HELD": 2, "SPLIT": 1},
    {("refund", "SETTLED"): 3},
    {("payout", "EUR"): 300},
    {"payout": Group(2, NOW - 60_000)},
    {"refund": 4},
    1,
    Group(9, NOW + 5_000),
    {"invalid_data": Group(2, NOW)},
    {"awaiting_payment": Group(6, NOW - 1_500)},
    5,
)


def test_money_and_what_waits_are_served_with_zeros_where_nothing_is() -> None:
    shown = by_name(figure_families(FIGURES, NOW))
    assert shown["escrow_held_amount_minor"] == {("EUR",): 400, ("JPY",): 5}
    assert shown["escrow_money_imbalance_minor"] == {("EUR",): 1, ("JPY",): 0}
    assert shown["escrow_supplier_debt_minor"][("EUR",)] == 7
    assert shown["escrow_platform_loss_minor"][("EUR",)] == 8
    assert shown["escrow_orders"] == {("HELD",): 2, ("SPLIT",): 1}
    assert shown["escrow_commands"][("refund", "SETTLED")] == 3
    assert shown["escrow_commands"][("payout", "FAILED")] == 0
    assert shown["escrow_commands_open_amount_minor"] == {("payout", "EUR"): 300}
    assert shown["escrow_commands_unresolved"] == {("refund",): 4, ("payout",): 0}
    assert shown["escrow_commands_held"] == {(): 1}
    assert shown["escrow_command_silent_age_seconds"] == {("refund",): 0, ("payout",): 60}
    assert shown["escrow_outbox_pending"] == {(): 9}
    assert shown["escrow_outbox_oldest_age_seconds"] == {(): 0}  # of a time to come
    assert shown["escrow_dead_letters"][("invalid_data",)] == 2
    assert shown["escrow_dead_letters"][("id_conflict",)] == 0
    assert shown["escrow_parked"][("awaiting_payment",)] == 6
    assert shown["escrow_parked_oldest_age_seconds"][("awaiting_payment",)] == 1.5
    assert shown["escrow_deadlines_overdue"] == {(): 5}
    exporter = {metric.name for metric in CATALOGUE if metric.source == "exporter"}
    lag = by_name(lag_families(lag_of(sample(1.0, 5, 9), sample(2.0, 5, 9)), SETTINGS, NOW))
    assert shown.keys() | lag.keys() == exporter - {"escrow_exporter_look_age_seconds"}


def test_what_is_looked_up_is_looked_up_only_when_asked_for() -> None:
    asked: list[int] = []

    def look() -> Iterator[Family]:
        asked.append(1)
        yield metrics.family("escrow_relay_sent_total", [((), 3.0)])

    registry = CollectorRegistry()
    registry.register(metrics.Shown(look))
    assert asked == []
    assert b"escrow_relay_sent_total 3.0" in generate_latest(registry)
    assert asked == [1]
