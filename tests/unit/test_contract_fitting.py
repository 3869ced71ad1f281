"""A golden example fits the order that it is sent for: where the order allows the type, it is applied."""

from typing import Any, Final

import pytest

from ops.contract.fitting import fitted
from schemas.facts import FACT_TYPES
from tests.builders import Story, an_order, given, sample


def an_odd_order() -> Story:
    """Nothing in it is as in the examples."""
    return an_order("o-7").held(
        payment_id="p-7", buyer_id="b-7", supplier_id="s-7", amount_minor=50
    )


def disputed() -> Story:
    return an_odd_order().says(
        "refund.requested", request_id="r-7", buyer_id="b-7", amount_minor=50
    )


def in_mediation() -> Story:
    story = disputed().after(days=10)
    return story.says("mediation.requested", request_id="r-7", buyer_id="b-7")


def released() -> Story:
    return an_odd_order().says("delivery.confirmed", buyer_id="b-7")


def failed() -> Story:
    story = released()
    return story.says("gateway.failed", command_id=story.command_id(), amount_minor=50)


def frozen() -> Story:
    return an_odd_order().says(
        "payment.charged_back", chargeback_id="cb-7", payment_id="p-7", amount_minor=50
    )


FITS: Final[dict[str, Any]] = {
    "payment.captured": lambda: an_order("o-7"),
    "payment.charged_back": an_odd_order,
    "payment.chargeback_closed": frozen,
    "shipment.dispatched": an_odd_order,
    "shipment.delivered": an_odd_order,
    "shipment.lost": an_odd_order,
    "shipment.returned": an_odd_order,
    "shipment.customs_charged": an_odd_order,
    "delivery.confirmed": an_odd_order,
    "refund.requested": an_odd_order,
    "refund.offered": disputed,
    "refund.offer_accepted": disputed,
    "refund.offer_declined": disputed,
    "refund.withdrawn": disputed,
    "evidence.submitted": released,
    "mediation.requested": lambda: disputed().after(days=10),
    "ruling.issued": in_mediation,
    "gateway.accepted": released,
    "gateway.settled": released,
    "gateway.failed": released,
    "gateway.returned": released,
    "command.reissued": failed,
    "deadline.reached": an_odd_order,
}


@pytest.mark.parametrize("name", FITS)
def test_it_is_applied_where_the_order_allows_its_type(name: str) -> None:
    story = FITS[name]()
    order = story.replay.orders.get("o-7")
    seen = given(story).when(name, **fitted(name, "o-7", order)).sound()
    assert (seen.outcome, seen.code) == ("applied", None)


def test_every_type_has_a_fit() -> None:
    assert FITS.keys() | {"supplier.reported"} == FACT_TYPES.keys()


def test_what_is_new_is_new_each_time() -> None:
    story = an_odd_order()
    for _ in range(2):
        data = fitted("evidence.submitted", "o-7", story.order)
        given(story).when("evidence.submitted", **data).then("applied")


def test_an_offer_is_answered_by_the_other_side() -> None:
    story = disputed().says(
        "refund.offered", request_id="r-7", offer_id="f-7", party_id="s-7", amount_minor=20
    )
    data = fitted("refund.offer_accepted", "o-7", story.order)
    assert (data["by"], data["party_id"], data["offer_id"]) == ("buyer", "b-7", "f-7")


def test_of_an_unknown_order_only_its_id_is_said() -> None:
    data = fitted("delivery.confirmed", "o-8", None)
    assert data == sample("delivery.confirmed", "o-8", buyer_id="anna")
