"""RULES 4.1, chargebacks lost after the settlement, or only in part: who bears them."""

import pytest

from tests.builders import Story, an_order, given


def closed(story: Story, outcome: str, chargeback_id: str = "cb-1") -> Story:
    return story.says("payment.chargeback_closed", chargeback_id=chargeback_id, outcome=outcome)


def lost_after(story: Story, amount_minor: int, chargeback_id: str = "cb-9") -> Story:
    story.says("payment.charged_back", chargeback_id=chargeback_id, amount_minor=amount_minor)
    return closed(story, "lost", chargeback_id)


def test_lost_after_a_release_the_supplier_owes_at_most_what_was_paid_out() -> None:
    story = an_order().released().says("payment.charged_back", amount_minor=1200)
    given(story).when("payment.chargeback_closed", outcome="lost").then(
        "applied", status="RELEASED", supplier_debt_minor=1000, loss_minor=200, paid_out_minor=1000
    ).moves(
        ("supplier_receivable", "card_network", 1000, "EUR"),
        ("platform_loss", "card_network", 200, "EUR"),
    )


def test_earlier_debts_leave_less_to_owe() -> None:
    story = lost_after(an_order().released(), 600)
    assert (story.row.supplier_debt_minor, story.row.loss_minor) == (600, 0)
    lost_after(story, 600, "cb-10")
    assert (story.row.supplier_debt_minor, story.row.loss_minor) == (1000, 200)
    lost_after(story, 600, "cb-11")
    assert (story.row.supplier_debt_minor, story.row.loss_minor) == (1000, 800)


def test_lost_after_a_refund_the_money_left_twice() -> None:
    story = an_order().refunded().says("payment.charged_back")
    given(story).when("payment.chargeback_closed", outcome="lost").then(
        "applied",
        status="REFUNDED",
        supplier_debt_minor=0,
        loss_minor=1000,
        alarms=("double_loss",),
    ).moves(("platform_loss", "card_network", 1000, "EUR"))


def test_lost_after_a_split_both_bear_it() -> None:
    story = an_order().split(300).says("payment.charged_back", amount_minor=800)
    given(story).when("payment.chargeback_closed", outcome="lost").then(
        "applied",
        status="SPLIT",
        supplier_debt_minor=700,
        loss_minor=100,
        refunded_minor=300,
        alarms=("double_loss",),
    )


def test_losses_may_pass_every_limit_of_an_amount() -> None:
    story = an_order().refunded()
    for n in range(3):
        lost_after(story, 2**53 - 1, f"cb-{n}")
    assert story.row.loss_minor == 3 * (2**53 - 1)


def test_one_that_matched_while_frozen_closes_by_the_rule_of_settled_orders() -> None:
    story = an_order().frozen().says("payment.charged_back", chargeback_id="cb-2", amount_minor=50)
    closed(story, "lost")
    given(story).when("payment.chargeback_closed", chargeback_id="cb-2", outcome="lost").then(
        "applied", status="CHARGED_BACK", charged_back_minor=1000, loss_minor=50
    )


def test_lost_after_settlement_in_another_currency_counts_as_not_matching() -> None:
    story = an_order().released().says("payment.charged_back", currency="USD", amount_minor=70)
    given(story).when("payment.chargeback_closed", outcome="lost").then(
        "applied", supplier_debt_minor=0, loss_minor=0, alarms=("chargeback_unmatched_lost",)
    ).moves(("platform_loss", "card_network", 70, "USD"))


@pytest.mark.parametrize("past", ["held", "frozen", "not_protected", "refunded"])
def test_an_unmatched_one_that_is_lost_is_the_platforms_loss_in_its_own_currency(past: str) -> None:
    story = getattr(an_order(), past)()
    before = story.row
    story.says(
        "payment.charged_back",
        chargeback_id="cb-9",
        payment_id="p-9",
        currency="TND",
        amount_minor=9,
    )
    given(story).when("payment.chargeback_closed", chargeback_id="cb-9", outcome="lost").then(
        "applied",
        status=before.status,
        loss_minor=0,
        supplier_debt_minor=0,
        alarms=("chargeback_unmatched_lost",),
    ).moves(("platform_loss", "card_network", 9, "TND"))


@pytest.mark.parametrize("past", ["held", "frozen", "not_protected", "released"])
def test_won_in_all_other_cases_is_recorded(past: str) -> None:
    story = getattr(an_order(), past)()
    before = story.row
    payment_id = "p-1" if past == "released" else "p-9"
    story.says("payment.charged_back", chargeback_id="cb-9", payment_id=payment_id)
    given(story).when("payment.chargeback_closed", chargeback_id="cb-9", outcome="won").then(
        "applied", status=before.status
    ).moves().sends()


def test_an_agreement_of_before_a_lost_chargeback_settles_with_what_is_left() -> None:
    story = an_order().disputed(amount_minor=900).frozen(amount_minor=300)
    closed(story, "lost")
    given(story).when("refund.offer_accepted").then(
        "applied", status="REFUNDED", refunded_minor=700, paid_out_minor=0, charged_back_minor=300
    ).sends(("refund", "settlement", 700))


def test_all_of_what_is_left_and_no_more_can_be_asked_for_after_a_lost_part() -> None:
    story = closed(an_order().frozen(amount_minor=300), "lost")
    given(story).when("refund.requested", amount_minor=701).then(
        "refused", "amount_out_of_range"
    ).tells(available_minor="700")
    given(story).when("refund.requested", reason="not_arrived", amount_minor=700).then("applied")


def test_a_release_after_a_lost_part_pays_out_what_is_left() -> None:
    story = closed(an_order().frozen(amount_minor=300), "lost")
    given(story).when("delivery.confirmed").then(
        "applied", status="RELEASED", paid_out_minor=700
    ).sends(("payout", "settlement", 700)).moves(("held", "supplier_payable", 700, "EUR"))
