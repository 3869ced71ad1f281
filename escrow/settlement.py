"""One settlement decides all the money of an order; there is never a second one.

The refund goes to the buyer, the remainder to the supplier (RULES 4.6, P4).
"""

from escrow.decision import Applied
from escrow.postings import movement
from escrow.state import Command, Escrow, Order, Status
from schemas.commands import DecidedBy, Kind, Purpose, command_id
from schemas.door import Fact


def new_command(
    escrow: Escrow,
    fact: Fact,
    kind: Kind,
    purpose: Purpose,
    *,
    payment_id: str,
    party_id: str,
    amount_minor: int,
    currency: str,
    decided_by: DecidedBy | None = None,
    n: int,
) -> Command:
    """The n-th decided command of its kind in this order, with its deterministic id."""
    return Command(
        command_id(escrow.order_id, kind, n),
        kind,
        purpose,
        payment_id,
        party_id,
        amount_minor,
        currency,
        decided_by,
        fact.source,
        fact.id,
        asked_at=fact.t,
    )


def settle(order: Order, fact: Fact, refund_minor: int, decided_by: DecidedBy) -> Applied:
    """Settle with `refund_minor`, or with all that is available if that is less."""
    old = order.escrow
    available = old.available_minor
    assert old.held_minor == available > 0, "a settlement needs money that is held"
    assert old.payment_id is not None
    refund = min(refund_minor, available)
    payout = available - refund
    status: Status = "SPLIT"
    if refund == available:
        status = "REFUNDED"
    elif refund == 0:
        status = "RELEASED"
    sends: list[Command] = []
    for kind, party_id, amount, n in (
        ("refund", old.buyer_id, refund, old.refund_commands + 1),
        ("payout", old.supplier_id, payout, old.payout_commands + 1),
    ):
        if amount > 0:
            sends.append(
                new_command(
                    old,
                    fact,
                    kind,  # type: ignore[arg-type]
                    "settlement",
                    payment_id=old.payment_id,
                    party_id=party_id,
                    amount_minor=amount,
                    currency=old.currency,
                    decided_by=decided_by,
                    n=n,
                )
            )
    new = old._replace(
        status=status,
        held_minor=0,
        refunded_minor=refund,
        paid_out_minor=payout,
        decided_by=decided_by,
        request_id=None,
        request_reason=None,
        offer_id=None,
        offer_by=None,
        offer_minor=None,
        refund_commands=old.refund_commands + (refund > 0),
        payout_commands=old.payout_commands + (payout > 0),
    )
    return Applied(
        new,
        children=tuple(sends),
        movements=(
            *movement("held", "refunds_payable", refund, old.currency),
            *movement("held", "supplier_payable", payout, old.currency),
        ),
        sends=tuple(sends),
    )


def carrier_proof(order: Order, fact: Fact) -> Applied | None:
    """P2: every known shipment failed while a `not_arrived` request is open: refund in full."""
    escrow = order.escrow
    if (
        escrow.request_reason == "not_arrived"
        and escrow.status in ("DISPUTED", "IN_MEDIATION")
        and 0 < escrow.shipments_known == escrow.shipments_failed
    ):
        return settle(order, fact, escrow.available_minor, "carrier")
    return None
