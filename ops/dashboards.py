"""Dashboards for Grafana, made from one list of questions: `python -m ops.dashboards` writes ops/grafana anew.

Every panel answers a question of those who watch; every expression is run against a real Prometheus
by a test.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

FOLDER: Final = Path(__file__).parent / "grafana"
_WIDTH: Final = 24  # Grafana's columns
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


class Panel(NamedTuple):
    """A question, and the expressions that answer it: legend → expression."""

    title: str
    unit: str  # Grafana's name of it
    answers: dict[str, str]
    kind: str = "timeseries"
    width: int = 12


class Dashboard(NamedTuple):
    uid: str
    title: str
    panels: tuple[Panel, ...]


_LAG_SECONDS: Final = "max by (group) (kafka_consumergroup_group_max_lag_seconds)"
_VERDICTS: Final = 'max by (stage) (escrow_stage_verdict{verdict=~"stuck|no-members"})'

OVERVIEW: Final = Dashboard(
    "escrow-overview",
    "Escrow: is money moving?",
    (
        Panel("Stages that do not move", "short", {"stages": f"sum({_VERDICTS})"}, "stat", 4),
        Panel("Worst lag", "s", {"seconds": f"max({_LAG_SECONDS})"}, "stat", 4),
        Panel(
            "Not accounted for",
            "short",
            {"{{currency}}": "max by (currency) (escrow_money_imbalance_minor)"},
            "stat",
            4,
        ),
        Panel(
            "Outbox: oldest",
            "s",
            {"age": "max(escrow_outbox_oldest_age_seconds)"},
            "stat",
            4,
        ),
        Panel(
            "Commands for a person",
            "short",
            {
                "failed {{kind}}": "max by (kind) (escrow_commands_unresolved)",
                "held": "max(escrow_commands_held)",
                "paused": "sum(max by (scope) (escrow_sending_paused))",
            },
            "stat",
            4,
        ),
        Panel(
            "Dead letters", "short", {"open": "sum(max by (code) (escrow_dead_letters))"}, "stat", 4
        ),
        Panel(
            "Money held (minor units)",
            "short",
            {"{{currency}}": "max by (currency) (escrow_held_amount_minor)"},
        ),
        Panel(
            "Decided to go out, without a final answer (minor units)",
            "short",
            {
                "{{kind}} {{currency}}": "max by (kind, currency) (escrow_commands_open_amount_minor)"
            },
        ),
        Panel("Orders by status", "short", {"{{status}}": "max by (status) (escrow_orders)"}),
        Panel(
            "Commands by state",
            "short",
            {"{{kind}} {{state}}": "max by (kind, state) (escrow_commands)"},
        ),
        Panel(
            "Longest without a final answer",
            "s",
            {"{{kind}}": "max by (kind) (escrow_command_silent_age_seconds)"},
        ),
        Panel(
            "Facts that wait",
            "short",
            {"{{code}}": "max by (code) (escrow_parked) > 0"},
        ),
        Panel(
            "Lost and owed after chargebacks (minor units)",
            "short",
            {
                "platform {{currency}}": "max by (currency) (escrow_platform_loss_minor)",
                "suppliers {{currency}}": "max by (currency) (escrow_supplier_debt_minor)",
            },
        ),
        Panel(
            "Dead letters by reason",
            "short",
            {"{{code}}": "max by (code) (escrow_dead_letters) > 0"},
        ),
    ),
)

LAG: Final = Dashboard(
    "escrow-lag",
    "Escrow: who is behind, and until when?",
    (
        Panel("Behind", "s", {"{{group}}": _LAG_SECONDS}),
        Panel(
            "Behind",
            "short",
            {"{{group}}": "max by (group) (kafka_consumergroup_group_sum_lag)"},
        ),
        Panel("Drained in", "s", {"{{stage}}": "max by (stage) (escrow_stage_drain_seconds)"}),
        Panel(
            "Members",
            "short",
            {"{{stage}}": "max by (stage) (escrow_stage_members)"},
        ),
        Panel(
            "Records in",
            "ops",
            {
                "{{stage}}": "sum by (stage) (max by (stage, topic, partition) (escrow_stage_in_per_second))"
            },
        ),
        Panel(
            "Records out",
            "ops",
            {
                "{{stage}}": "sum by (stage) (max by (stage, topic, partition) (escrow_stage_out_per_second))"
            },
        ),
        Panel(
            "Behind, by partition",
            "short",
            {
                "{{topic}}/{{partition}}": "max by (topic, partition) (kafka_consumergroup_group_lag) > 0"
            },
        ),
        Panel(
            "Verdicts other than ok",
            "short",
            {
                "{{stage}} {{verdict}}": 'max by (stage, verdict) (escrow_stage_verdict{verdict!="ok"}) > 0'
            },
        ),
    ),
)

PROGRAMS: Final = Dashboard(
    "escrow-programs",
    "Escrow: how do the programs do?",
    (
        Panel(
            "Facts by outcome",
            "ops",
            {"{{stage}} {{outcome}}": "sum by (stage, outcome) (rate(escrow_facts_total[1m]))"},
        ),
        Panel(
            "Time of a batch: half, and all but one in a hundred, are quicker",
            "s",
            {
                "{{stage}} half": "histogram_quantile(0.5, sum by (stage, le) (rate(escrow_batch_seconds_bucket[1m])))",
                "{{stage}} 99 %": "histogram_quantile(0.99, sum by (stage, le) (rate(escrow_batch_seconds_bucket[1m])))",
            },
        ),
        Panel(
            "Records in a batch",
            "short",
            {
                "{{stage}}": "sum by (stage) (rate(escrow_batch_records_sum[1m])) / sum by (stage) (rate(escrow_batch_records_count[1m]))"
            },
        ),
        Panel(
            "Batches begun again",
            "ops",
            {
                "{{stage}} {{remedy}}": "sum by (stage, remedy) (rate(escrow_batch_retries_total[5m]))"
            },
        ),
        Panel(
            "Connections made anew",
            "short",
            {
                "{{stage}} {{reason}}": "sum by (stage, reason) (increase(escrow_consumer_restarts_total[10m]))"
            },
        ),
        Panel(
            "Partitions owned",
            "short",
            {"{{stage}}": "sum by (stage) (escrow_partitions_owned)"},
        ),
        Panel("Sent by relays", "ops", {"records": "sum(rate(escrow_relay_sent_total[1m]))"}),
        Panel(
            "Outbox",
            "short",
            {
                "wait": "max(escrow_outbox_pending)",
                "slices with a relay": "sum(escrow_relay_slices)",
            },
        ),
        Panel(
            "Programs that do not answer",
            "short",
            {"{{program}} {{instance}}": 'up{job="escrow"} == 0'},
        ),
        Panel(
            "Since the last turn",
            "s",
            {"{{program}}": "max by (program) (escrow_turn_age_seconds)"},
        ),
    ),
)

DASHBOARDS: Final = (OVERVIEW, LAG, PROGRAMS)


def rendered(dashboard: Dashboard) -> str:
    """The file that Grafana imports, ending in one newline."""
    return json.dumps(_dashboard(dashboard), indent=1, ensure_ascii=False) + "\n"


def _dashboard(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["escrow"],
        "timezone": "utc",
        "refresh": "10s",
        "schemaVersion": 39,
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "source",
                    "type": "datasource",
                    "query": "prometheus",
                    "label": "Prometheus",
                }
            ]
        },
        "panels": _panels(dashboard.panels),
    }


def _panels(panels: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Left to right, then down."""
    made = []
    x = y = height = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > _WIDTH:
            x, y = 0, y + height
        height = 4 if panel.kind == "stat" else 8
        made.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": height}))
        x += panel.width
    return made


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "gridPos": place,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for n, (legend, expression) in enumerate(panel.answers.items())
        ],
    }


def main() -> int:
    """Write all of them."""
    for dashboard in DASHBOARDS:
        file = FOLDER / f"{dashboard.uid.removeprefix('escrow-')}.json"
        file.write_text(rendered(dashboard), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
