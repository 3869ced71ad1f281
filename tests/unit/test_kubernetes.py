"""The objects for Kubernetes, held against the program without a cluster: settings, groups, probes, rights."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from consumers.engine.config import load_settings
from consumers.stages import STAGES
from ops.cli.main import app
from ops.kubernetes import FILES, METRICS_PORT, NAME, Cluster, environment, manifests, processes
from schemas.topics import TOPICS
from storage.roles import ROLES

CLUSTER = Cluster("registry.example/escrow@sha256:1", "kafka-0.example:9093,kafka-1.example:9093")


@pytest.fixture(scope="module")
def kinds() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for item in manifests(CLUSTER)["items"]:
        name = item["metadata"]["name"]
        assert name not in found[item["kind"]], "two objects of one kind and name"
        found[item["kind"]][name] = item
    return found


def pods(kinds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        item["metadata"]["labels"]["app.kubernetes.io/component"]: item["spec"]["template"]["spec"]
        for item in kinds["Deployment"].values()
    }


def test_every_process_with_rights_of_its_own_is_a_deployment(kinds: dict[str, Any]) -> None:
    people = {"console", "operator", "auditor", "privacy", "archivist"}
    assert set(pods(kinds)) == {role.process for role in ROLES} - people
    for stage in STAGES:
        assert pods(kinds)[stage]["containers"][0]["args"] == ["consume", stage]
    for process in processes():
        command = list(process.args)
        assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0, command


def test_names_are_names_of_kubernetes(kinds: dict[str, Any]) -> None:
    for of_kind in kinds.values():
        for name, item in of_kind.items():
            assert name.replace("-", "").isalnum(), name
            assert name == name.lower()
            assert item["metadata"]["namespace"] == "escrow"


def test_the_program_starts_with_what_it_is_told(
    kinds: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every variable exists, and together they are a safe configuration of the production profile."""
    for name, value in kinds["ConfigMap"][NAME]["data"].items():
        path = Path(value)
        if path.is_relative_to(FILES):
            path = tmp_path / path.name
            path.write_text("{}")
        monkeypatch.setenv(name, str(path) if value.startswith(FILES) else value)
    for pod in pods(kinds).values():
        for variable in pod["containers"][0]["env"]:
            if "value" in variable:
                path = tmp_path / Path(variable["value"]).name
                path.write_text("{}")
                monkeypatch.setenv(variable["name"], str(path))
                continue
            key = variable["valueFrom"]["secretKeyRef"]["key"]
            url = "postgresql+psycopg://u:p@db.example/escrow?sslmode=verify-full"
            monkeypatch.setenv(variable["name"], url if key == "database-url" else "secret")
    settings = load_settings()
    assert settings.profile == "production"
    assert settings.timestamp_type == "LogAppendTime"
    assert settings.kafka.group("payments") == "escrow.payments"
    assert settings.metrics_port == METRICS_PORT
    assert environment(CLUSTER)["ESCROW_KAFKA__BOOTSTRAP_SERVERS"] == CLUSTER.bootstrap_servers


def test_no_secret_is_written_and_each_process_has_its_own(kinds: dict[str, Any]) -> None:
    assert "Secret" not in kinds
    seen: set[str] = set()
    for name, pod in pods(kinds).items():
        env = pod["containers"][0]["env"]
        refs = {v["valueFrom"]["secretKeyRef"]["name"] for v in env if "valueFrom" in v}
        refs |= {v["secret"]["secretName"] for v in pod["volumes"] if v["name"] == "own"}
        assert (name == "relay") == any(v["name"].endswith("PRIVATE_KEY_FILE") for v in env)
        assert refs == {f"escrow-{name.replace('_', '-')}"}
        assert not refs & seen
        seen |= refs


def test_a_stage_is_scaled_by_the_lag_of_its_own_group_and_topic(kinds: dict[str, Any]) -> None:
    partitions = {topic.name: topic.partitions for topic in TOPICS}
    scaled = {
        item["spec"]["scaleTargetRef"]["name"]: item for item in kinds["ScaledObject"].values()
    }
    assert set(scaled) == {f"escrow-{stage.replace('_', '-')}" for stage in STAGES}
    for name, stage in STAGES.items():
        spec = scaled[f"escrow-{name.replace('_', '-')}"]["spec"]
        (trigger,) = spec["triggers"]
        assert trigger["metadata"]["consumerGroup"] == f"escrow.{name}"
        assert trigger["metadata"]["topic"] == stage.topic
        assert spec["minReplicaCount"] <= spec["maxReplicaCount"] <= max(2, partitions[stage.topic])
        assert "replicas" not in kinds["Deployment"][f"escrow-{name.replace('_', '-')}"]["spec"]
        (reference,) = kinds["TriggerAuthentication"]
        assert trigger["authenticationRef"]["name"] == reference


def test_never_are_all_of_one_process_down_at_once(kinds: dict[str, Any]) -> None:
    more_than_one = {p.name.replace("_", "-") for p in processes() if p.replicas > 1}
    budgets = kinds["PodDisruptionBudget"]
    assert set(budgets) == {f"escrow-{name}" for name in more_than_one}
    for name, budget in budgets.items():
        assert budget["spec"]["maxUnavailable"] == 1
        selector = budget["spec"]["selector"]["matchLabels"]
        labels = kinds["Deployment"][name]["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()
    for deployment in kinds["Deployment"].values():
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_probes_ask_what_the_program_serves_and_nothing_runs_as_root(kinds: dict[str, Any]) -> None:
    for pod in pods(kinds).values():
        (container,) = pod["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["ports"] == [{"name": "metrics", "containerPort": METRICS_PORT}]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["image"] == CLUSTER.image


def test_the_command_prints_them_as_json() -> None:
    arguments = ["manifests", "--image", CLUSTER.image]
    arguments += ["--bootstrap-servers", CLUSTER.bootstrap_servers]
    printed = CliRunner().invoke(app, arguments)
    assert printed.exit_code == 0, printed.output
    assert json.loads(printed.stdout) == manifests(CLUSTER)
