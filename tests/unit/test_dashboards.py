"""Dashboards are made from the list of their questions, and ask for what is served."""

from pathlib import Path
from typing import Final

import pytest

from consumers.engine.catalogue import CATALOGUE
from ops.dashboards import DASHBOARDS, FOLDER, Dashboard, rendered
from tests.unit.expressions import metrics_in

NAMES: Final = {metric.name for metric in CATALOGUE}
# Where the alerts ask, or the same is shown in another form.
NOT_SHOWN: Final = {
    "escrow_exporter_look_age_seconds",
    "escrow_deadlines_overdue",
    "escrow_parked_oldest_age_seconds",
    "escrow_topics_missing",
    "escrow_ticker_active",
    "escrow_ticker_ticks_total",
    "escrow_ticker_asked_total",
    "escrow_relay_refused_total",
    "escrow_relay_slices_lost_total",
    "escrow_work_age_seconds",
    "kafka_consumergroup_group_offset",
    "kafka_consumergroup_group_lag_seconds",
    "kafka_partition_latest_offset",
    "kafka_partition_earliest_offset",
}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.uid)
def test_the_file_is_made_from_the_list(dashboard: Dashboard) -> None:
    file = FOLDER / f"{dashboard.uid.removeprefix('escrow-')}.json"
    assert file.read_text(encoding="utf-8") == rendered(dashboard)


def test_there_is_no_other_file() -> None:
    assert len(list(Path(FOLDER).iterdir())) == len(DASHBOARDS)


def test_they_ask_for_what_is_served_and_leave_out_only_what_is_named() -> None:
    asked = {
        name
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for expression in panel.answers.values()
        for name in metrics_in(expression)
    }
    assert asked - {"up"} <= NAMES
    assert NAMES - asked == NOT_SHOWN
