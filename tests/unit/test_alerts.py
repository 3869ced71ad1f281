"""Alerts ask for metrics that exist, say how bad it is, and lead to a section that says what to do."""

import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from consumers.engine.catalogue import BY_NAME
from tests.debian import program
from tests.unit.expressions import metrics_in

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "ops" / "prometheus"
ALERTS: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
TESTS: Final[list[dict[str, Any]]] = yaml.safe_load((FOLDER / "rules_test.yml").read_text())[
    "tests"
]
SECTIONS: Final = {
    heading.replace(" ", "-")
    for heading in re.findall(r"^## (.+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
}
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])


@each_alert
def test_it_asks_for_what_is_served(alert: dict[str, Any]) -> None:
    asked = metrics_in(alert["expr"])
    assert asked
    assert asked <= BY_NAME.keys() | {"up"}


@each_alert
def test_it_leads_to_a_section_of_the_runbook(alert: dict[str, Any]) -> None:
    page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
    assert (ROOT / page).is_file()
    assert anchor in SECTIONS
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    assert alert["annotations"]["summary"]


@each_alert
def test_it_is_tried_while_all_is_well_and_when_it_is_not(alert: dict[str, Any]) -> None:
    tried = [
        bool(one["exp_alerts"])
        for test in TESTS
        for one in test["alert_rule_test"]
        if one["alertname"] == alert["alert"]
    ]
    assert set(tried) == {False, True}


def test_prometheus_agrees() -> None:
    tried = subprocess.run(
        [program("promtool"), "test", "rules", "rules_test.yml"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
