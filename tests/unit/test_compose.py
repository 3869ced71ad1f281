"""No Docker runs in our checks, so the files that it would read are held against the program instead."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from consumers.engine.config import WebSettings
from ops.cli.main import app
from ops.local.jars import KAFKA_VERSION
from ops.local.postgres import POSTGRES_VERSION

ROOT = Path(__file__).parents[2]
STAGES = {
    "payments",
    "shipments",
    "refund_requests",
    "mediation_rulings",
    "gateway_results",
    "operator_actions",
    "deadlines",
    "supplier_reports",
}
OTHERS = {"relay", "ticker", "gateway", "metrics", "web"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = compose["services"]
    return found


def test_the_servers_are_those_of_the_embedded_stack(services: dict[str, Any]) -> None:
    assert services["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert services["postgres"]["image"] == f"postgres:{POSTGRES_VERSION}"


def test_every_stage_is_a_service_of_its_own(services: dict[str, Any]) -> None:
    consuming = {
        service["command"][1]: name
        for name, service in services.items()
        if service.get("command", [""])[0] == "consume"
    }
    assert consuming == {stage: stage for stage in STAGES}
    assert {name for name in OTHERS if services[name]["command"][0] == name} == OTHERS


def parsed(command: Any, name: str, words: list[str], parent: Any = None) -> None:
    """Raises a UsageError where the program would end with exit code 2."""
    context = command.make_context(name, words, parent=parent)
    if hasattr(command, "commands"):
        left = [*context._protected_args, *context.args]
        if left or not command.invoke_without_command:
            name, command, words = command.resolve_command(context, left)
            parsed(command, name, words, context)


def test_the_program_takes_every_command_as_it_is_written(services: dict[str, Any]) -> None:
    program = typer.main.get_command(app)
    commands = [
        [str(word) for word in service["command"]]
        for service in services.values()
        if service.get("image", "").startswith("escrow") and "command" in service
    ]
    assert len(commands) >= len(STAGES) + len(OTHERS)
    for words in commands:
        if words != ["--help"]:
            parsed(program, "escrow", words)


def test_ours_run_without_rights_on_a_file_system_that_nobody_writes(
    services: dict[str, Any],
) -> None:
    for name, service in services.items():
        if service.get("image", "").startswith("escrow"):
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_console_is_passed_on_from_this_machine_only(services: dict[str, Any]) -> None:
    (_, listens), (_, to) = (part.split(":", 1) for part in services["web-door"]["command"])
    assert to == f"127.0.0.1:{WebSettings().port}"
    assert f"127.0.0.1:{WebSettings().port}:{listens.split(',')[0]}" in services["network"]["ports"]


def test_everything_that_runs_on_is_checked_and_waits_for_tables_and_topics(
    services: dict[str, Any],
) -> None:
    for name in STAGES | OTHERS:
        assert "/livez" in services[name]["healthcheck"]["test"][-1]
        assert set(services[name]["depends_on"]) == {"migrate", "topics"}
    for name, waits_for in (("migrate", "postgres"), ("topics", "kafka")):
        assert services[name]["depends_on"] == {waits_for: {"condition": "service_healthy"}}
        assert services[waits_for]["healthcheck"]["test"]


def test_no_two_services_want_the_same_port(services: dict[str, Any]) -> None:
    ports = [services[name]["environment"]["ESCROW_METRICS_PORT"] for name in STAGES | OTHERS]
    assert len(set(ports)) == len(ports)


def test_all_share_one_loopback_and_nothing_is_published_beyond_it(
    services: dict[str, Any],
) -> None:
    for name, service in services.items():
        if name != "network":
            assert service["network_mode"] == "service:network", name
        for published in service.get("ports", []):
            assert published.startswith("127.0.0.1:")


def test_every_health_check_is_a_program_that_compiles(services: dict[str, Any]) -> None:
    for name in STAGES | OTHERS:
        _, program, option, code = services[name]["healthcheck"]["test"]
        assert (program, option) == ("python", "-c")
        compile(code, name, "exec")


def test_the_image_is_pinned_by_hash_and_does_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes -r requirements/runtime.txt" in lines
    last_stage = lines[lines.rindex("FROM ") :]
    assert re.search(r"^USER (?!root|0\b)\w+$", last_stage, re.MULTILINE)


@pytest.mark.parametrize("name", ["runtime.txt", "dev.txt"])
def test_lock_files_name_hashes_and_no_address(name: str) -> None:
    lock = (ROOT / "requirements" / name).read_text()
    assert "://" not in lock
    entries = re.findall(r"^([\w.-]+(?:\[[\w,-]+\])?==\S+)(.*(?:\n    .*)*)", lock, re.MULTILINE)
    assert len(entries) > 30
    assert [pin for pin, rest in entries if "--hash=sha256:" not in rest] == []


def test_test_packages_agree_with_the_packages_that_run() -> None:
    def pins(name: str) -> set[str]:
        lock = (ROOT / "requirements" / name).read_text()
        return set(re.findall(r"^[\w.-]+==[^\s;]+", lock, re.MULTILINE))

    assert pins("runtime.txt") <= pins("dev.txt")
