"""Every (status, type) cell: what a well-formed fact of each type meets in each status.

The table is literal and was written from RULES 3.3 and 4, not from the code. In a cell: a status
is what the fact leads to, `-` is applied with the status as it was, a code is refused or parked.
"""

from typing import Any, Final, get_args

import pytest

from escrow.policy import CURRENT, instead
from escrow.transitions import BY_SILENCE, STATUSES, TRANSITIONS, allowed
from schemas.facts import FACT_TYPES
from schemas.reasons import ParkCode
from tests.builders import Seen, Story, an_order, given

PASTS: Final = (
    "unknown",
    "not_protected",
    "held",
    "disputed",
    "in_mediation",
    "frozen",  # from DISPUTED
    "released",
    "refunded",
    "split",
    "charged_back",
)
W = "awaiting_payment"
C = "awaiting_command"
N = "not_protected"
S = "already_settled"
F = "frozen"
B = "no_such_chargeback"
O = "no_open_request"  # noqa: E741
TABLE: Final[dict[str, tuple[str, ...]]] = {
    "payment.captured": ("HELD", "HELD", "-", "-", "-", "-", "-", "-", "-", "-"),
    "payment.charged_back": (W, "-", "FROZEN", "FROZEN", "FROZEN", "-", "-", "-", "-", "-"),
    "payment.chargeback_closed": (W, B, B, B, B, "DISPUTED", B, B, B, "chargeback_is_closed"),
    "shipment.dispatched": (W, "-", "-", "-", "-", "-", "-", "-", "-", "-"),
    "shipment.delivered": (W, "-", "-", "-", "-", "-", "-", "-", "-", "-"),
    "shipment.lost": (W, "-", "-", "REFUNDED", "REFUNDED", "-", "-", "-", "-", "-"),
    "shipment.returned": (W, "-", "-", "REFUNDED", "REFUNDED", "-", "-", "-", "-", "-"),
    "shipment.customs_charged": (W, "-", "-", "-", "-", "-", "-", "-", "-", "-"),
    "delivery.confirmed": (W, N, "RELEASED", "request_open", "request_open", F, S, S, S, S),
    "refund.requested": (W, N, "DISPUTED", "request_open", "request_open", F, S, S, S, S),
    "refund.offered": (W, N, O, "-", "-", F, S, S, S, S),
    "refund.offer_accepted": (W, N, O, "REFUNDED", "offer_not_open", F, S, S, S, S),
    "refund.offer_declined": (W, N, O, "-", "offer_not_open", F, S, S, S, S),
    "refund.withdrawn": (W, N, O, "HELD", "HELD", F, S, S, S, S),
    "evidence.submitted": (W, "-", "-", "-", "-", "-", "-", "-", "-", "-"),
    "mediation.requested": (W, N, O, "too_early", "already_in_mediation", F, S, S, S, S),
    "ruling.issued": (
        W,
        N,
        "awaiting_mediation",
        "awaiting_mediation",
        "RELEASED",
        "awaiting_chargeback",
        S,
        S,
        S,
        S,
    ),
    "gateway.accepted": (C, C, C, C, C, C, "-", "-", "-", C),
    "gateway.settled": (C, C, C, C, C, C, "-", "-", "-", C),
    "gateway.failed": (C, C, C, C, C, C, "-", "-", "-", C),
    "gateway.returned": (C, C, C, C, C, C, "-", "-", "-", C),
    "command.reissued": (
        C,
        C,
        C,
        C,
        C,
        C,
        "command_not_final",
        "command_not_final",
        "command_not_final",
        C,
    ),
    "deadline.reached": ("-", "-", "-", "-", "-", "-", "-", "-", "-", "-"),
    "supplier.reported": ("-", "-", "-", "-", "-", "-", "-", "-", "-", "-"),
}
CELLS: Final = [(past, name) for name in TABLE for past in PASTS]


def order_of(past: str) -> Story:
    if past == "unknown":
        return an_order()
    if past == "frozen":
        return an_order().disputed(reason="not_arrived").frozen()
    reason = {"reason": "not_arrived"} if past in ("disputed", "in_mediation") else {}
    story: Story = getattr(an_order(), past)(**reason)
    return story


def met(story: Story, name: str, **data: Any) -> Seen:
    """A fact of the type with ids of its own where the type creates something."""
    known = story.order.commands if story.order_id in story.replay.orders else {}
    if name == "payment.captured":
        data = {"payment_id": "p-2", **data}
    if name == "payment.charged_back":
        data = {"chargeback_id": "cb-2", **data}
    if name == "refund.requested":
        data = {"request_id": "r-2" if story.row.request_id else "r-1", **data}
    if name.startswith(("gateway.", "command.")) and known:
        command = next(iter(known.values()))
        data = {"command_id": command.command_id, **data}
        if name.startswith("gateway."):
            data = {"amount_minor": command.amount_minor, **data}
    return given(story).when(name, **data)


def test_the_table_is_whole() -> None:
    assert TABLE.keys() == FACT_TYPES.keys()
    assert {len(row) for row in TABLE.values()} == {len(PASTS)}
    assert [order_of(past).row.status for past in PASTS] == list(STATUSES)


@pytest.mark.parametrize(("past", "name"), CELLS)
def test_each_type_in_each_status(past: str, name: str) -> None:
    expected = TABLE[name][PASTS.index(past)]
    story = order_of(past)
    before = story.row
    seen = met(story, name).sound()
    if expected == "-" or expected.isupper():
        assert (seen.outcome, seen.code) == ("applied", None)
        after = before.status if expected == "-" else expected
    else:
        outcome = "parked" if expected in get_args(ParkCode) else "refused"
        assert (seen.outcome, seen.code) == (outcome, expected)
        after = before.status
    assert story.row.status == after
    assert allowed(before.status, name, story.row.status)


# each change of status that TRANSITIONS allows, by a fact that makes it
WAYS: Final[tuple[tuple[str, str, dict[str, Any], str], ...]] = (
    ("unknown", "payment.captured", {}, "HELD"),
    ("unknown", "payment.captured", {"method": "cash"}, "NOT_PROTECTED"),
    ("not_protected", "payment.captured", {}, "HELD"),
    ("held", "payment.charged_back", {}, "FROZEN"),
    ("disputed", "payment.charged_back", {}, "FROZEN"),
    ("in_mediation", "payment.charged_back", {}, "FROZEN"),
    ("frozen_held", "payment.chargeback_closed", {}, "HELD"),
    ("frozen", "payment.chargeback_closed", {}, "DISPUTED"),
    ("frozen_in_mediation", "payment.chargeback_closed", {}, "IN_MEDIATION"),
    ("frozen_lost", "payment.chargeback_closed", {}, "REFUNDED"),
    ("frozen", "payment.chargeback_closed", {"outcome": "lost"}, "CHARGED_BACK"),
    ("held", "delivery.confirmed", {}, "RELEASED"),
    ("disputed", "delivery.confirmed", {"withdraws_request_id": "r-1"}, "RELEASED"),
    ("in_mediation", "delivery.confirmed", {"withdraws_request_id": "r-1"}, "RELEASED"),
    ("held", "refund.requested", {}, "DISPUTED"),
    ("held_lost", "refund.requested", {"reason": "not_arrived"}, "REFUNDED"),
    ("disputed", "refund.offer_accepted", {}, "REFUNDED"),
    ("offered", "refund.offer_accepted", {"offer_id": "f-1"}, "SPLIT"),
    ("offered_in_mediation", "refund.offer_accepted", {"offer_id": "f-1"}, "SPLIT"),
    ("offered_all_in_mediation", "refund.offer_accepted", {"offer_id": "f-1"}, "REFUNDED"),
    ("disputed", "refund.withdrawn", {}, "HELD"),
    ("in_mediation", "refund.withdrawn", {}, "HELD"),
    ("ten_days", "mediation.requested", {}, "IN_MEDIATION"),
    ("in_mediation", "ruling.issued", {"outcome": "release"}, "RELEASED"),
    ("in_mediation", "ruling.issued", {"outcome": "refund_full"}, "REFUNDED"),
    ("in_mediation", "ruling.issued", {"outcome": "refund_partial", "refund_minor": 1}, "SPLIT"),
    ("disputed", "shipment.lost", {}, "REFUNDED"),
    ("in_mediation", "shipment.lost", {}, "REFUNDED"),
    ("disputed", "shipment.returned", {}, "REFUNDED"),
    ("in_mediation", "shipment.returned", {}, "REFUNDED"),
    ("delivered", "deadline.reached", {"kind": "auto_confirm"}, "RELEASED"),
    ("silent", "deadline.reached", {"kind": "supplier_silence"}, "REFUNDED"),
    ("silent_to_a_part", "deadline.reached", {"kind": "supplier_silence"}, "SPLIT"),
)
# both switches on, and already after a millisecond: for the ways that only silence opens
IMPATIENT: Final = CURRENT._replace(auto_confirm_after_ms=1, supplier_silence_ms=1)


def special(past: str) -> Story:
    by_buyer = {"by": "buyer", "party_id": "b-1"}
    match past:
        case "frozen_held":
            return an_order().frozen()
        case "frozen_in_mediation":
            return an_order().in_mediation().frozen()
        case "frozen_lost":
            return order_of("frozen").says("shipment.lost")
        case "held_lost":
            return an_order().held().says("shipment.lost")
        case "offered":
            return an_order().disputed().says("refund.offered", amount_minor=1, **by_buyer)
        case "offered_in_mediation":
            return an_order().in_mediation().says("refund.offered", amount_minor=1, **by_buyer)
        case "offered_all_in_mediation":
            return an_order().in_mediation().says("refund.offered", **by_buyer)
        case "delivered":
            return an_order().held().says("shipment.delivered").after(ms=1)
        case "silent":
            return an_order().disputed().after(ms=1)
        case "silent_to_a_part":
            return an_order().disputed(amount_minor=1).after(ms=1)
        case "ten_days":
            return an_order().disputed().after(days=10)
    return order_of(past)


@pytest.mark.parametrize(("past", "name", "data", "status"), WAYS)
def test_each_change_of_status(past: str, name: str, data: dict[str, Any], status: str) -> None:
    with instead((IMPATIENT if name == "deadline.reached" else CURRENT,)):
        story = special(past)
        met(story, name, **data)
    assert story.row.status == status


def test_no_transition_is_allowed_that_no_fact_makes() -> None:
    made = {(special(past).row.status, name, status) for past, name, _, status in WAYS}
    known = TRANSITIONS | BY_SILENCE
    assert made == {(old, name, new) for (old, name), ends in known.items() for new in ends}
