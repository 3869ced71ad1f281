"""Assertions stay on: a row that no rule can have written stops the stage before anything is decided."""

import pytest

from escrow.arrival import arrive
from escrow.decide import decide
from escrow.decision import Refused
from escrow.policy import CURRENT, instead
from escrow.rules.mediation_rulings import ruling
from escrow.rules.refund_requests import accepted, mediation_eligible_at
from escrow.schedule import opened
from escrow.settlement import settle
from escrow.state import Order
from escrow.telling import tell
from schemas.mediation_rulings import RulingIssued
from schemas.refund_requests import RefundOfferAccepted
from tests.builders import Story, a_fact, an_order, given


def spoilt(story: Story, **row: object) -> Order:
    """The order as a hand in the database, or a bug, could have left it."""
    story.order.escrow = story.row._replace(**row)  # type: ignore[arg-type]
    return story.order


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"held_minor": 999}, "does not add up"),
        ({"captured_minor": 1001}, "does not add up"),
        ({"refunded_minor": 1}, "does not add up"),
        ({"paid_out_minor": 1}, "does not add up"),
        ({"charged_back_minor": 1}, "does not add up"),
        ({"held_minor": -1, "refunded_minor": 1001}, "held below zero"),
        ({"status": "RELEASED"}, "settled, yet held"),
        ({"status": "SPLIT", "held_minor": 1, "refunded_minor": 999}, "settled, yet held"),
    ],
)
def test_nothing_is_decided_on_books_that_do_not_add_up(row: dict[str, object], said: str) -> None:
    order = spoilt(an_order().held(), **row)
    with pytest.raises(AssertionError, match=said):
        decide(order, a_fact("shipment.customs_charged"))


def test_a_status_leads_only_where_the_matrix_says() -> None:
    order = spoilt(an_order().frozen(), frozen_from=None)
    with pytest.raises(AssertionError, match="FROZEN -> None"):
        arrive(order, a_fact("payment.chargeback_closed", id="closed"))


@pytest.mark.parametrize(
    "row",
    [
        {"held_minor": 999},
        {"held_minor": 1001},
        {"captured_minor": 0, "held_minor": 0},
        {"captured_minor": -1, "held_minor": -1},
        {"payment_id": None},
    ],
)
def test_only_money_that_is_held_is_settled(row: dict[str, object]) -> None:
    order = spoilt(an_order().held(), **row)
    with pytest.raises(AssertionError):
        settle(order, a_fact("delivery.confirmed"), 0, "buyer")


def test_the_smallest_amount_is_settled_too() -> None:
    seen = given(an_order().held(amount_minor=1)).when("delivery.confirmed")
    seen.then("applied", status="RELEASED", paid_out_minor=1).sends(("payout", "settlement", 1))


def test_an_open_offer_has_an_amount() -> None:
    order = spoilt(an_order().disputed(), offer_minor=None)
    fact = a_fact("refund.offer_accepted")
    assert isinstance(fact.data, RefundOfferAccepted)
    with pytest.raises(AssertionError):
        accepted(order, fact, fact.data)


def test_what_silence_accepts_has_an_amount() -> None:
    with instead((CURRENT._replace(supplier_silence_ms=1),)):
        story = an_order().disputed()
        order = spoilt(story, offer_minor=None)
        with pytest.raises(AssertionError):
            decide(order, a_fact("deadline.reached", kind="supplier_silence", t=story.t + 1))


def test_silence_confirms_nothing_while_a_parcel_is_not_before_us() -> None:
    with instead((CURRENT._replace(auto_confirm_after_ms=1),)):
        story = an_order().held().says("shipment.delivered")
        spoilt(story, shipments_known=2)
        given(story).when("deadline.reached", kind="auto_confirm", t=story.t + 1).then(
            "applied", status="HELD"
        )


def test_a_ruling_on_a_part_names_it() -> None:
    fact = a_fact("ruling.issued", outcome="refund_partial", refund_minor=1)
    assert isinstance(fact.data, RulingIssued)
    with pytest.raises(AssertionError, match="asks for refund_minor"):
        ruling(
            an_order().in_mediation().order,
            fact,
            fact.data.model_copy(update={"refund_minor": None}),
        )


def test_a_ruling_on_a_part_of_nothing_is_refused_by_the_rule_too() -> None:
    fact = a_fact("ruling.issued", outcome="refund_partial", refund_minor=1)
    assert isinstance(fact.data, RulingIssued)
    nothing = fact.data.model_copy(update={"refund_minor": 0})
    outcome = ruling(an_order().in_mediation().order, fact, nothing)
    assert outcome == Refused("amount_out_of_range", (("available_minor", "1000"),))


def test_a_dispute_has_a_request_and_a_first_one() -> None:
    dispute = an_order().disputed().row
    with pytest.raises(AssertionError):
        mediation_eligible_at(dispute._replace(first_requested_at=None))
    with pytest.raises(AssertionError):
        mediation_eligible_at(dispute._replace(policy_version=None))
    with pytest.raises(AssertionError):
        opened(dispute, dispute._replace(request_id=None))


@pytest.mark.parametrize("row", [{"request_id": None}, {"first_requested_at": None}])
def test_mediation_is_announced_of_a_request_alone(row: dict[str, object]) -> None:
    seen = given(an_order().disputed().after(days=10)).when("deadline.reached").then("applied")
    spoilt_row = spoilt(seen.story, **row).escrow
    with pytest.raises(AssertionError):
        list(tell(seen.decided._replace(escrow=spoilt_row)))
