"""RULES 4.3: confirmation, requests, offers, evidence. The checks stand in the order written."""

from typing import Final

import pytest

from escrow.decision import Applied
from escrow.state import Offer
from tests.builders import SHA, T0, Story, an_order, given
from tests.unit.hashes import command_id

BUYER: Final = {"by": "buyer", "party_id": "b-1"}
SUPPLIER: Final = {"by": "supplier", "party_id": "s-1"}


def test_only_the_buyers_word_releases_all_to_the_supplier() -> None:
    seen = given(an_order().held()).when("delivery.confirmed", id="yes", t=T0 + 5)
    seen.then("applied", status="RELEASED", decided_by="buyer", paid_out_minor=1000, held_minor=0)
    seen.sends(("payout", "settlement", 1000)).moves(("held", "supplier_payable", 1000, "EUR"))
    (command,) = seen.story.order.commands.values()
    assert command.command_id == command_id("o-1", "payout", 1)
    assert (command.party_id, command.payment_id, command.decided_by) == ("s-1", "p-1", "buyer")
    assert (command.cause_source, command.cause_id) == ("/shop", "yes")
    assert (command.attempt, command.asked_at) == (1, T0 + 5)


def test_with_no_request_open_it_does_not_matter_what_is_withdrawn() -> None:
    given(an_order().held()).when("delivery.confirmed", withdraws_request_id="r-9").then(
        "applied", status="RELEASED"
    )


@pytest.mark.parametrize("past", ["disputed", "in_mediation"])
def test_an_open_request_must_be_withdrawn_by_name(past: str) -> None:
    for withdrawn in (..., None, "r-9"):
        given(getattr(an_order(), past)()).when(
            "delivery.confirmed", withdraws_request_id=withdrawn
        ).then("refused", "request_open")
    given(getattr(an_order(), past)()).when("delivery.confirmed", withdraws_request_id="r-1").then(
        "applied", status="RELEASED", decided_by="buyer", request_id=None, offer_id=None
    )


def test_a_request_opens_the_dispute_and_is_itself_the_open_offer() -> None:
    seen = given(an_order().held()).when("refund.requested", amount_minor=400, t=T0 + 9)
    seen.then(
        "applied",
        status="DISPUTED",
        request_id="r-1",
        request_reason="other",
        offer_id="r-1",
        offer_by="buyer",
        offer_minor=400,
        first_requested_at=T0 + 9,
        held_minor=1000,
    ).sends().moves()
    assert isinstance(seen.result, Applied)
    assert seen.result.children == (Offer("r-1", "r-1", "buyer", 400, T0 + 9),)


@pytest.mark.parametrize("past", ["disputed", "in_mediation"])
def test_one_request_at_a_time(past: str) -> None:
    given(getattr(an_order(), past)()).when("refund.requested", request_id="r-2").then(
        "refused", "request_open"
    )


def test_a_request_id_is_used_once_as_request_or_offer() -> None:
    story = an_order().disputed().says("refund.offered", offer_id="f-1")
    given(story).when("refund.requested", request_id="r-1").then("refused", "request_exists")
    given(story).when("refund.requested", request_id="f-1").then("refused", "request_exists")
    story.says("refund.withdrawn")
    for used in ("r-1", "f-1"):
        given(story).when("refund.requested", request_id=used, amount_minor=9999).then(
            "refused", "request_exists"
        )


def test_the_id_of_a_refused_request_is_not_used() -> None:
    story = an_order().held()
    given(story).when("refund.requested", amount_minor=1001).then("refused", "amount_out_of_range")
    given(story).when("refund.requested").then("applied")


@pytest.mark.parametrize("amount_minor", [1, 999, 1000])
def test_a_request_may_ask_for_up_to_all_that_is_available(amount_minor: int) -> None:
    given(an_order().held()).when("refund.requested", amount_minor=amount_minor).then("applied")


@pytest.mark.parametrize("reason", ["not_arrived", "not_as_described", "damaged", "other"])
def test_no_request_may_ask_for_more(reason: str) -> None:
    given(an_order().held()).when("refund.requested", amount_minor=1001, reason=reason).then(
        "refused", "amount_out_of_range"
    ).tells(available_minor="1000")


def test_what_did_not_arrive_is_asked_back_in_full() -> None:
    given(an_order().held()).when("refund.requested", reason="not_arrived", amount_minor=999).then(
        "refused", "full_refund_only"
    ).tells(available_minor="1000")
    given(an_order().held()).when("refund.requested", reason="not_arrived").then("applied")


def test_the_ten_days_count_from_the_first_request_ever() -> None:
    story = an_order().disputed().after(days=4).says("refund.withdrawn")
    given(story).when("refund.requested", request_id="r-2").then(
        "applied", first_requested_at=T0, status="DISPUTED"
    )


@pytest.mark.parametrize("past", ["disputed", "in_mediation"])
@pytest.mark.parametrize("by", [BUYER, SUPPLIER])
def test_a_new_offer_of_either_side_replaces_the_open_one(past: str, by: dict[str, str]) -> None:
    story = getattr(an_order(), past)()
    given(story).when("refund.offered", amount_minor=250, **by).then(
        "applied", offer_id="f-1", offer_by=by["by"], offer_minor=250, status=story.row.status
    )
    given(story).when("refund.offered", offer_id="f-2", amount_minor=260, **by).then(
        "applied", offer_id="f-2", offer_minor=260
    )


def test_an_offer_needs_an_open_request_of_that_name() -> None:
    given(an_order().held()).when("refund.offered").then("refused", "no_open_request")
    story = an_order().disputed()
    given(story).when("refund.offered", request_id="r-9").then("refused", "no_such_request")
    story.says("refund.withdrawn").says("refund.requested", request_id="r-2")
    given(story).when("refund.offered", request_id="r-1").then("refused", "no_such_request")


def test_an_offer_id_is_used_once_as_offer_or_request() -> None:
    story = an_order().disputed().says("refund.offered")
    for used in ("f-1", "r-1"):
        given(story).when("refund.offered", offer_id=used).then("refused", "offer_exists")


def test_an_offer_may_be_up_to_all_that_is_available() -> None:
    story = an_order().disputed(amount_minor=10)
    given(story).when("refund.offered", amount_minor=1001).then(
        "refused", "amount_out_of_range"
    ).tells(available_minor="1000")
    given(story).when("refund.offered", amount_minor=1000).then("applied", offer_minor=1000)


def test_the_checks_of_an_offer_stand_in_their_order() -> None:
    story = an_order().disputed().says("refund.offered")
    for request, offer, code in (
        ("r-9", "f-1", "no_such_request"),
        ("r-1", "f-1", "offer_exists"),
        ("r-1", "f-2", "amount_out_of_range"),
    ):
        given(story).when(
            "refund.offered", request_id=request, offer_id=offer, amount_minor=5000
        ).then("refused", code)


def test_the_checks_of_a_request_stand_in_their_order() -> None:
    story = an_order().disputed()
    asked = {"amount_minor": 5000, "reason": "not_arrived"}
    given(story).when("refund.requested", request_id="r-1", **asked).then(
        "refused", "request_exists"
    )
    given(story).when("refund.requested", request_id="r-2", **asked).then("refused", "request_open")
    story.says("refund.withdrawn")
    given(story).when("refund.requested", request_id="r-2", **asked).then(
        "refused", "amount_out_of_range"
    )


def test_the_accepted_request_settles_with_its_amount() -> None:
    seen = given(an_order().disputed(amount_minor=300)).when("refund.offer_accepted")
    seen.then(
        "applied",
        status="SPLIT",
        decided_by="agreement",
        refunded_minor=300,
        paid_out_minor=700,
        held_minor=0,
        request_id=None,
        offer_id=None,
    )
    seen.sends(("refund", "settlement", 300), ("payout", "settlement", 700))
    seen.moves(("held", "refunds_payable", 300, "EUR"), ("held", "supplier_payable", 700, "EUR"))
    refund, payout = seen.story.order.commands.values()
    assert refund.command_id == command_id("o-1", "refund", 1)
    assert payout.command_id == command_id("o-1", "payout", 1)
    assert (refund.party_id, payout.party_id) == ("b-1", "s-1")


@pytest.mark.parametrize(
    ("amount_minor", "status"), [(1, "SPLIT"), (999, "SPLIT"), (1000, "REFUNDED")]
)
def test_an_agreement_on_all_is_a_refund_and_on_less_a_split(
    amount_minor: int, status: str
) -> None:
    story = an_order().disputed().says("refund.offered", amount_minor=amount_minor)
    given(story).when("refund.offer_accepted", offer_id="f-1", **BUYER).then(
        "applied", status=status, refunded_minor=amount_minor
    )


@pytest.mark.parametrize("answer", ["refund.offer_accepted", "refund.offer_declined"])
def test_an_answer_needs_the_open_offer_of_the_other_side(answer: str) -> None:
    given(an_order().held()).when(answer).then("refused", "no_open_request")
    story = an_order().disputed()
    given(story).when(answer, offer_id="f-9").then("refused", "offer_not_open")
    given(story).when(answer, **BUYER).then("refused", "own_offer")
    given(story).when(answer, offer_id="f-9", **BUYER).then("refused", "offer_not_open")
    story.says("refund.offered")
    given(story).when(answer, offer_id="r-1").then("refused", "offer_not_open")
    given(story).when(answer, offer_id="f-1", **SUPPLIER).then("refused", "own_offer")


def test_a_declined_offer_is_gone_and_the_request_stays_open() -> None:
    story = an_order().disputed()
    given(story).when("refund.offer_declined").then(
        "applied",
        status="DISPUTED",
        offer_id=None,
        offer_by=None,
        offer_minor=None,
        request_id="r-1",
    )
    for answer in ("refund.offer_accepted", "refund.offer_declined"):
        given(story).when(answer).then("refused", "offer_not_open")
    given(story).when("refund.offered").then("applied", offer_id="f-1")


@pytest.mark.parametrize("past", ["disputed", "in_mediation"])
def test_a_withdrawn_request_leaves_the_money_held(past: str) -> None:
    given(getattr(an_order(), past)()).when("refund.withdrawn").then(
        "applied",
        status="HELD",
        held_minor=1000,
        request_id=None,
        request_reason=None,
        offer_id=None,
        first_requested_at=T0,
    )


def test_a_withdrawal_names_the_open_request() -> None:
    given(an_order().held()).when("refund.withdrawn").then("refused", "no_open_request")
    given(an_order().disputed()).when("refund.withdrawn", request_id="r-9").then(
        "refused", "no_such_request"
    )


@pytest.mark.parametrize("past", ["held", "disputed", "in_mediation", "frozen", "not_protected"])
def test_evidence_of_either_side_is_recorded(past: str) -> None:
    story = getattr(an_order(), past)()
    before = story.row.status
    given(story).when("evidence.submitted").then("applied", status=before)
    given(story).when("evidence.submitted", evidence_id="e-2", **SUPPLIER).then("applied")


def test_evidence_counts_once_by_id_and_by_side_and_digest() -> None:
    story = an_order().held().says("evidence.submitted")
    given(story).when("evidence.submitted", sha256="b" * 64).then("refused", "evidence_exists")
    given(story).when("evidence.submitted", evidence_id="e-2").then("refused", "evidence_exists")
    given(story).when("evidence.submitted", evidence_id="e-2", sha256="b" * 64).then("applied")


def late(story: Story) -> list[bool]:
    seen = given(story).when("evidence.submitted").then("applied")
    return [child.late for child in seen.result.children]  # type: ignore[union-attr]


@pytest.mark.parametrize("past", ["released", "refunded", "split", "ruled", "charged_back"])
def test_evidence_after_the_settlement_is_late(past: str) -> None:
    assert late(getattr(an_order(), past)()) == [True]


@pytest.mark.parametrize("past", ["held", "disputed", "frozen", "not_protected"])
def test_evidence_before_the_settlement_is_not_late(past: str) -> None:
    assert late(getattr(an_order(), past)()) == [False]


def test_evidence_of_before_the_protection_stays_used() -> None:
    story = an_order().not_protected(payment_id="p-0").says("evidence.submitted")
    story.held()
    given(story).when("evidence.submitted", evidence_id="e-2", sha256=SHA).then(
        "refused", "evidence_exists"
    )
