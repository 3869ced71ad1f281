"""`escrow order`: what a person is told about an order's money is what its rows and facts say."""

from collections.abc import Callable
from typing import Any

import pytest

from consumers.engine.config import Settings
from schemas.commands import command_id
from schemas.door import Record
from tests.builders import T0
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.small_world import HELD, PARKED, RELEASED, SPLIT, a_small_world, said

DAY = 86_400_000
O = "o-1"  # noqa: E741


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(settings, monkeypatch)


@pytest.fixture
def told(database_url: str, escrow: Program) -> Callable[..., dict[str, Any]]:
    """The explanation of order `O` after these facts."""

    def explanation(*records: Record) -> dict[str, Any]:
        Filler(database_url).records(records)
        shown: dict[str, Any] = escrow.json("order", "explain", O)
        assert shown["doubts"] == []
        return shown

    return explanation


def texts(parts: list[dict[str, Any]]) -> list[str]:
    return [part["text"] for part in parts]


def test_held_money_waits_for_the_buyer(told: Callable[..., dict[str, Any]]) -> None:
    shown = told(said("payment.captured", O, 1))
    assert shown["money"] == ["10.00 EUR held in escrow, paid by b-1"]
    (why,) = shown["why"]
    assert (why["source"], why["id"], why["t"]) == ("/shop", "o-1.1", T0 + 1)
    assert why["said"] == "buyer b-1 paid 10.00 EUR by visa through escrow (payment p-o-1)"
    assert why["rule"] == "RULES 4.1, P8"
    assert texts(shown["next"])[0] == "buyer b-1 may confirm delivery: all goes to the supplier"


def test_a_dispute_names_the_offer_and_when_mediation_may_be_asked_for(
    told: Callable[..., dict[str, Any]],
) -> None:
    shown = told(
        said("payment.captured", O, 1),
        said("refund.requested", O, 2, amount_minor=400),
        said("mediation.requested", O, 3),
    )
    assert shown["status"] == "DISPUTED"
    offer, mediation = shown["next"]
    assert offer["text"].startswith("supplier s-1 may accept offer r-1 (4.00 EUR)")
    assert mediation["due_at"] == T0 + 2 + 10 * DAY
    assert mediation["rule"] == "RULES 4.4, P5"
    (ignored,) = shown["ignored"]
    assert (ignored["outcome"], ignored["code"]) == ("refused", "too_early")
    assert "eligible_at 2023-11-24T22:13:20.002Z" in ignored["reason"]


def test_after_ten_days_the_wait_is_over(told: Callable[..., dict[str, Any]]) -> None:
    later = said("evidence.submitted", O, 10 * DAY + 2)
    shown = told(said("payment.captured", O, 1), said("refund.requested", O, 2), later)
    assert shown["next"][1]["due_at"] is None
    assert shown["next"][1]["text"] == "buyer b-1 may ask for the mediator (request r-1)"


def test_an_agreement_shows_both_parts_and_their_commands(
    told: Callable[..., dict[str, Any]],
) -> None:
    payout = command_id(O, "payout", 1)
    shown = told(
        said("payment.captured", O, 1),
        said("refund.requested", O, 2, amount_minor=300),
        said("refund.offer_accepted", O, 3),
        said("gateway.failed", O, 4, command_id=payout, amount_minor=700),
    )
    assert shown["status"] == "SPLIT"
    refund = command_id(O, "refund", 1)
    assert shown["money"] == [
        f"3.00 EUR back to buyer b-1 (refund {refund[:10]}… waits to be sent)",
        f"7.00 EUR to supplier s-1 (payout {payout[:10]}… has failed for good)",
    ]
    assert shown["why"][-1]["rule"] == "RULES 4.3, P3, P4"
    assert f"escrow commands reissue {payout}" in shown["next"][1]["text"]
    states = {command["command_id"]: command["state"] for command in shown["commands"]}
    assert states == {refund: "PENDING", payout: "FAILED"}


def test_the_carriers_proof_is_told_as_such(told: Callable[..., dict[str, Any]]) -> None:
    shown = told(
        said("payment.captured", O, 1),
        said("refund.requested", O, 2, reason="not_arrived"),
        said("shipment.lost", O, 3),
    )
    assert shown["why"][-1]["said"] == "parcel sh-1 was lost"
    assert shown["why"][-1]["rule"] == "RULES 3.4, P2"


def test_a_chargeback_freezes_and_is_listed(told: Callable[..., dict[str, Any]]) -> None:
    shown = told(
        said("payment.captured", O, 1),
        said("payment.charged_back", O, 2, payment_id=f"p-{O}"),
        said("delivery.confirmed", O, 3),
    )
    assert shown["status"] == "FROZEN"
    (chargeback,) = shown["chargebacks"]
    assert (chargeback["state"], chargeback["matching"]) == ("open", True)
    assert "closes chargeback cb-1: if won, back to HELD" in shown["next"][0]["text"]
    assert shown["ignored"][0]["code"] == "frozen"


def test_money_that_was_never_eligible_went_back(told: Callable[..., dict[str, Any]]) -> None:
    shown = told(
        said("payment.captured", O, 1, method="cash"),
        said("payment.captured", O, 2, payment_id="p-2", paid_through="other"),
    )
    assert shown["status"] == "NOT_PROTECTED"
    (line,) = shown["money"]
    assert line.startswith(f"10.00 EUR of payment p-{O} sent back to buyer b-1, not eligible")
    assert shown["why"][0]["code"] == "method_not_supported"


def test_what_waits_and_until_when(told: Callable[..., dict[str, Any]]) -> None:
    shown = told(said("shipment.lost", O, 1), said("ruling.issued", O, 2))
    assert shown["status"] is None
    assert shown["money"] == ["Nothing has been paid for this order."]
    assert [part["code"] for part in shown["waiting"]] == ["awaiting_payment"] * 2
    assert shown["next"][1]["due_at"] == T0 + 1 + 30 * DAY
    assert len(shown["next"]) == 2  # a ruling waits for ever


def test_dead_letters_that_name_the_order_are_told(told: Callable[..., dict[str, Any]]) -> None:
    other = said("shipment.lost", O, 1)
    conflict = said("shipment.delivered", O, 1)  # the same id, another fact
    shown = told(said("payment.captured", O, 7), other, conflict, other)
    (letter,) = shown["ignored"]
    assert (letter["outcome"], letter["code"]) == ("dead_letter", "id_conflict")


def test_a_capture_of_a_used_payment_is_explained_like_it_was_decided(
    database_url: str, escrow: Program
) -> None:
    Filler(database_url).records(
        [
            said("payment.captured", "o-0", 1, payment_id="p"),
            said("payment.captured", O, 2, payment_id="p"),
        ]
    )
    shown = escrow.json("order", "explain", O)
    assert shown["doubts"] == []
    assert shown["ignored"][0]["code"] == "payment_reused"


def test_a_changed_row_is_doubted_aloud(database_url: str, escrow: Program) -> None:
    Filler(database_url).records(a_small_world())
    corrupt(database_url, f"UPDATE escrows SET first_requested_at = 5 WHERE order_id = '{HELD}'")
    assert "escrow audit" in escrow.json("order", "explain", HELD)["doubts"][0]
    corrupt(database_url, f"UPDATE facts SET payload = '{{}}' WHERE order_id = '{HELD}'")
    assert "cannot be decided again" in escrow.json("order", "explain", HELD)["doubts"][0]
    assert "escrow audit" in escrow("order", "explain", HELD).stdout


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("order_id", [RELEASED, SPLIT, HELD, PARKED])
def test_pages_fit_the_screen(
    database_url: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    order_id: str,
    columns: int,
) -> None:
    Filler(database_url).records(a_small_world())
    escrow = Program(settings, monkeypatch, columns)
    for command in ("show", "explain"):
        page = escrow("order", command, order_id).stdout
        assert order_id in page
        assert max(map(len, page.splitlines())) <= columns


def test_show_has_every_row(database_url: str, escrow: Program) -> None:
    Filler(database_url).records(a_small_world())
    shown = escrow.json("order", "show", SPLIT)
    assert shown["order"]["status"] == "SPLIT"
    assert [fact["type"] for fact in shown["facts"]] == [
        "payment.captured",
        "refund.requested",
        "evidence.submitted",
        "refund.offer_accepted",
    ]
    assert shown["facts"][1]["text"] == "torn"
    assert [command["kind"] for command in shown["commands"]] == ["refund", "payout"]
    assert len(shown["postings"]) == 3
    page = escrow("order", "show", SPLIT).stdout
    assert "captured 10.00 EUR · held 0.00 EUR · refunded 3.00 EUR · paid out 7.00 EUR" in page


def test_senders_cannot_drive_the_terminal(database_url: str, escrow: Program) -> None:
    evil = said("shipment.dispatched", O, 2, carrier="\u202e[red]DHL[/red]")
    Filler(database_url).records([said("payment.captured", O, 1), evil])
    corrupt(database_url, "UPDATE facts SET id = E'\\x1b[2J' WHERE decision_no = 2")
    page = escrow("order", "show", O).stdout
    assert "\x1b" not in page
    assert "\\x1b[2J" in page


def test_nobody_knows_an_unknown_order(database_url: str, escrow: Program) -> None:
    for command in ("show", "explain"):
        result = escrow("order", command, "o-nobody", code=1)
        assert result.stdout == ""
        assert "no fact of order o-nobody has come" in result.stderr


def test_a_database_that_does_not_answer_ends_in_a_sentence(
    escrow: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql+psycopg://escrow:secret@127.0.0.1:1/escrow"
    monkeypatch.setenv("ESCROW_DATABASE__URL", url)
    result = escrow("order", "show", O, code=2)
    assert "is it running" in " ".join(result.stderr.split())
    assert "secret" not in result.stderr
    monkeypatch.setenv("ESCROW_DATABASE__URL", "mysql://x")
    assert "ESCROW_DATABASE" in escrow("order", "show", O, code=2).stderr
