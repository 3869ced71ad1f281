"""Whoever looks at an order, or asks what if, is told the same of an archived one; without its file he is told that."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from starlette.testclient import TestClient

from consumers.engine.config import Settings
from escrow.policy import CURRENT, DAY_MS, POLICIES
from escrow.policy_text import file_of
from ops.web.app import create_app
from storage.archive_files import opened
from tests.builders import T0, a_record
from tests.integration.filled import Filler
from tests.integration.program import Program
from tests.integration.small_world import HELD, RELEASED, SPLIT
from tests.integration.test_archive import settled
from tests.unit.looks import Eyes, a_sample, seen_by

ARCHIVED: Final = (RELEASED, SPLIT)
WHO: Final = ("--operator", "anna", "--reason", "the year is over")
A_DAY_LATER_NS: Final = (T0 + 86_400_000) * 1_000_000


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A console at a clock that stands still, so that ages are equal."""
    monkeypatch.setattr("time.time_ns", lambda: A_DAY_LATER_NS)
    app = create_app(settings, Eyes(seen_by([a_sample(0)]), settings))
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """Under which nobody who paid by visa is protected."""
    path = tmp_path / "policy.json"
    path.write_text(file_of([CURRENT._replace(version=2, methods=frozenset({"ideal"}))]))
    return str(path)


def pages(client: TestClient) -> list[str]:
    asked = [f"/orders/{id_}" for id_ in ARCHIVED]
    asked += [f"/api/orders/{id_}?rows=true" for id_ in ARCHIVED]
    answers = [client.get(path) for path in asked]
    assert [answer.status_code for answer in answers] == [200] * len(asked)
    return [answer.text for answer in answers]


def packs(escrow: Program, folder: Path) -> list[Any]:
    """Of each pack: every file in it but the time at which it was made; it must prove itself."""
    found: list[Any] = []
    for order_id in ARCHIVED:
        path = folder / f"{order_id}.zip"
        escrow("order", "evidence", order_id, "-o", str(path))
        assert escrow.json("order", "evidence", "--verify", str(path))["findings"] == []
        with zipfile.ZipFile(path) as pack:
            found.append({name: pack.read(name) for name in pack.namelist()})
        found[-1]["manifest.json"] = json.loads(found[-1]["manifest.json"])["sha256"]
    return found


def test_pages_packs_and_what_if_are_those_without_an_archive(
    client: TestClient,
    settings: Settings,
    policy: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    escrow, url = Program(settings, monkeypatch), settings.database.connection_url
    later = a_record("supplier.reported", id="end", t=T0 + 90 * DAY_MS)  # time has passed
    Filler(url).records([*settled(), later])

    def told() -> list[Any]:
        what_if = escrow.json("whatif", "--policy", policy)
        assert what_if["different"] == len({*ARCHIVED, HELD})
        return [pages(client), packs(escrow, tmp_path), what_if]

    before = told()
    folder = tmp_path / "archive"
    folder.mkdir()
    run = ["archive", "run", "--into", str(folder), "--days", "30", *WHO]
    escrow(*run, "--dry-run")
    assert escrow.json(*run, "--yes")["orders"] == len(ARCHIVED)
    (listed,) = escrow.json("archive", "list")
    assert (listed["orders"], listed["folder"]) == (len(ARCHIVED), str(folder))
    assert told() == before
    assert {1: CURRENT} == POLICIES

    folder.rename(tmp_path / "elsewhere")
    opened.cache_clear()
    told_so = escrow("order", "evidence", SPLIT, "-o", str(tmp_path / "no.zip"), code=2).stderr
    assert "cannot be read" in told_so.replace("\n", "")
    assert not (tmp_path / "no.zip").exists()
    answer = client.get(f"/orders/{SPLIT}")
    assert answer.status_code == 503
    assert "cannot be read" in answer.text
    assert client.get(f"/orders/{HELD}").status_code == 200
    left = escrow.json("whatif", "--policy", policy, code=1)
    assert (left["orders"], sorted(left["unreadable"])) == (1, sorted(ARCHIVED))
    escrow("archive", "move", "--to", str(tmp_path / "elsewhere"), "--yes")
    assert told() == before
