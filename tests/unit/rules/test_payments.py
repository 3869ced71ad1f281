"""RULES 4.1, captures: money is held once; what must not be held goes back to its own buyer."""

import pytest

from escrow.policy import CURRENT
from schemas.money import AMOUNT_MINOR_MAX
from tests.builders import T0, an_order, given
from tests.unit.hashes import command_id


def test_a_capture_through_escrow_is_held_under_the_current_policy() -> None:
    seen = given(an_order()).when("payment.captured", amount_minor=1234, currency="JPY")
    seen.then(
        "applied",
        status="HELD",
        captured_minor=1234,
        held_minor=1234,
        currency="JPY",
        buyer_id="b-1",
        supplier_id="s-1",
        payment_id="p-1",
        policy_version=CURRENT.version,
        decided_by=None,
    )
    seen.moves(("buyer_funds", "held", 1234, "JPY")).sends()


@pytest.mark.parametrize("amount_minor", [1, AMOUNT_MINOR_MAX])
def test_the_smallest_and_the_largest_amount_can_be_held(amount_minor: int) -> None:
    given(an_order()).when("payment.captured", amount_minor=amount_minor).then(
        "applied", held_minor=amount_minor
    )


def test_a_payment_outside_escrow_is_not_protected_and_nothing_is_sent_back() -> None:
    seen = given(an_order()).when("payment.captured", paid_through="other", method="cash")
    seen.then("applied", "not_paid_through_escrow", status="NOT_PROTECTED", captured_minor=0)
    seen.sends().moves()
    assert seen.story.row.policy_version is None


def test_without_the_agreement_the_payment_is_sent_back() -> None:
    seen = given(an_order()).when("payment.captured", agreement_accepted=False, method="visa")
    seen.then("applied", "agreement_not_accepted", status="NOT_PROTECTED", held_minor=0)
    seen.sends(("refund", "not_eligible", 1000)).moves(("buyer_funds", "sent_back", 1000, "EUR"))


def test_an_unsupported_method_is_sent_back() -> None:
    seen = given(an_order()).when("payment.captured", method="bank_wire")
    seen.then("applied", "method_not_supported", status="NOT_PROTECTED", refund_commands=1)
    seen.sends(("refund", "not_eligible", 1000))


@pytest.mark.parametrize("method", ["visa", "mastercard"])
def test_the_supported_methods_are_held(method: str) -> None:
    given(an_order()).when("payment.captured", method=method).then("applied", status="HELD")


def test_the_way_of_payment_is_looked_at_first_then_the_agreement_then_the_method() -> None:
    given(an_order()).when(
        "payment.captured", paid_through="other", agreement_accepted=False, method="cash"
    ).then("applied", "not_paid_through_escrow")
    given(an_order()).when("payment.captured", agreement_accepted=False, method="cash").then(
        "applied", "agreement_not_accepted"
    )


def test_a_command_that_sends_money_back_names_that_payment_and_its_buyer() -> None:
    story = an_order().not_protected(payment_id="p-0", buyer_id="b-0", supplier_id="s-0")
    seen = given(story).when(
        "payment.captured", payment_id="p-9", buyer_id="b-9", agreement_accepted=False, id="cap-9"
    )
    seen.then("applied", "agreement_not_accepted")
    (command,) = story.order.commands.values()
    assert command.command_id == command_id("o-1", "refund", 1)
    assert (command.payment_id, command.party_id) == ("p-9", "b-9")
    assert (command.cause_source, command.cause_id, command.decided_by) == ("/shop", "cap-9", None)
    assert (command.state, command.attempt, command.asked_at) == ("PENDING", 1, T0)


def test_a_buyer_who_pays_again_properly_is_protected() -> None:
    story = an_order().not_protected(payment_id="p-0", buyer_id="b-0", currency="USD")
    given(story).when("payment.captured", supplier_id="s-2", amount_minor=700).then(
        "applied",
        status="HELD",
        currency="EUR",
        buyer_id="b-1",
        supplier_id="s-2",
        payment_id="p-1",
        captured_minor=700,
    )


def test_parties_and_currency_are_those_of_the_last_capture_that_made_it_not_protected() -> None:
    story = an_order().not_protected(payment_id="p-0", buyer_id="b-0", currency="USD")
    given(story).when("payment.captured", method="cash", currency="BHD").then(
        "applied", "method_not_supported", currency="BHD", buyer_id="b-1", payment_id="p-1"
    )


@pytest.mark.parametrize("paid_through", ["escrow", "other"])
def test_a_payment_captured_before_for_this_order_is_refused(paid_through: str) -> None:
    for story in (an_order().held(), an_order().not_protected(), an_order().released()):
        given(story).when("payment.captured", paid_through=paid_through, amount_minor=5).then(
            "refused", "payment_exists"
        )


def test_a_payment_sent_back_as_a_duplicate_counts_as_captured_before() -> None:
    story = an_order().held().says("payment.captured", payment_id="p-2")
    given(story).when("payment.captured", payment_id="p-2").then("refused", "payment_exists")


@pytest.mark.parametrize("first", ["held", "not_protected"])
def test_a_payment_captured_before_for_another_order_is_refused_with_an_alarm(first: str) -> None:
    other = getattr(an_order(), first)()
    seen = given(an_order("o-2", beside=other)).when("payment.captured")
    seen.then("refused", "payment_reused", status=None, alarms=("payment_reused",))
    held = an_order("o-3", beside=other).held(payment_id="p-3")
    given(held).when("payment.captured").then(
        "refused", "payment_reused", alarms=("payment_reused",)
    )


def test_a_refused_capture_leaves_its_payment_id_free() -> None:
    other = an_order().held()
    given(other).when("payment.captured", payment_id="p-2", paid_through="other").then(
        "refused", "not_paid_through_escrow"
    )
    given(an_order("o-2", beside=other)).when("payment.captured", payment_id="p-2").then(
        "applied", status="HELD"
    )


@pytest.mark.parametrize(
    "past", ["held", "disputed", "in_mediation", "frozen", "released", "refunded", "charged_back"]
)
def test_a_second_payment_goes_back_at_once_to_its_own_buyer(past: str) -> None:
    story = getattr(an_order(), past)()
    before = story.row
    seen = given(story).when(
        "payment.captured",
        payment_id="p-2",
        buyer_id="b-2",
        supplier_id="s-2",
        amount_minor=77,
        currency="KWD",
        method="cash",
        agreement_accepted=False,
    )
    seen.then("applied", status=before.status, currency="EUR", captured_minor=1000)
    seen.sends(("refund", "duplicate_payment", 77)).moves(("buyer_funds", "sent_back", 77, "KWD"))
    command = seen.story.order.commands[command_id("o-1", "refund", before.refund_commands + 1)]
    assert (command.party_id, command.payment_id, command.currency) == ("b-2", "p-2", "KWD")
    assert seen.story.row.buyer_id == "b-1"


def test_a_second_payment_outside_escrow_is_refused() -> None:
    given(an_order().held()).when("payment.captured", payment_id="p-2", paid_through="other").then(
        "refused", "not_paid_through_escrow"
    )


def test_refunds_of_every_purpose_count_in_n_and_payouts_count_apart() -> None:
    story = an_order().not_protected(method="cash", paid_through="escrow").held(payment_id="p-2")
    story.says("payment.captured", payment_id="p-3").disputed(amount_minor=400)
    story.says("refund.offer_accepted")
    assert [(c.purpose, c.command_id) for c in story.order.commands.values()] == [
        ("not_eligible", command_id("o-1", "refund", 1)),
        ("duplicate_payment", command_id("o-1", "refund", 2)),
        ("settlement", command_id("o-1", "refund", 3)),
        ("settlement", command_id("o-1", "payout", 1)),
    ]
