"""A deadline is always applied, and acts only if its condition still holds (RULES 4.7)."""

from escrow.decision import Applied, Outcome
from escrow.rules.refund_requests import mediation_eligible_at
from escrow.settlement import settle
from escrow.silence import Silence, silence_of
from escrow.state import Order
from schemas.deadlines import DeadlineReached
from schemas.door import Fact


def reached(order: Order, fact: Fact, data: DeadlineReached) -> Outcome:
    """`park_limit` needs nothing here: arrival expires parked facts at every fact's time."""
    escrow = order.escrow
    silence = silence_of(escrow)
    if silence is not None and silence.kind == data.kind:
        return _silence(order, fact, silence)
    available = (
        data.kind == "mediation_available"
        and escrow.status == "DISPUTED"
        and fact.t >= mediation_eligible_at(escrow)
    )
    return Applied(escrow, mediation_available=available)


def _silence(order: Order, fact: Fact, silence: Silence) -> Outcome:
    """Silence decides as the one who kept it would have: his word is taken as given."""
    escrow = order.escrow
    if fact.t < silence.due_at:
        return Applied(escrow)
    if silence.kind == "supplier_silence":
        assert escrow.offer_minor is not None
        return settle(order, fact, escrow.offer_minor, "agreement")
    parcels = order.shipments.values()
    if len(parcels) == escrow.shipments_known and all(p.state == "delivered" for p in parcels):
        return settle(order, fact, 0, "buyer")
    return Applied(escrow._replace(silent_since=None))  # till the next delivery
