"""RULES 3.3: of several reasons to refuse, the first in the order of the checks is told."""

from typing import Any, Final

import pytest

from tests.builders import SAMPLES, an_order, given

BY_PARTIES: Final = (
    "delivery.confirmed",
    "refund.requested",
    "refund.offered",
    "refund.offer_accepted",
    "refund.offer_declined",
    "refund.withdrawn",
    "mediation.requested",
)
WITH_MONEY: Final = ("refund.requested", "refund.offered")
SETTLED: Final = ("released", "refunded", "split", "ruled", "charged_back")
ALWAYS: Final = ("payment.captured", "deadline.reached", "supplier.reported")
ON_COMMANDS: Final = tuple(
    name for name in SAMPLES if name.startswith("gateway.") or name == "command.reissued"
)


def of_a_stranger(fact: str) -> dict[str, Any]:
    return {"buyer_id": "b-9"} if "buyer_id" in SAMPLES[fact] else {"party_id": "b-9"}


@pytest.mark.parametrize("fact", sorted(SAMPLES.keys() - {*ALWAYS, *ON_COMMANDS}))
def test_without_a_payment_everything_waits(fact: str) -> None:
    given(an_order()).when(
        fact, **({"buyer_id": "b-9"} if "buyer_id" in SAMPLES[fact] else {})
    ).then("parked", "awaiting_payment", status=None)


@pytest.mark.parametrize("fact", [*BY_PARTIES, "ruling.issued"])
def test_without_protection_the_parties_are_not_even_looked_at(fact: str) -> None:
    story = an_order().not_protected()
    strange = of_a_stranger(fact) if fact != "ruling.issued" else {}
    given(story).when(fact, **strange).then("refused", "not_protected", status="NOT_PROTECTED")


@pytest.mark.parametrize("past", ["held", "disputed", "in_mediation", "frozen", *SETTLED])
@pytest.mark.parametrize("fact", [*BY_PARTIES, "evidence.submitted"])
def test_a_stranger_is_refused_before_anything_else(fact: str, past: str) -> None:
    strange = of_a_stranger(fact)
    if fact in WITH_MONEY:
        strange["currency"] = "USD"
    given(getattr(an_order(), past)()).when(fact, **strange).then("refused", "wrong_party")


@pytest.mark.parametrize("fact", ["refund.offered", "refund.offer_accepted", "evidence.submitted"])
@pytest.mark.parametrize(("by", "party"), [("buyer", "s-1"), ("supplier", "b-1")])
def test_each_side_speaks_for_itself(fact: str, by: str, party: str) -> None:
    given(an_order().disputed()).when(fact, by=by, party_id=party).then("refused", "wrong_party")


def test_evidence_on_an_unprotected_order_needs_a_party_too() -> None:
    given(an_order().not_protected()).when("evidence.submitted", party_id="x").then(
        "refused", "wrong_party"
    )


def test_a_buyer_of_a_second_payment_is_no_party() -> None:
    story = an_order().held().says("payment.captured", payment_id="p-2", buyer_id="b-2")
    given(story).when("delivery.confirmed", buyer_id="b-2").then("refused", "wrong_party")


@pytest.mark.parametrize("fact", WITH_MONEY)
@pytest.mark.parametrize("past", ["held", "disputed", "in_mediation", "frozen", *SETTLED])
def test_the_currency_is_looked_at_before_the_status(fact: str, past: str) -> None:
    given(getattr(an_order(), past)()).when(fact, currency="USD", amount_minor=5000).then(
        "refused", "currency_mismatch"
    )


@pytest.mark.parametrize("past", SETTLED)
@pytest.mark.parametrize("fact", BY_PARTIES)
def test_a_settled_order_refuses_what_the_parties_say(fact: str, past: str) -> None:
    given(getattr(an_order(), past)()).when(fact).then("refused", "already_settled")


@pytest.mark.parametrize("fact", BY_PARTIES)
def test_a_frozen_order_refuses_what_the_parties_say(fact: str) -> None:
    given(an_order().disputed().frozen()).when(fact).then("refused", "frozen")
    given(an_order().frozen()).when(fact).then("refused", "frozen")


def test_a_ruling_knows_no_parties() -> None:
    given(an_order().in_mediation()).when("ruling.issued", mediator_id="b-9").then("applied")
