"""A mediator sees what each ruling would pay, and what is issued is a fact that pays just that."""

import json

import pytest

from consumers.engine import admin
from consumers.engine.config import Settings
from schemas.facts import MEDIATION_RULINGS
from tests.integration.filled import Filler
from tests.integration.program import Program
from tests.integration.sending import sent_to
from tests.integration.small_world import said

DAY = 86_400_000
O = "o-mediated"  # noqa: E741


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Program:
    admin.apply_topics(settings)
    return Program(settings, monkeypatch)


@pytest.fixture
def filler(database_url: str) -> Filler:
    filler = Filler(database_url)
    filler.records(
        [
            said("payment.captured", O, 1),
            said("refund.requested", O, 2, amount_minor=400),
            said("evidence.submitted", O, 3),
            said("payment.captured", "o-early", 4),
            said("refund.requested", "o-early", 11 * DAY, amount_minor=100),
            said("mediation.requested", O, 11 * DAY + 1),
        ]
    )
    return filler


def test_the_queue_has_those_who_wait_for_a_ruling_first(escrow: Program, filler: Filler) -> None:
    first, second = escrow.json("ruling", "list")
    assert (first["order_id"], first["status"], first["evidence_buyer"]) == (O, "IN_MEDIATION", 1)
    assert (second["order_id"], second["status"]) == ("o-early", "DISPUTED")
    page = escrow("ruling", "list").stdout
    assert "waits for a ruling" in page
    assert "in 9 d" in page


def test_each_ruling_says_what_it_would_pay(escrow: Program, filler: Filler) -> None:
    found = {one["outcome"]: one for one in escrow.json("ruling", "preview", O)}
    paid = {name: (one["to_buyer_minor"], one["to_supplier_minor"]) for name, one in found.items()}
    assert paid == {"refund_full": (1000, 0), "refund_partial": (500, 500), "release": (0, 1000)}
    assert found["refund_partial"]["status"] == "SPLIT"
    assert "not in mediation" in escrow("ruling", "preview", "o-early", code=1).stderr


def test_an_issued_ruling_pays_what_was_shown(
    escrow: Program, filler: Filler, settings: Settings
) -> None:
    issue = ("ruling", "issue", O, "--outcome", "refund_partial", "--mediator", "m-1")
    assert "refund_minor belongs to" in escrow(*issue, "--yes", code=1).stderr
    assert "amount_out_of_range" in escrow(*issue, "--refund", "1000", "--yes", code=1).stderr
    kafka = settings.kafka.bootstrap_servers
    before = sent_to(kafka, [MEDIATION_RULINGS])
    escrow(*issue, "--refund", "300", "--dry-run")
    assert sent_to(kafka, [MEDIATION_RULINGS]) == before
    escrow(*issue, "--refund", "300", "--rationale", "half was torn", "--yes")
    (ruling,) = [sent for sent in sent_to(kafka, [MEDIATION_RULINGS]) if sent not in before]
    assert json.loads(ruling.value or b"")["rationale"] == "half was torn"
    filler.records([ruling])
    shown = escrow.json("order", "show", O)
    assert shown["order"]["status"] == "SPLIT"
    assert {c["kind"]: c["amount_minor"] for c in shown["commands"]} == {
        "refund": 300,
        "payout": 700,
    }
