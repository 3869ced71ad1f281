"""The page of the webhooks says how each receiver stands and what to do first; operators have given up events sent again."""

import json
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from consumers.engine.config import Role, Settings, WebSettings
from ops.web.app import create_app
from ops.web.webhook_pages import SHOWN_MAX, judge
from ops.webhooks.run import WAITING_MAX
from ops.webhooks.standing import STALE_SECONDS, CannotRead, Standing, read_standing, told_of
from ops.webhooks.store import FILE, Delivery, Store
from tests.unit.looks import Eyes, a_sample, seen_by

PAGE_BYTES_MAX: Final = 80_000  # beside styles and script
HOSTILE: Final = "<script>alert(1)</script>"
TYPE: Final = "order.changed"


def body(order_id: str, at: str = "2026-01-31T10:00:00.000Z") -> bytes:
    return json.dumps({"type": TYPE, "timestamp": at, "data": {"order_id": order_id}}).encode()


class World:
    """A store of this test's own, and consoles that show it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, time.time()
        self.store = Store(folder)
        self.store.names([("desk", "desk.example", TYPE), ("shop", "shop.example", TYPE)])
        self.store.looked(0, self.now)

    def waits(self, endpoint: str, *ids: str) -> list[Delivery]:
        told = [(endpoint, id_, TYPE, body(f"order-{id_}")) for id_ in ids]
        self.store.take_in(told, {}, self.now)
        return [one for one in self.store.due(endpoint, self.now, 100_000) if one.id in ids]

    def fails(self, endpoint: str, *ids: str, error: str = "HTTP 503") -> None:
        for one in self.waits(endpoint, *ids):
            self.store.failed(one, error, self.now + 300, self.now)

    def given_up(self, endpoint: str, *ids: str, error: str = "HTTP 410") -> None:
        for one in self.waits(endpoint, *ids):
            self.store.failed(one, error, None, self.now)

    def client(self, role: Role = "viewer", folder: Path | None = None) -> TestClient:
        web = WebSettings(role=role, operator="olga", webhooks=folder or self.folder)
        settings = Settings(web=web)
        app = create_app(settings, Eyes(seen_by([a_sample(0)]), settings))
        return TestClient(app, base_url="http://127.0.0.1")

    def standing(self) -> Standing:
        return read_standing(self.folder, limit=9)

    def findings(self, after: float = 0) -> list[str]:
        return [f"{one.level}: {one.text}" for one in judge(self.standing(), self.now + after)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def shown(client: TestClient, path: str = "/webhooks") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    assert HOSTILE not in answer.text
    return text_of(answer.text)


def test_all_is_well_where_everything_was_taken(world: World) -> None:
    (one,) = world.waits("shop", "e-1")
    world.store.taken(one, world.now)
    text = shown(world.client())
    assert "Every receiver takes what it is told" in text
    assert "shop shop.example ok 0 0 – – 0 1 just now none" in text
    assert "0 events not read yet, as of just now" in text


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (lambda world: None, "ok"),
        (lambda world: world.waits("shop", "e-1"), "sending"),
        (lambda world: world.fails("shop", "e-1"), "failing"),
        (lambda world: world.given_up("shop", "e-1"), "failing"),
    ],
)
def test_a_receiver_is_in_the_worst_state_that_is_true_of_it(
    world: World, made: Callable[[World], object], state: str
) -> None:
    made(world)
    assert [one.state for one in world.standing().receivers] == ["ok", state]


def test_who_took_the_next_one_gave_up_only_the_old_one(world: World) -> None:
    world.given_up("shop", "e-1")
    (one,) = world.waits("shop", "e-2")
    world.store.taken(one, world.now)
    shop = world.standing().receivers[1]
    assert (shop.state, shop.dead, shop.taken, shop.failures) == ("gave up", 1, 1, 0)
    assert world.findings() == ["warn: 1 for shop was given up"]


def test_what_is_tried_again_stands_with_its_tries_answer_and_next_try(world: World) -> None:
    world.fails("shop", "e-1")
    text = shown(world.client())
    assert "shop does not take what it is told: HTTP 503" in text
    assert "nothing is lost yet" in text
    assert re.search(r"shop order-e-1 order.changed \d+ d .*? ago 1 of 10 HTTP 503 in 4 min", text)


def test_what_was_given_up_stands_with_why_and_what_it_says(world: World) -> None:
    world.given_up("desk", "e-1")
    world.given_up("shop", "e-2", error=HOSTILE)
    text = shown(world.client())
    assert "Given up 2, the newest first" in text
    assert '"order_id": "order-e-1"' in text.replace("&#34;", '"')
    assert "escrow webhooks retry --data" in text
    only = shown(world.client(), "/webhooks?endpoint=desk")
    assert "Given up 1 for desk" in only
    assert "order-e-2" not in only


def test_nobody_who_runs_them_is_said_first(world: World) -> None:
    world.given_up("shop", "e-1")
    found = world.findings(after=STALE_SECONDS + 1)
    assert found[0] == "bad: nobody has looked at the events for 31 s: nothing is told"
    assert world.findings(after=STALE_SECONDS - 1)[0].startswith("warn")


def test_a_receiver_that_left_the_file_is_told_nothing_and_that_is_said(world: World) -> None:
    world.waits("shop", "e-1")
    world.store.names([("desk", "desk.example", TYPE)])
    assert world.findings() == [
        "warn: shop is not in the file of endpoints any more, and 1 wait for it"
    ]
    world.store.names([("shop", "shop.example", TYPE)])
    assert world.findings() == []


def test_a_full_store_is_said(world: World) -> None:
    standing = world.standing()
    full = standing.receivers[0]._replace(waiting=WAITING_MAX)
    (finding,) = judge(standing._replace(receivers=(full,)), world.now)
    assert (finding.level, finding.href) == ("bad", "#receivers")


def hidden_of(client: TestClient) -> dict[str, str]:
    page = client.get("/webhooks").text
    return {
        name: found[1]
        for name in ("csrf", "once")
        if (found := re.search(f'name="{name}" value="([^"]*)"', page))
    }


def sent(client: TestClient, status: int, **fields: str | list[str]) -> str:
    hidden = {} if "csrf" in fields else hidden_of(client)
    answer = client.post("/webhooks/again", data={"reason": "mended", **hidden, **fields})
    assert answer.status_code == status, text_of(answer.text)
    return text_of(answer.text)


def test_an_operator_has_those_chosen_sent_again_and_it_is_written_down(world: World) -> None:
    world.given_up("shop", "e-1", "e-2")
    n = str(world.store.dead(9)[0].n)
    with capture_logs() as logs:
        assert "1 will be sent again" in sent(world.client("operator"), 200, n=[n])
    (line,) = [line for line in logs if line["event"] == "action"]
    assert (line["action"], line["operator"], line["reason"], line["chosen"]) == (
        "webhooks_again",
        "olga",
        "mended",
        [int(n)],
    )
    (due,) = world.store.due("shop", time.time(), 9)
    assert (str(due.n), due.attempts) == (n, 0)
    assert "0 will be sent again" in sent(world.client("operator"), 200, n=[n])


def test_all_of_one_receiver_are_sent_again_and_of_no_other(world: World) -> None:
    world.given_up("shop", "e-1", "e-2")
    world.given_up("desk", "e-1")
    assert "2 will be sent again" in sent(world.client("operator"), 200, all_of="shop")
    assert [one.endpoint for one in world.store.dead(9)] == ["desk"]


def test_who_may_not_act_is_shown_no_form_and_refused(world: World) -> None:
    world.given_up("shop", "e-1")
    for role in ("viewer", "auditor"):
        client = world.client(role)
        assert 'name="all_of"' not in client.get("/webhooks").text
        sent(client, 403, all_of="shop")
    sent(world.client("operator"), 400)
    sent(world.client("operator"), 400, n=["-1", "x", "9" * 30])
    sent(world.client("operator"), 400, all_of="shop", reason="")
    assert len(world.store.dead(9)) == 1


def test_a_console_that_knows_of_none_says_how_to_tell_it(world: World, tmp_path: Path) -> None:
    app = create_app(Settings(), Eyes(seen_by([a_sample(0)]), Settings()))
    text = shown(TestClient(app, base_url="http://127.0.0.1"))
    assert "ESCROW_WEB__WEBHOOKS" in text
    assert "escrow webhooks dead --data DIR" in text
    nowhere = world.client(folder=tmp_path / "nowhere")
    assert "no webhooks were ever run there" in shown(nowhere)


def test_a_store_that_went_away_is_not_made_anew(world: World) -> None:
    world.given_up("shop", "e-1")
    client = world.client("operator")
    form = hidden_of(client)
    (world.folder / FILE).rename(world.folder / "away")
    sent(client, 503, all_of="shop", **form)
    assert not (world.folder / FILE).exists()


def test_a_store_that_is_none_breaks_no_page(world: World, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / FILE).write_bytes(b"no database" * 100)
    assert "cannot be read" in shown(world.client(folder=tmp_path / "odd"))
    (tmp_path / "old").mkdir()
    with sqlite3.connect(tmp_path / "old" / FILE) as old:
        old.execute("CREATE TABLE meta (cluster_id TEXT)")
    old.close()
    with pytest.raises(CannotRead, match="no such table"):
        read_standing(tmp_path / "old", limit=9)


def test_looking_changes_nothing_and_waits_for_nobody(world: World) -> None:
    world.waits("shop", "e-1")
    with sqlite3.connect(world.folder / FILE, isolation_level=None) as busy:
        busy.execute("BEGIN IMMEDIATE")
        busy.execute("UPDATE deliveries SET attempts = 9")
        assert world.standing().receivers[1].retried == 0
    busy.close()


def test_a_store_full_of_long_letters_is_no_bigger_a_page(world: World) -> None:
    long = body(("o" + HOSTILE * 20)[:256])[:-1] + b"," + HOSTILE.encode() * 400
    told = [("shop", f"e-{n}", TYPE, long) for n in range(2 * SHOWN_MAX)]
    world.store.take_in(told, {}, world.now)
    for n, one in enumerate(world.store.due("shop", world.now, 999)):
        world.store.failed(one, "HTTP 410", None if n % 2 else world.now, world.now)
    answer = world.client("operator").get("/webhooks")
    assert len(answer.content) < PAGE_BYTES_MAX
    assert HOSTILE not in answer.text


@pytest.mark.parametrize("wrong", [b"", b"[]", b'{"timestamp": 5}', b'{"timestamp": "x"}', b"\xff"])
def test_a_body_that_is_none_names_no_order(wrong: bytes) -> None:
    assert told_of(wrong) == ("", None)
