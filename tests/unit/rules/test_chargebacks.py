"""RULES 4.1, chargebacks: never argued with; each fact about one is booked once."""

from typing import Any, Final

import pytest

from tests.builders import Story, an_order, given

MISMATCHES: Final = (
    ({"currency": "USD"}, ("chargeback_mismatch",)),
    ({"amount_minor": 1001}, ("chargeback_mismatch",)),
    ({"amount_minor": 1000}, ()),
    ({"amount_minor": 1}, ()),
)


def closed(story: Story, outcome: str, chargeback_id: str = "cb-1") -> Story:
    return story.says("payment.chargeback_closed", chargeback_id=chargeback_id, outcome=outcome)


@pytest.mark.parametrize("past", ["held", "disputed", "in_mediation"])
def test_a_matching_chargeback_freezes_an_open_order_and_remembers_its_status(past: str) -> None:
    story = getattr(an_order(), past)()
    remembered = story.row.status
    given(story).when("payment.charged_back").then(
        "applied", status="FROZEN", frozen_from=remembered, held_minor=1000, chargebacks_open=1
    ).moves().sends()


def test_another_matching_chargeback_is_recorded_while_frozen() -> None:
    given(an_order().disputed().frozen()).when("payment.charged_back", chargeback_id="cb-2").then(
        "applied", status="FROZEN", frozen_from="DISPUTED", chargebacks_open=2
    )


@pytest.mark.parametrize(("data", "alarms"), MISMATCHES)
def test_amount_or_currency_that_does_not_fit_raises_an_alarm_besides(
    data: dict[str, object], alarms: tuple[str, ...]
) -> None:
    given(an_order().held()).when("payment.charged_back", **data).then(
        "applied", status="FROZEN", alarms=alarms
    )


@pytest.mark.parametrize("past", ["released", "refunded", "split", "charged_back"])
def test_a_matching_chargeback_after_settlement_is_recorded_with_an_alarm(past: str) -> None:
    story = getattr(an_order(), past)()
    before = story.row
    given(story).when("payment.charged_back", chargeback_id="cb-2").then(
        "applied",
        status=before.status,
        supplier_debt_minor=0,
        loss_minor=0,
        alarms=("chargeback_after_settlement",),
    ).moves()


def test_after_settlement_a_mismatch_is_told_first() -> None:
    given(an_order().released()).when("payment.charged_back", amount_minor=1001).then(
        "applied",
        alarms=(
            "chargeback_mismatch",
            "chargeback_after_settlement",
        ),
    )


@pytest.mark.parametrize("past", ["held", "disputed", "frozen", "released"])
def test_a_chargeback_of_another_payment_is_recorded_with_an_alarm(past: str) -> None:
    story = getattr(an_order(), past)()
    before = story.row
    given(story).when("payment.charged_back", chargeback_id="cb-9", payment_id="p-9").then(
        "applied",
        status=before.status,
        chargebacks_open=before.chargebacks_open,
        alarms=("chargeback_unmatched",),
    )


def test_no_chargeback_matches_an_order_that_is_not_protected() -> None:
    story = an_order().not_protected()
    given(story).when("payment.charged_back").then(
        "applied", status="NOT_PROTECTED", alarms=("chargeback_unmatched",)
    )
    # and it stays unmatched when that order is held later: whether it matches is decided once
    story.held(payment_id="p-2")
    given(story).when("payment.chargeback_closed", outcome="lost").then(
        "applied", status="HELD", loss_minor=0, alarms=("chargeback_unmatched_lost",)
    )


@pytest.mark.parametrize("past", ["held", "not_protected", "released"])
def test_a_chargeback_recorded_before_is_refused(past: str) -> None:
    story = getattr(an_order(), past)().says("payment.charged_back")
    given(story).when("payment.charged_back", payment_id="p-9", amount_minor=5).then(
        "refused", "chargeback_exists"
    )
    given(closed(story, "won")).when("payment.charged_back").then("refused", "chargeback_exists")


@pytest.mark.parametrize("past", ["held", "not_protected", "frozen", "released"])
def test_a_close_of_an_unknown_chargeback_is_refused(past: str) -> None:
    given(getattr(an_order(), past)()).when(
        "payment.chargeback_closed", chargeback_id="cb-9", outcome="lost"
    ).then("refused", "no_such_chargeback")


@pytest.mark.parametrize("first", ["won", "lost"])
@pytest.mark.parametrize("second", ["won", "lost"])
@pytest.mark.parametrize(
    ("past", "data"),
    [
        ("held", {}),
        ("held", {"amount_minor": 1}),
        ("held", {"payment_id": "p-9"}),
        ("not_protected", {}),
        ("released", {}),
        ("released", {"currency": "USD"}),
        ("refunded", {"payment_id": "p-9"}),
    ],
)
def test_a_chargeback_is_closed_once(
    past: str, data: dict[str, Any], first: str, second: str
) -> None:
    story = closed(getattr(an_order(), past)().says("payment.charged_back", **data), first)
    given(story).when("payment.chargeback_closed", outcome=second).then(
        "refused", "chargeback_is_closed"
    )


@pytest.mark.parametrize("past", ["held", "disputed", "in_mediation"])
def test_a_won_chargeback_gives_the_remembered_status_back(past: str) -> None:
    story = getattr(an_order(), past)()
    before = story.row
    given(story.frozen()).when("payment.chargeback_closed", outcome="won").then(
        "applied",
        status=before.status,
        frozen_from=None,
        held_minor=1000,
        request_id=before.request_id,
        offer_id=before.offer_id,
    ).moves()


def test_the_order_stays_frozen_while_another_matching_chargeback_is_open() -> None:
    story = an_order().frozen().says("payment.charged_back", chargeback_id="cb-2")
    given(story).when("payment.chargeback_closed", outcome="won").then("applied", status="FROZEN")
    given(story).when("payment.chargeback_closed", chargeback_id="cb-2", outcome="won").then(
        "applied", status="HELD"
    )


def test_an_unmatched_open_chargeback_does_not_keep_an_order_frozen() -> None:
    story = an_order().frozen()
    story.says("payment.charged_back", chargeback_id="cb-9", payment_id="p-9")
    given(story).when("payment.chargeback_closed", outcome="won").then("applied", status="HELD")


def test_a_lost_chargeback_of_all_that_is_held_ends_the_order_without_a_command() -> None:
    given(an_order().disputed().frozen()).when("payment.chargeback_closed", outcome="lost").then(
        "applied",
        status="CHARGED_BACK",
        decided_by="card_network",
        held_minor=0,
        charged_back_minor=1000,
        request_id=None,
        frozen_from=None,
    ).moves(("held", "charged_back", 1000, "EUR")).sends()


def test_a_lost_chargeback_of_a_part_leaves_the_rest_held() -> None:
    given(an_order().frozen(amount_minor=300)).when(
        "payment.chargeback_closed", outcome="lost"
    ).then("applied", status="HELD", held_minor=700, charged_back_minor=300, loss_minor=0).moves(
        ("held", "charged_back", 300, "EUR")
    )


def test_what_a_lost_chargeback_exceeds_held_by_is_our_loss() -> None:
    given(an_order().frozen(amount_minor=1300)).when(
        "payment.chargeback_closed", outcome="lost"
    ).then(
        "applied",
        status="CHARGED_BACK",
        charged_back_minor=1000,
        loss_minor=300,
        alarms=("chargeback_over_held",),
    ).moves(("held", "charged_back", 1000, "EUR"), ("platform_loss", "card_network", 300, "EUR"))


def test_two_lost_chargebacks_take_no_more_than_was_held() -> None:
    story = an_order().frozen(amount_minor=600)
    story.says("payment.charged_back", chargeback_id="cb-2", amount_minor=600)
    given(story).when("payment.chargeback_closed", outcome="lost").then(
        "applied", status="FROZEN", held_minor=400
    )
    given(story).when("payment.chargeback_closed", chargeback_id="cb-2", outcome="lost").then(
        "applied",
        status="CHARGED_BACK",
        charged_back_minor=1000,
        loss_minor=200,
        alarms=("chargeback_over_held",),
    )


@pytest.mark.parametrize("amount_minor", [1, 5000])
def test_a_lost_chargeback_in_another_currency_takes_all_and_adds_no_loss(
    amount_minor: int,
) -> None:
    given(an_order().frozen(amount_minor=amount_minor, currency="USD")).when(
        "payment.chargeback_closed", outcome="lost"
    ).then("applied", status="CHARGED_BACK", charged_back_minor=1000, loss_minor=0).moves(
        ("held", "charged_back", 1000, "EUR")
    )
