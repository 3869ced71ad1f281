"""Suppliers as the views' topic has them: flagged ones first, and what is old or missing is said."""

import json
import re
import time
from typing import Any

import pytest
from kafka import KafkaProducer
from starlette.testclient import TestClient

from consumers.engine.config import Settings
from ops import view_reading
from ops.view_reading import STALE_SECONDS
from ops.web.app import create_app
from ops.web.kept_views import KeptViews
from tests.integration.sending import a_topic
from tests.unit.looks import Eyes, a_sample, seen_by

EVIL = "<script>alert(1)</script>"
FLOW = {
    "windows": [
        {"start": "2026-01-01T00:00:00Z", "counts": {"payment.captured": 3, "rejected": 1}},
        {"start": "2026-01-01T00:01:00Z", "counts": {"payment.captured": 7}},
    ]
}


def risk(flags: list[str], rate: int | None = None) -> dict[str, Any]:
    return {"orders_settled": 12, "refund_rate_bp": rate, "flags": flags}


class World:
    """A topic of views of this test's own, and a console that reads it."""

    def __init__(self, kafka: str, settings: Settings, patch: pytest.MonkeyPatch) -> None:
        self._kafka, self.topic = kafka, a_topic(kafka)
        patch.setattr(view_reading, "VIEWS", self.topic)
        self.settings = settings

    def write(self, key: str, view: object, age_seconds: float = 0) -> None:
        producer = KafkaProducer(bootstrap_servers=self._kafka)
        at = int((time.time() - age_seconds) * 1000)
        value = view if isinstance(view, bytes) else json.dumps(view).encode()
        producer.send(self.topic, value, key.encode(), timestamp_ms=at).get(20)
        producer.close()

    def page(self, query: str = "") -> str:
        eyes = Eyes(seen_by([a_sample(0)]), self.settings)
        client = TestClient(create_app(self.settings, eyes), base_url="http://127.0.0.1")
        answer = client.get(f"/suppliers{query}")
        assert answer.status_code == 200
        assert EVIL not in answer.text
        return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


@pytest.fixture
def world(kafka: str, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(kafka, settings, monkeypatch)


def test_flagged_ones_come_first_and_the_page_says_how_old_it_is(world: World) -> None:
    world.write("supplier_risk/quiet", risk([], 100))
    world.write("supplier_risk/bad", risk(["refund_rate", "reported"], 4_200))
    world.write(f"supplier_risk/{EVIL}", risk([], None))
    world.write("flow", FLOW)
    world.write("status", {})
    text = world.page()
    assert "1 flagged of 3" in text
    assert text.index("bad refund rate reported 12 0 42.0 %") < text.index("quiet none 12 0 1.0 %")
    assert "payment.captured 10 7" in text
    assert "stale" not in text
    assert "quiet" not in world.page("?q=ba")
    assert "None like that" in world.page("?q=nobody")


def test_old_views_are_said_to_be_stale_and_still_shown(world: World) -> None:
    world.write("supplier_risk/quiet", risk([], 100))
    world.write("status", {}, age_seconds=STALE_SECONDS + 60)
    text = world.page()
    assert "The views are stale: last written 1 min 15 s ago" in text
    assert "escrow views rebuild" in text
    assert "quiet none 12" in text


def test_views_that_were_never_written_are_said_to_be_missing(world: World) -> None:
    text = world.page()
    assert "they were never written" in text
    assert "0 flagged of 0" in text


def test_a_view_that_cannot_be_read_breaks_no_page(world: World) -> None:
    world.write("status", b"\xff")
    world.write("supplier_risk/odd", b"[1]")
    world.write("flow", b"{")
    assert "odd none 0 0" in world.page()


def test_one_reading_serves_all_viewers(world: World) -> None:
    kept = KeptViews(world.settings)
    assert kept.read() is kept.read()
