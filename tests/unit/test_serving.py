"""Each process tells where it is and how it does; nobody but who asks pays for it."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

import pytest

from consumers.engine import serving
from consumers.engine.config import Settings, load_settings
from consumers.engine.health import TURN_SECONDS_MAX, WORK_SECONDS_MAX, Health
from consumers.engine.serving import served

ANOTHER: Final = """
from consumers.engine.config import load_settings
from consumers.engine.serving import served
settings = load_settings()
with served(settings, 'payments'):
    print(len(list(settings.metrics_targets.iterdir())))
"""


def get(port: int | None, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def own_health(monkeypatch: pytest.MonkeyPatch) -> Health:
    fresh = Health()
    monkeypatch.setattr(serving, "HEALTH", fresh)
    monkeypatch.setattr(serving, "_PROBES", {"/livez": fresh.live, "/readyz": fresh.ready})
    return fresh


def test_metrics_and_probes_are_served_while_it_lasts(own_health: Health) -> None:
    with served(load_settings(metrics_port=0), "payments") as port:
        status, text = get(port, "/metrics")
        assert status == 200
        assert "# HELP escrow_facts_total " in text
        assert 'escrow_turn_age_seconds{program="payments"}' in text
        assert get(port, "/livez")[0] == 200
        assert get(port, "/readyz") == (503, "not ok: nothing has answered yet\n")
        own_health.turned(worked=True)
        assert get(port, "/readyz")[0] == 200
        assert get(port, "/") == (404, "/metrics /livez /readyz\n")
    with pytest.raises(urllib.error.URLError):
        get(port, "/livez")


def test_without_a_port_nothing_is_served() -> None:
    with served(Settings(), "payments") as port:
        assert port is None


def test_two_processes_of_one_stage_do_not_clash(tmp_path: Path) -> None:
    settings = load_settings(metrics_port=0, metrics_targets=tmp_path / "targets")
    with served(settings, "payments") as port:
        (file,) = (tmp_path / "targets").iterdir()
        assert json.loads(file.read_text()) == [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"program": "payments"}}
        ]
        other = subprocess.run(
            [
                sys.executable,
                "-c",
                ANOTHER,
            ],
            env={
                **os.environ,
                "ESCROW_METRICS_PORT": "0",
                "ESCROW_METRICS_TARGETS": str(tmp_path / "targets"),
            },
            check=True,
            capture_output=True,
            text=True,
        )
        assert other.stdout == "2\n"
        assert list((tmp_path / "targets").iterdir()) == [file]
    assert list((tmp_path / "targets").iterdir()) == []


def test_who_was_killed_is_forgotten_by_the_next_to_come(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / f"payments-{gone.pid}.json"
    left.write_text("[]")
    mine = tmp_path / "hand-made.json"
    mine.write_text("[]")
    with served(load_settings(metrics_port=0, metrics_targets=tmp_path), "relay"):
        assert not left.exists()
        assert mine.exists()
        assert (tmp_path / f"relay-{os.getpid()}.json").exists()


def test_a_port_that_is_taken_is_an_error() -> None:
    with served(load_settings(metrics_port=0), "a") as port, pytest.raises(OSError, match="in use"):  # noqa: SIM117
        with served(load_settings(metrics_port=port), "b"):
            pass


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


def test_who_turns_lives_and_who_gets_answers_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    one = Health()
    assert (one.live().good, one.ready().good) == (True, False)
    one.turned(worked=True)
    clock.now += WORK_SECONDS_MAX
    assert (one.live().good, one.ready().good) == (True, True)
    clock.now += 1
    one.turned()
    assert (one.live().good, one.ready().good) == (True, False)
    assert one.ready().text == "what it needs answered 31 s ago"
    clock.now += TURN_SECONDS_MAX + 1
    assert one.live() == (False, "the last turn was 121 s ago")


def test_an_answer_that_is_an_error_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    one = Health()
    one.answered({}, RuntimeError("no"))
    assert one.work_age_seconds == float("inf")
    one.answered({}, object())
    clock.now += 2
    assert one.work_age_seconds == 2
