"""RULES 4.7: which deadlines a change asks for, which it voids, and their ids."""

import pytest

from escrow.policy import DAY_MS
from escrow.schedule import Schedule, deadline_id, ends_deadlines, expires_at, opened, voided
from escrow.state import Escrow
from tests.builders import T0, Story, a_fact, an_order
from tests.unit import hashes


def change(story: Story, fact: str, **data: object) -> tuple[Escrow, Escrow]:
    before = story.row
    story.says(fact, **data)
    return before, story.row


def test_a_request_schedules_mediation_ten_days_after_the_first_one() -> None:
    assert opened(*change(an_order().held(), "refund.requested")) == Schedule(
        "o-1", "r-1", T0 + 864_000_000
    )


def test_each_new_request_schedules_its_own_at_the_first_one_s_time() -> None:
    story = an_order().disputed().after(days=3).says("refund.withdrawn")
    assert opened(*change(story, "refund.requested", request_id="r-2")) == Schedule(
        "o-1", "r-2", T0 + 864_000_000
    )


@pytest.mark.parametrize(
    ("past", "fact", "data"),
    [
        ("held", "shipment.lost", {}),
        ("disputed", "refund.offered", {}),
        ("disputed", "refund.withdrawn", {}),
        ("disputed", "payment.charged_back", {}),
        ("released", "payment.charged_back", {}),
    ],
)
def test_nothing_else_schedules(past: str, fact: str, data: dict[str, object]) -> None:
    assert opened(*change(getattr(an_order(), past)(), fact, **data)) is None


def test_a_request_that_is_settled_at_once_schedules_nothing() -> None:
    story = an_order().held().says("shipment.lost")
    assert opened(*change(story, "refund.requested", reason="not_arrived")) is None


@pytest.mark.parametrize(
    ("fact", "data"),
    [
        ("refund.withdrawn", {}),
        ("refund.offer_accepted", {}),
        ("delivery.confirmed", {"withdraws_request_id": "r-1"}),
        ("mediation.requested", {"t": T0 + 10 * DAY_MS}),
    ],
)
def test_a_closed_request_or_one_at_the_mediator_voids_its_deadline(
    fact: str, data: dict[str, object]
) -> None:
    assert voided(*change(an_order().disputed(), fact, **data)) == "r-1"


@pytest.mark.parametrize("fact", ["refund.offered", "evidence.submitted", "payment.charged_back"])
def test_an_open_request_keeps_its_deadline(fact: str) -> None:
    assert voided(*change(an_order().disputed(), fact)) is None


def test_where_no_request_was_open_nothing_is_voided() -> None:
    assert voided(*change(an_order().held(), "refund.requested")) is None


def test_a_thaw_leaves_the_deadline_as_it_was() -> None:
    story = an_order().disputed().frozen()
    assert voided(*change(story, "payment.chargeback_closed")) is None
    assert opened(*change(an_order().disputed().frozen(), "payment.chargeback_closed")) is None


def test_a_tick_ends_deadlines_unless_the_order_is_frozen_or_it_is_of_another_kind() -> None:
    tick = a_fact("deadline.reached")
    assert ends_deadlines(an_order().disputed().row, tick)
    assert ends_deadlines(an_order().held().row, tick)
    assert not ends_deadlines(an_order().disputed().frozen().row, tick)
    assert not ends_deadlines(an_order().held().row, a_fact("deadline.reached", kind="park_limit"))
    assert not ends_deadlines(an_order().held().row, a_fact("delivery.confirmed"))


def test_a_parked_fact_expires_thirty_days_after_its_own_time_and_a_ruling_never() -> None:
    story = an_order().waits("delivery.confirmed", t=T0 + 3).waits("ruling.issued")
    parked, ruling = story.order.waiting
    assert expires_at(parked) == T0 + 3 + 30 * DAY_MS
    assert expires_at(ruling) is None


@pytest.mark.parametrize(("request_id", "attempt"), [("r-1", 1), ("", 1), ("r-1", 2)])
def test_deadline_ids_are_those_of_the_rules(request_id: str, attempt: int) -> None:
    asked = ("o-1", "mediation_available", T0, request_id, attempt)
    assert deadline_id(*asked) == hashes.deadline_id(*asked)
