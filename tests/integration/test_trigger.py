"""`escrow trigger` sends what fits the order as it stands, under no identity but a new one."""

import json

import pytest

from consumers.engine import admin
from consumers.engine.config import Settings
from escrow.policy import DAY_MS
from schemas.door import Fact, decode
from schemas.facts import REFUND_REQUESTS
from tests.builders import T0
from tests.integration.filled import Filler
from tests.integration.program import Program
from tests.integration.sending import ends, sent_to
from tests.integration.small_world import HELD, said


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Program:
    admin.apply_topics(settings)
    return Program(settings, monkeypatch)


def test_the_example_is_sent_for_the_order_as_it_stands(
    escrow: Program, kafka: str, database_url: str
) -> None:
    held = said("payment.captured", HELD, 1, buyer_id="b-9", currency="JPY")
    Filler(database_url).records([held])
    since = ends(kafka, [REFUND_REQUESTS])
    words = ("trigger", "refund.requested", "--order", HELD, "--days", "3")
    changed = ("--set", "reason=damaged", "--set", "amount_minor=7", "--set", "note=null")
    assert "--yes" in escrow(*words, code=2).stderr
    said_back = escrow(*words, *changed, "--yes")
    (record,) = sent_to(kafka, [REFUND_REQUESTS], since)
    assert f"-> {REFUND_REQUESTS}/{record.partition}/{record.offset}" in said_back.stdout
    fact = decode(record)
    assert isinstance(fact, Fact)
    data = json.loads(fact.payload)
    assert (data["buyer_id"], data["currency"], data["amount_minor"]) == ("b-9", "JPY", 7)
    assert data["reason"] == "damaged"
    assert fact.text is None
    assert fact.t == T0 + 1 + 3 * DAY_MS


def test_printed_it_is_a_line_for_the_dry_run_and_nothing_is_sent(
    escrow: Program, kafka: str
) -> None:
    since = ends(kafka, [REFUND_REQUESTS])
    shown = escrow("trigger", "delivery.confirmed", "--order", "o-new", "--print").stdout
    line = json.loads(shown)
    assert (line["topic"], line["key"]) == (REFUND_REQUESTS, "o-new")
    assert line["value"] == {"order_id": "o-new", "buyer_id": "anna"}
    assert sent_to(kafka, [REFUND_REQUESTS], since) == []


def test_without_a_database_it_is_printed_as_it_is(
    escrow: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCROW_DATABASE__URL", "postgresql+psycopg://escrow@127.0.0.1:1/escrow")
    words = ("trigger", "delivery.confirmed", "--order", "o-new")
    assert json.loads(escrow(*words, "--print").stdout)["key"] == "o-new"
    escrow(*words, "--yes", code=2)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["no.such", "--order", "o-1"], 2),
        (["refund.issue", "--order", "o-1"], 2),
        (["delivery.confirmed", "--order", "o 1", "--print"], 1),
        (["delivery.confirmed", "--order", "o-1", "--set", "buyer_id", "--print"], 2),
        (["refund.requested", "--order", "o-1", "--set", "note=4111 1111 1111 1111", "--yes"], 1),
    ],
)
def test_what_is_no_fact_is_not_sent(escrow: Program, words: list[str], code: int) -> None:
    escrow("trigger", *words, code=code)


def test_outside_local_stacks_no_example_is_sent(
    escrow: Program, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = settings.model_copy(update={"profile": "production"})
    monkeypatch.setattr("ops.cli.terminal.settings", lambda: real)
    escrow("trigger", "delivery.confirmed", "--order", "o-1", "--yes", code=2)
