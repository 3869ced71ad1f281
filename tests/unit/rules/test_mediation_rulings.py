"""RULES 4.4 and 4.5: ten days, then the mediator; the decision is final."""

from typing import Any

import pytest

from escrow.policy import DAY_MS
from tests.builders import T0, Story, an_order, given

TEN_DAYS_MS = 864_000_000


def test_mediation_can_be_asked_for_ten_days_after_the_first_request_to_the_millisecond() -> None:
    story = an_order().disputed()
    given(story).when("mediation.requested", t=T0 + TEN_DAYS_MS - 1).then(
        "refused", "too_early"
    ).tells(eligible_at="2023-11-24T22:13:20.000Z")
    given(story).when("mediation.requested", t=T0 + TEN_DAYS_MS).then(
        "applied",
        status="IN_MEDIATION",
        offer_id=None,
        offer_by=None,
        offer_minor=None,
        request_id="r-1",
    )


def test_a_new_request_does_not_start_the_ten_days_again() -> None:
    story = an_order().disputed().after(days=9).says("refund.withdrawn")
    story.says("refund.requested", request_id="r-2")
    given(story).when("mediation.requested", request_id="r-2", t=T0 + TEN_DAYS_MS).then("applied")


def test_the_checks_of_mediation_stand_in_their_order() -> None:
    given(an_order().held()).when("mediation.requested").then("refused", "no_open_request")
    given(an_order().in_mediation()).when("mediation.requested", request_id="r-9").then(
        "refused", "already_in_mediation"
    )
    given(an_order().disputed()).when("mediation.requested", request_id="r-9").then(
        "refused", "no_such_request"
    )


def test_new_offers_may_be_made_and_accepted_until_the_ruling() -> None:
    story = an_order().in_mediation()
    given(story).when("refund.offer_accepted").then("refused", "offer_not_open")
    story.says("refund.offered", amount_minor=600)
    given(story).when("refund.offer_accepted", offer_id="f-1", by="buyer", party_id="b-1").then(
        "applied", status="SPLIT", decided_by="agreement", refunded_minor=600
    )


@pytest.mark.parametrize(
    ("outcome", "refund_minor", "status", "refunded"),
    [
        ("refund_full", ..., "REFUNDED", 1000),
        ("refund_partial", 1, "SPLIT", 1),
        ("refund_partial", 999, "SPLIT", 999),
        ("release", ..., "RELEASED", 0),
    ],
)
def test_a_ruling_settles(outcome: str, refund_minor: object, status: str, refunded: int) -> None:
    given(an_order().in_mediation()).when(
        "ruling.issued", outcome=outcome, refund_minor=refund_minor
    ).then(
        "applied",
        status=status,
        decided_by="ruling",
        refunded_minor=refunded,
        paid_out_minor=1000 - refunded,
        ruling_outcome=outcome,
    )


@pytest.mark.parametrize("refund_minor", [1000, 1001])
def test_a_part_is_less_than_all(refund_minor: int) -> None:
    given(an_order().in_mediation()).when(
        "ruling.issued", outcome="refund_partial", refund_minor=refund_minor
    ).then("refused", "amount_out_of_range").tells(available_minor="1000")


def test_of_a_single_unit_there_is_no_part() -> None:
    story = an_order().held(amount_minor=1).in_mediation()
    given(story).when("ruling.issued", outcome="refund_partial", refund_minor=1).then(
        "refused", "amount_out_of_range"
    )


def test_a_ruling_names_the_open_request() -> None:
    given(an_order().in_mediation()).when(
        "ruling.issued", request_id="r-9", outcome="refund_partial", refund_minor=5000
    ).then("refused", "no_such_request")


@pytest.mark.parametrize("past", ["held", "disputed"])
def test_a_ruling_waits_for_mediation(past: str) -> None:
    given(getattr(an_order(), past)()).when("ruling.issued", request_id="r-9").then(
        "parked", "awaiting_mediation"
    )


def test_a_ruling_waits_for_the_chargeback() -> None:
    given(an_order().in_mediation().frozen()).when("ruling.issued").then(
        "parked", "awaiting_chargeback"
    )


def test_a_ruling_on_nothing_waits_for_the_payment_and_on_no_protection_is_refused() -> None:
    given(an_order()).when("ruling.issued").then("parked", "awaiting_payment")
    given(an_order().not_protected()).when("ruling.issued").then("refused", "not_protected")


def partly_lost() -> Story:
    story = an_order().in_mediation().frozen(amount_minor=300)
    return story.says("payment.chargeback_closed", outcome="lost")


def test_a_ruling_after_a_partly_lost_chargeback_disposes_of_what_is_left() -> None:
    given(partly_lost()).when("ruling.issued", outcome="refund_full").then(
        "applied", status="REFUNDED", refunded_minor=700, paid_out_minor=0
    )
    given(partly_lost()).when("ruling.issued", outcome="refund_partial", refund_minor=700).then(
        "refused", "amount_out_of_range"
    ).tells(available_minor="700")
    given(partly_lost()).when("ruling.issued", outcome="refund_partial", refund_minor=699).then(
        "applied", status="SPLIT", refunded_minor=699, paid_out_minor=1
    )


def test_the_same_ruling_again_is_refused_without_an_alarm() -> None:
    part: dict[str, Any] = {"outcome": "refund_partial", "refund_minor": 400}
    given(an_order().ruled(**part)).when(
        "ruling.issued", ruling_id="rl-2", request_id="r-9", mediator_id="m-2", **part
    ).then("refused", "already_ruled")
    given(an_order().ruled("refund_full")).when("ruling.issued", outcome="refund_full").then(
        "refused", "already_ruled"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"outcome": "release"},
        {"outcome": "refund_full"},
        {"outcome": "refund_partial", "refund_minor": 401},
    ],
)
def test_a_different_ruling_is_refused_with_an_alarm(other: dict[str, object]) -> None:
    story = an_order().ruled("refund_partial", refund_minor=400)
    given(story).when("ruling.issued", **other).then(
        "refused", "ruling_final", alarms=("ruling_final",), refunded_minor=400
    )


@pytest.mark.parametrize("past", ["released", "refunded", "split", "charged_back"])
def test_a_ruling_on_an_order_settled_otherwise_is_refused(past: str) -> None:
    given(getattr(an_order(), past)()).when("ruling.issued").then("refused", "already_settled")


def test_a_ruled_order_keeps_its_ruling_when_a_chargeback_is_lost_later() -> None:
    story = an_order().ruled("refund_full").says("payment.charged_back")
    story_after = given(story).when("payment.chargeback_closed", outcome="lost")
    story_after.then("applied", status="REFUNDED", loss_minor=1000, alarms=("double_loss",))
    given(story).when("ruling.issued", outcome="refund_full").then("refused", "already_ruled")


def test_ten_days_are_ten_times_twenty_four_hours() -> None:
    assert TEN_DAYS_MS == 10 * DAY_MS
