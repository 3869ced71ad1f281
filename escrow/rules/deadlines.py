"""A deadline is always applied, and acts only if its condition still holds (RULES 4.7)."""

from escrow.decision import Applied, Outcome
from escrow.rules.refund_requests import mediation_eligible_at
from escrow.state import Order
from schemas.deadlines import DeadlineReached
from schemas.door import Fact


def reached(order: Order, fact: Fact, data: DeadlineReached) -> Outcome:
    """`park_limit` needs nothing here: arrival expires parked facts at every fact's time."""
    escrow = order.escrow
    available = (
        data.kind == "mediation_available"
        and escrow.status == "DISPUTED"
        and fact.t >= mediation_eligible_at(escrow)
    )
    return Applied(escrow, mediation_available=available)
