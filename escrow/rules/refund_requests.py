"""Buyer and supplier decide between them as long as they can; a settlement is final (RULES 4.3).

The checks of each rule stand in the order of RULES. Status here is `HELD`, `DISPUTED` or
`IN_MEDIATION`: all others are dealt with before a rule is asked.
"""

from escrow.decision import Applied, Outcome, Refused
from escrow.policy import POLICIES
from escrow.settlement import settle
from escrow.state import DISPUTE_OPEN, SETTLED, Escrow, Evidence, Offer, Order
from schemas.door import Fact
from schemas.order_events import rfc3339
from schemas.refund_requests import (
    DeliveryConfirmed,
    EvidenceSubmitted,
    MediationRequested,
    RefundOfferAccepted,
    RefundOfferDeclined,
    RefundOffered,
    RefundRequested,
    RefundWithdrawn,
)


def confirmed(order: Order, fact: Fact, data: DeliveryConfirmed) -> Outcome:
    """P1: the buyer's word releases all; an open request must be withdrawn by name."""
    escrow = order.escrow
    if escrow.status in DISPUTE_OPEN and data.withdraws_request_id != escrow.request_id:
        return Refused("request_open")
    return settle(order, fact, 0, "buyer")


def requested(order: Order, fact: Fact, data: RefundRequested) -> Outcome:
    """Opens the dispute; what did not arrive is asked back in full (P2)."""
    escrow = order.escrow
    if data.request_id in order.offers:
        return Refused("request_exists")
    if escrow.status in DISPUTE_OPEN:
        return Refused("request_open")
    if data.amount_minor > escrow.available_minor:
        return Refused("amount_out_of_range", _available(escrow))
    if data.reason == "not_arrived" and data.amount_minor != escrow.available_minor:
        return Refused("full_refund_only", _available(escrow))
    first = fact.t if escrow.first_requested_at is None else escrow.first_requested_at
    return Applied(
        escrow._replace(
            status="DISPUTED",
            request_id=data.request_id,
            request_reason=data.reason,
            offer_id=data.request_id,
            offer_by="buyer",
            offer_minor=data.amount_minor,
            first_requested_at=first,
        ),
        children=(Offer(data.request_id, data.request_id, "buyer", data.amount_minor, fact.t),),
    )


def offered(order: Order, fact: Fact, data: RefundOffered) -> Outcome:
    """P3: a new offer replaces the open one."""
    escrow = order.escrow
    if escrow.status == "HELD":
        return Refused("no_open_request")
    if data.request_id != escrow.request_id:
        return Refused("no_such_request")
    if data.offer_id in order.offers:
        return Refused("offer_exists")
    if data.amount_minor > escrow.available_minor:
        return Refused("amount_out_of_range", _available(escrow))
    return Applied(
        escrow._replace(offer_id=data.offer_id, offer_by=data.by, offer_minor=data.amount_minor),
        children=(Offer(data.offer_id, data.request_id, data.by, data.amount_minor, fact.t),),
    )


def _answer_refused(
    escrow: Escrow, data: RefundOfferAccepted | RefundOfferDeclined
) -> Refused | None:
    if escrow.status == "HELD":
        return Refused("no_open_request")
    if data.offer_id != escrow.offer_id:
        return Refused("offer_not_open")
    if data.by == escrow.offer_by:
        return Refused("own_offer")
    return None


def accepted(order: Order, fact: Fact, data: RefundOfferAccepted) -> Outcome:
    """P4: agreement settles the order with the offer's amount."""
    if (refused := _answer_refused(order.escrow, data)) is not None:
        return refused
    assert order.escrow.offer_minor is not None
    return settle(order, fact, order.escrow.offer_minor, "agreement")


def declined(order: Order, data: RefundOfferDeclined) -> Outcome:
    """No offer is open any more; the request stays open."""
    if (refused := _answer_refused(order.escrow, data)) is not None:
        return refused
    return Applied(order.escrow._replace(offer_id=None, offer_by=None, offer_minor=None))


def withdrawn(order: Order, data: RefundWithdrawn) -> Outcome:
    """Back to held; the ten days of P5 go on counting from the first request."""
    escrow = order.escrow
    if escrow.status == "HELD":
        return Refused("no_open_request")
    if data.request_id != escrow.request_id:
        return Refused("no_such_request")
    return Applied(
        escrow._replace(
            status="HELD",
            request_id=None,
            request_reason=None,
            offer_id=None,
            offer_by=None,
            offer_minor=None,
        )
    )


def evidence(order: Order, fact: Fact, data: EvidenceSubmitted) -> Outcome:
    """Recorded in any status; late once the order is settled (P6, P12)."""
    if data.evidence_id in order.evidence or (data.by, data.sha256) in order.evidence_digests:
        return Refused("evidence_exists")
    late = order.escrow.status in SETTLED
    return Applied(
        order.escrow,
        children=(Evidence(data.evidence_id, data.by, data.sha256, late, fact.t),),
    )


def mediation(order: Order, fact: Fact, data: MediationRequested) -> Outcome:
    """P5: ten days after the initial refund request, not a millisecond earlier (RULES 4.4)."""
    escrow = order.escrow
    if escrow.status == "HELD":
        return Refused("no_open_request")
    if escrow.status == "IN_MEDIATION":
        return Refused("already_in_mediation")
    if data.request_id != escrow.request_id:
        return Refused("no_such_request")
    eligible_at = mediation_eligible_at(escrow)
    if fact.t < eligible_at:
        return Refused("too_early", (("eligible_at", rfc3339(eligible_at)),))
    return Applied(
        escrow._replace(status="IN_MEDIATION", offer_id=None, offer_by=None, offer_minor=None)
    )


def mediation_eligible_at(escrow: Escrow) -> int:
    """The first instant, ms UTC, at which mediation may be asked for."""
    assert escrow.first_requested_at is not None
    assert escrow.policy_version is not None
    return escrow.first_requested_at + POLICIES[escrow.policy_version].mediation_after_ms


def _available(escrow: Escrow) -> tuple[tuple[str, str], ...]:
    return (("available_minor", str(escrow.available_minor)),)
