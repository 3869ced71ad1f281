"""A gateway's file is reconciled in the console: what is found, who may, and what cannot get in."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from consumers.engine.config import Role, Settings, WebSettings
from ops.gateway_file import COLUMNS
from ops.web import reconciling
from ops.web.app import create_app
from schemas.commands import command_id
from tests.integration.filled import Filler
from tests.integration.small_world import RELEASED, a_small_world
from tests.unit.looks import Eyes, a_sample, seen_by

LINE = f"{command_id(RELEASED, 'payout', 1)},{RELEASED},payout,s-1,1000,EUR,settled,1,2023-11-14T22:13:25Z"
EXTRA = "x" * 32 + ",o-nobody,refund,b-1,700,EUR,settled,1,2023-11-14T22:13:25Z"
HEAD = ",".join(COLUMNS)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


class Desk:
    def __init__(self, settings: Settings, role: Role, folder: Path | None = None) -> None:
        web = WebSettings(role=role, operator="olga", gateway_files=folder)
        settings = settings.model_copy(update={"web": web})
        app = create_app(settings, Eyes(seen_by([a_sample(0)]), settings))
        self.client = TestClient(app, base_url="http://127.0.0.1")

    def send(self, content: str | None = None, status: int = 200, **fields: str) -> str:
        page = self.client.get("/reconciliation").text
        csrf = re.search(r'name="csrf" value="([^"]*)"', page)
        data = {"csrf": csrf[1] if csrf else ""} | fields
        files = None if content is None else {"file": ("day.csv", content.encode())}
        answer = self.client.post("/reconciliation", data=data, files=files)
        assert answer.status_code == status, text_of(answer.text)
        return text_of(answer.text)


@pytest.fixture
def world(database_url: str) -> None:
    Filler(database_url).records(a_small_world())


@pytest.fixture
def auditor(world: None, settings: Settings, tmp_path: Path) -> Desk:
    return Desk(settings, "auditor", tmp_path)


def test_a_file_that_agrees_is_said_to(auditor: Desk) -> None:
    with capture_logs() as logs:
        text = auditor.send(f"{HEAD}\n{LINE}\n")
    assert "All agree day.csv : 1 lines, 3 commands." in text
    assert "matched 1" in text
    (line,) = [line for line in logs if line["event"] == "action"]
    assert (line["action"], line["operator"], line["clean"]) == ("reconcile", "olga", True)


def test_each_kind_of_difference_is_shown_and_leads_to_its_order(auditor: Desk) -> None:
    wrong = LINE.replace(",1000,", ",999,")
    text = auditor.send(f"{HEAD}\n{wrong}\n{EXTRA}\n")
    assert "2 differences" in text
    assert "amount 999, ordered was 1000" in text
    assert "refund of 700 EUR to b-1 is settled in the file, and was never ordered" in text
    assert "payout of 1000 EUR is SETTLED, and not in the file" in auditor.send(f"{HEAD}\n")


def test_a_period_is_asked_for(auditor: Desk) -> None:
    text = auditor.send(f"{HEAD}\n", since="2024-01-01T00:00:00Z")
    assert "All agree" in text
    auditor.send(f"{HEAD}\n", status=400, until="yesterday")


def test_only_a_file_of_the_folder_can_be_named(auditor: Desk, tmp_path: Path) -> None:
    (tmp_path / "day.csv").write_text(f"{HEAD}\n{LINE}\n")
    (tmp_path / "notes.txt").write_text(f"{HEAD}\n{LINE}\n")
    outside = tmp_path.parent / f"{tmp_path.name}-outside.csv"
    outside.write_text(f"{HEAD}\n{LINE}\n")
    (tmp_path / "link.csv").symlink_to(outside)
    page = auditor.client.get("/reconciliation").text
    assert re.findall(r'<option value="([^"]+)"', page) == ["day.csv"]
    assert "All agree" in auditor.send(name="day.csv")
    for name in ("", "notes.txt", "link.csv", f"../{outside.name}", str(outside), "day.csv\0"):
        auditor.send(status=400, name=name)


@pytest.mark.parametrize("content", ["", "what,is,this\n", "{", f"{HEAD}\n{LINE},more\n"])
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_guessed(
    auditor: Desk, content: str
) -> None:
    assert "The file cannot be read" in auditor.send(content, status=400)


def test_a_viewer_may_not_and_is_told_the_command(world: None, settings: Settings) -> None:
    viewer = Desk(settings, "viewer")
    assert "escrow reconcile FILE" in text_of(viewer.client.get("/reconciliation").text)
    viewer.send(f"{HEAD}\n", status=403)


def test_an_auditor_acts_on_nothing(auditor: Desk) -> None:
    for path in ("/dead-letters/forecast", "/dead-letters/replay", "/mediation/o/issue"):
        assert auditor.client.post(path).status_code == 403, path


def test_one_file_at_a_time(auditor: Desk) -> None:
    with reconciling._one_at_a_time:
        auditor.send(f"{HEAD}\n", status=503)
    auditor.send(f"{HEAD}\n{LINE}\n")
