"""RULES 4.2 and the carrier's proof of 3.4: carriers move money only by proving the loss (P2)."""

from typing import Any, Final

import pytest

from escrow.decision import Applied
from tests.builders import Story, an_order, given
from tests.unit.hashes import command_id

NOT_ARRIVED: Final = {"reason": "not_arrived"}
SHIPPING: Final = (
    "shipment.dispatched",
    "shipment.delivered",
    "shipment.lost",
    "shipment.returned",
    "shipment.customs_charged",
)


@pytest.mark.parametrize("fact", SHIPPING)
@pytest.mark.parametrize(
    "past", ["not_protected", "held", "disputed", "in_mediation", "frozen", "released", "refunded"]
)
def test_shipments_are_recorded_in_every_status_and_move_nothing(past: str, fact: str) -> None:
    story = getattr(an_order(), past)()
    before = story.row
    seen = (
        given(story).when(fact).then("applied", status=before.status, held_minor=before.held_minor)
    )
    seen.sends().moves()


@pytest.mark.parametrize("first", SHIPPING[:4])
@pytest.mark.parametrize("second", SHIPPING[:4])
def test_the_last_fact_wins_but_a_dispatch_overrides_nothing(first: str, second: str) -> None:
    story = an_order().held().says(first).says(second)
    last = first if second == "shipment.dispatched" else second
    assert f"shipment.{story.order.shipments['sh-1'].state}" == last
    failed = last in ("shipment.lost", "shipment.returned")
    assert (story.row.shipments_known, story.row.shipments_failed) == (1, failed)


def test_the_cause_of_a_later_return_wins() -> None:
    story = an_order().held().says("shipment.returned").says("shipment.returned", cause="damaged")
    assert story.order.shipments["sh-1"].cause == "damaged"
    assert story.row.shipments_failed == 0


def test_customs_create_no_shipment_and_may_be_in_any_currency() -> None:
    seen = given(an_order().held()).when("shipment.customs_charged", currency="USD")
    seen.then("applied", shipments_known=0, captured_minor=1000).moves()
    assert seen.story.order.shipments == {}


@pytest.mark.parametrize("past", ["disputed", "in_mediation"])
@pytest.mark.parametrize(
    ("fact", "data"),
    [("shipment.lost", {}), ("shipment.returned", {"cause": "undeliverable"})],
)
def test_a_proven_loss_refunds_what_did_not_arrive(
    past: str, fact: str, data: dict[str, Any]
) -> None:
    story = getattr(an_order(), past)(**NOT_ARRIVED)
    seen = given(story).when(fact, id="carrier-says", **data)
    seen.then("applied", status="REFUNDED", decided_by="carrier", refunded_minor=1000)
    seen.sends(("refund", "settlement", 1000)).moves(("held", "refunds_payable", 1000, "EUR"))
    (command,) = seen.story.order.commands.values()
    assert command.command_id == command_id("o-1", "refund", 1)
    assert (command.decided_by, command.cause_id) == ("carrier", "carrier-says")


@pytest.mark.parametrize("cause", ["refused_by_buyer", "customs", "damaged"])
def test_a_return_for_another_cause_proves_nothing(cause: str) -> None:
    given(an_order().disputed(**NOT_ARRIVED)).when("shipment.returned", cause=cause).then(
        "applied", status="DISPUTED"
    )


@pytest.mark.parametrize("reason", ["not_as_described", "damaged", "other"])
def test_a_request_for_another_reason_is_not_settled_by_a_carrier(reason: str) -> None:
    given(an_order().disputed(reason=reason)).when("shipment.lost").then(
        "applied", status="DISPUTED"
    )


def test_without_a_request_a_loss_is_only_recorded() -> None:
    given(an_order().held()).when("shipment.lost").then("applied", status="HELD")


def test_every_known_shipment_must_have_failed() -> None:
    story = (
        an_order().held().says("shipment.dispatched", shipment_id="sh-2").disputed(**NOT_ARRIVED)
    )
    given(story).when("shipment.lost").then("applied", status="DISPUTED")
    given(story).when("shipment.lost", shipment_id="sh-2").then("applied", status="REFUNDED")


def test_a_delivered_one_among_lost_ones_proves_nothing() -> None:
    story = an_order().held().says("shipment.delivered", shipment_id="sh-2").disputed(**NOT_ARRIVED)
    given(story).when("shipment.lost").then("applied", status="DISPUTED")


def test_customs_are_no_shipment_that_would_have_to_fail() -> None:
    story = an_order().disputed(**NOT_ARRIVED).says("shipment.customs_charged", shipment_id="sh-2")
    given(story).when("shipment.lost").then("applied", status="REFUNDED")


def test_with_no_shipment_known_there_is_no_proof() -> None:
    given(an_order().disputed(**NOT_ARRIVED)).when("evidence.submitted").then(
        "applied", status="DISPUTED"
    )


def test_a_request_after_the_loss_settles_at_once() -> None:
    story = an_order().held().says("shipment.lost")
    seen = given(story).when("refund.requested", **NOT_ARRIVED)
    seen.then("applied", status="REFUNDED", decided_by="carrier", request_id=None)
    assert [change.escrow.status for change in seen.decided.changes] == ["DISPUTED", "REFUNDED"]
    assert [change.old for change in seen.decided.changes] == ["HELD", "DISPUTED"]


def test_a_loss_while_frozen_settles_when_the_order_thaws() -> None:
    story = an_order().disputed(**NOT_ARRIVED).frozen().says("shipment.lost")
    seen = given(story).when("payment.chargeback_closed", outcome="won", id="thaw")
    seen.then("applied", status="REFUNDED", decided_by="carrier", refunded_minor=1000)
    assert [change.escrow.status for change in seen.decided.changes] == ["DISPUTED", "REFUNDED"]
    assert next(iter(seen.story.order.commands.values())).cause_id == "thaw"


def test_a_thaw_after_a_lost_part_refunds_what_is_left() -> None:
    story = an_order().disputed(**NOT_ARRIVED).in_mediation().frozen(amount_minor=300)
    story.says("shipment.lost")
    given(story).when("payment.chargeback_closed", outcome="lost").then(
        "applied", status="REFUNDED", refunded_minor=700, charged_back_minor=300
    ).moves(("held", "charged_back", 300, "EUR"), ("held", "refunds_payable", 700, "EUR"))


def lost_before_protection() -> Story:
    return an_order().not_protected(payment_id="p-0").says("shipment.lost").held()


def test_shipments_of_before_the_protection_count() -> None:
    given(lost_before_protection()).when("refund.requested", **NOT_ARRIVED).then(
        "applied", status="REFUNDED", decided_by="carrier"
    )


def test_a_settled_order_is_not_settled_again_by_a_carrier() -> None:
    story = an_order().disputed(**NOT_ARRIVED).says("refund.offer_accepted")
    given(story).when("shipment.lost").then("applied", status="REFUNDED", decided_by="agreement")


@pytest.mark.parametrize("fact", SHIPPING[:4])
def test_what_is_said_again_is_written_once(fact: str) -> None:
    story = an_order().held().says(fact)
    seen = given(story).when(fact).then("applied")
    assert isinstance(seen.result, Applied)
    assert seen.result.children == ()
