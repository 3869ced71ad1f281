"""RULES 4.9, the two switches: whose silence decides, from when on, and what ends it. Both are off by default."""

from collections.abc import Iterator
from typing import Any

import pytest

from escrow.policy import CURRENT, DAY_MS, instead
from escrow.silence import Silence, silence_of
from tests.builders import T0, Story, a_record, an_order, given, rejects, sample

CONFIRM, SILENCE = 14 * DAY_MS, 5 * DAY_MS
SWITCHED = CURRENT._replace(auto_confirm_after_ms=CONFIRM, supplier_silence_ms=SILENCE)
BUYER: dict[str, Any] = {"by": "buyer", "party_id": "b-1"}


@pytest.fixture
def switched() -> Iterator[None]:
    with instead((SWITCHED,)):
        yield


def ticked(story: Story, kind: str, t: int) -> Any:
    return given(story).when("deadline.reached", kind=kind, t=t)


@pytest.mark.parametrize("kind", ["auto_confirm", "supplier_silence"])
def test_by_default_there_are_no_such_deadlines(kind: str) -> None:
    rejects(a_record("deadline.reached", sample("deadline.reached", kind=kind)), "invalid_data")
    story = an_order().held().says("shipment.delivered")
    assert story.row.silent_since is None
    assert story.disputed().row.silent_since is None


@pytest.mark.usefixtures("switched")
class TestTheBuyersSilence:
    def test_confirms_what_was_delivered(self) -> None:
        story = an_order().held().after(days=2).says("shipment.delivered")
        assert silence_of(story.row) == Silence("auto_confirm", T0 + 2 * DAY_MS + CONFIRM)
        due_at = T0 + 2 * DAY_MS + CONFIRM
        ticked(story, "auto_confirm", due_at - 1).then("applied", status="HELD")
        ticked(story, "auto_confirm", due_at).then(
            "applied", status="RELEASED", decided_by="buyer", silent_since=None
        ).sends(("payout", "settlement", 1000))

    def test_says_nothing_before_a_delivery(self) -> None:
        story = an_order().held().says("shipment.dispatched")
        assert silence_of(story.row) is None
        ticked(story, "auto_confirm", T0 + 99 * DAY_MS).then("applied", status="HELD")

    @pytest.mark.parametrize("other", ["shipment.dispatched", "shipment.lost", "shipment.returned"])
    def test_does_not_confirm_while_another_parcel_is_missing(self, other: str) -> None:
        story = an_order().held().says("shipment.delivered").says(other, shipment_id="sh-2")
        ticked(story, "auto_confirm", T0 + CONFIRM).then(
            "applied", status="HELD", silent_since=None
        )
        story.after(days=30).says("shipment.delivered", shipment_id="sh-2")
        ticked(story, "auto_confirm", story.t + CONFIRM).then("applied", status="RELEASED")

    def test_counts_from_the_last_delivery(self) -> None:
        story = an_order().held().says("shipment.delivered")
        story.after(days=3).says("shipment.delivered", shipment_id="sh-2")
        ticked(story, "auto_confirm", T0 + CONFIRM).then("applied", status="HELD")
        ticked(story, "auto_confirm", story.t + CONFIRM).then("applied", status="RELEASED")

    def test_is_broken_by_a_request_and_begins_anew_when_it_is_withdrawn(self) -> None:
        story = an_order().held().says("shipment.delivered").says("refund.requested")
        ticked(story, "auto_confirm", T0 + CONFIRM).then("applied", status="DISPUTED")
        story.after(days=20).says("refund.withdrawn")
        assert silence_of(story.row) == Silence("auto_confirm", story.t + CONFIRM)

    def test_does_not_begin_with_a_withdrawal_where_nothing_was_sent(self) -> None:
        assert an_order().disputed().says("refund.withdrawn").row.silent_since is None

    def test_stands_still_while_a_chargeback_is_open(self) -> None:
        story = an_order().held().says("shipment.delivered").frozen()
        assert silence_of(story.row) is None
        ticked(story, "auto_confirm", T0 + CONFIRM).then("applied", status="FROZEN")
        story.after(days=40).says("payment.chargeback_closed")
        assert silence_of(story.row) == Silence("auto_confirm", story.t + CONFIRM)

    def test_leaves_a_settled_order_alone(self) -> None:
        story = an_order().held().says("shipment.delivered").released()
        ticked(story, "auto_confirm", T0 + CONFIRM).then("applied", status="RELEASED").sends()


@pytest.mark.usefixtures("switched")
class TestTheSuppliersSilence:
    @pytest.mark.parametrize(("amount", "status"), [(1000, "REFUNDED"), (400, "SPLIT")])
    def test_accepts_the_buyers_offer(self, amount: int, status: str) -> None:
        story = an_order().disputed(amount_minor=amount)
        assert silence_of(story.row) == Silence("supplier_silence", T0 + SILENCE)
        ticked(story, "supplier_silence", T0 + SILENCE - 1).then("applied", status="DISPUTED")
        ticked(story, "supplier_silence", T0 + SILENCE).then(
            "applied", status=status, refunded_minor=amount, decided_by="agreement"
        )

    def test_is_broken_by_an_answer(self) -> None:
        for answer in (
            {"type_name": "refund.offered", "amount_minor": 1},
            {"type_name": "refund.offer_declined"},
        ):
            story = an_order().disputed().says(**answer)
            assert silence_of(story.row) is None
            ticked(story, "supplier_silence", T0 + SILENCE).then("applied", status="DISPUTED")

    def test_begins_anew_with_each_offer_of_the_buyer(self) -> None:
        story = an_order().disputed().after(days=4)
        story.says("refund.offered", offer_id="f-2", amount_minor=500, **BUYER)
        ticked(story, "supplier_silence", T0 + SILENCE).then("applied", status="DISPUTED")
        ticked(story, "supplier_silence", story.t + SILENCE).then("applied", status="SPLIT")

    def test_stands_still_while_a_chargeback_is_open(self) -> None:
        story = an_order().disputed().frozen()
        assert silence_of(story.row) is None
        story.after(days=40).says("payment.chargeback_closed")
        assert silence_of(story.row) == Silence("supplier_silence", story.t + SILENCE)

    def test_is_no_answer_to_a_mediator(self) -> None:
        story = an_order().in_mediation()
        assert story.row.silent_since is None
        ticked(story, "supplier_silence", story.t + SILENCE).then("applied", status="IN_MEDIATION")

    def test_other_deadlines_act_as_ever(self) -> None:
        story = an_order().disputed().after(days=10)
        seen = ticked(story, "mediation_available", story.t).then("applied", status="DISPUTED")
        assert seen.result.mediation_available


def test_one_switch_alone_leaves_the_other_silence_without_meaning() -> None:
    with instead((SWITCHED._replace(supplier_silence_ms=None),)):
        assert silence_of(an_order().disputed().row) is None
        delivered = an_order().held().says("shipment.delivered").row
        assert silence_of(delivered) == Silence("auto_confirm", T0 + CONFIRM)
    with instead((SWITCHED._replace(auto_confirm_after_ms=None),)):
        assert silence_of(an_order().held().says("shipment.delivered").row) is None
        assert silence_of(an_order().disputed().row) == Silence("supplier_silence", T0 + SILENCE)


@pytest.mark.usefixtures("switched")
def test_a_clock_alone_is_no_silence() -> None:
    """Nothing is pinned; the mediator has the word. No rule leaves a clock running there."""
    held = an_order().held().says("shipment.delivered").row
    assert silence_of(held._replace(policy_version=None)) is None
    mediated = an_order().in_mediation().says("refund.offered", offer_id="f-9", **BUYER).row
    assert mediated.offer_by == "buyer"
    assert silence_of(mediated._replace(silent_since=T0)) is None


def test_an_order_pinned_before_the_switch_keeps_waiting_for_its_buyer() -> None:
    later = SWITCHED._replace(version=2, effective_at=T0 + 1)
    with instead((CURRENT, later)):
        story = an_order().held().after(days=1).says("shipment.delivered")
        assert story.row.silent_since is None
        assert an_order("o-2").after(days=1).held().says("shipment.delivered").row.silent_since
