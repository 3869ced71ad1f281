"""The mediator's decision is final: an order is ruled once (P6, RULES 4.5)."""

from escrow.decision import Alarm, Applied, Outcome, Parked, Refused
from escrow.settlement import settle
from escrow.state import SETTLED, Escrow, Order
from schemas.door import Fact
from schemas.mediation_rulings import RulingIssued
from schemas.reasons import ParkCode


def ruling(order: Order, fact: Fact, data: RulingIssued) -> Outcome:
    """RULES 4.5, instead of the checks 3 to 6 of RULES 3.3."""
    escrow = order.escrow
    if escrow.status in SETTLED:
        return _after_settlement(escrow, data)
    if (waits := ruling_waits(escrow)) is not None:
        return Parked(waits)
    if data.request_id != escrow.request_id:
        return Refused("no_such_request")
    available = escrow.available_minor
    refund = {"refund_full": available, "refund_partial": data.refund_minor, "release": 0}[
        data.outcome
    ]
    assert refund is not None, "the schema asks for refund_minor in a partial refund"
    if data.outcome == "refund_partial" and not 1 <= refund <= available - 1:
        return Refused("amount_out_of_range", (("available_minor", str(available)),))
    settled = settle(order, fact, refund, "ruling")
    return settled._replace(
        escrow=settled.escrow._replace(ruling_outcome=data.outcome, ruling_minor=data.refund_minor)
    )


def ruling_waits(escrow: Escrow) -> ParkCode | None:
    """What a ruling waits for in this status, if anything (topics have no mutual order)."""
    if escrow.status == "FROZEN":
        return "awaiting_chargeback"
    if escrow.status in ("HELD", "DISPUTED"):
        return "awaiting_mediation"
    return None


def _after_settlement(escrow: Escrow, data: RulingIssued) -> Applied | Refused:
    if escrow.decided_by != "ruling":
        return Refused("already_settled")
    if (escrow.ruling_outcome, escrow.ruling_minor) == (data.outcome, data.refund_minor):
        return Refused("already_ruled")
    return Refused("ruling_final", alarms=(Alarm("ruling_final"),))
