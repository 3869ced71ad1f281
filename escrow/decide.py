"""One fact, one order, one outcome: the checks of RULES 3.3 in their order, then the type's rule.

Pure: reads the order, changes nothing. The match is exhaustive; a new type does not compile
without its rule.
"""

from typing import assert_never

from escrow.decision import Applied, Outcome, Parked, Refused
from escrow.rules import (
    deadlines,
    gateway_results,
    mediation_rulings,
    operator_actions,
    payments,
    refund_requests,
    shipments,
)
from escrow.state import SETTLED, Order
from schemas.deadlines import DeadlineReached
from schemas.door import Fact
from schemas.gateway_results import GatewayAccepted, GatewayFailed, GatewayReturned, GatewaySettled
from schemas.mediation_rulings import RulingIssued
from schemas.operator_actions import CommandReissued
from schemas.payments import PaymentCaptured, PaymentChargebackClosed, PaymentChargedBack
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
from schemas.shipments import (
    ShipmentCustomsCharged,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentLost,
    ShipmentReturned,
)
from schemas.supplier_reports import SupplierReported

_ByBuyer = DeliveryConfirmed | RefundRequested | RefundWithdrawn | MediationRequested
_ByParty = RefundOffered | RefundOfferAccepted | RefundOfferDeclined
_Shipping = (
    ShipmentDispatched
    | ShipmentDelivered
    | ShipmentLost
    | ShipmentReturned
    | ShipmentCustomsCharged
)
_OnEscrow = (
    _ByBuyer
    | _ByParty
    | _Shipping
    | EvidenceSubmitted
    | PaymentChargedBack
    | PaymentChargebackClosed
    | RulingIssued
)


def decide(order: Order, fact: Fact) -> Outcome:
    """What this fact does to this order (RULES 3.3, 4). The order must hold what the fact names."""
    outcome = _by_type(order, fact)
    if isinstance(outcome, Applied):
        _assert_sound(outcome)
    return outcome


def _by_type(order: Order, fact: Fact) -> Outcome:
    """Check 0, then check 1: what is asked whatever the order's status, and whether there is one."""
    data = fact.data
    match data:
        case PaymentCaptured():
            return payments.captured(order, fact, data)
        case GatewayAccepted() | GatewaySettled() | GatewayFailed() | GatewayReturned():
            return gateway_results.result(order, fact, data)
        case CommandReissued():
            return operator_actions.reissued(order, fact, data)
        case DeadlineReached():
            return deadlines.reached(order, fact, data)
        case SupplierReported():
            return Applied(order.escrow)  # it concerns no order; storing it is all
    if order.escrow.status is None:
        return Parked("awaiting_payment")
    return _on_escrow(order, fact, data)


def _on_escrow(order: Order, fact: Fact, data: _OnEscrow) -> Outcome:
    """Check 2 to 6, for those types that have no exception in them."""
    match data:
        case ShipmentDispatched() | ShipmentDelivered() | ShipmentLost() | ShipmentReturned():
            return shipments.shipped(order, data)
        case ShipmentCustomsCharged():
            return shipments.customs_charged(order)
        case PaymentChargedBack():
            return payments.charged_back(order, data)
        case PaymentChargebackClosed():
            return payments.chargeback_closed(order, data)
        case EvidenceSubmitted():
            return _wrong_party(order, data) or refund_requests.evidence(order, fact, data)
    if order.escrow.status == "NOT_PROTECTED":
        return Refused("not_protected")
    if isinstance(data, RulingIssued):
        return mediation_rulings.ruling(order, fact, data)
    refused = _wrong_party(order, data) or _wrong_currency(order, data) or _closed_to_parties(order)
    return refused or _party_rule(order, fact, data)


def _party_rule(order: Order, fact: Fact, data: _ByBuyer | _ByParty) -> Outcome:
    match data:
        case DeliveryConfirmed():
            return refund_requests.confirmed(order, fact, data)
        case RefundRequested():
            return refund_requests.requested(order, fact, data)
        case RefundOffered():
            return refund_requests.offered(order, fact, data)
        case RefundOfferAccepted():
            return refund_requests.accepted(order, fact, data)
        case RefundOfferDeclined():
            return refund_requests.declined(order, data)
        case RefundWithdrawn():
            return refund_requests.withdrawn(order, data)
        case MediationRequested():
            return refund_requests.mediation(order, fact, data)
        case _:
            assert_never(data)


def _wrong_party(order: Order, data: _ByBuyer | _ByParty | EvidenceSubmitted) -> Refused | None:
    """Check 3: the sender must be this order's buyer or supplier."""
    escrow = order.escrow
    if isinstance(data, _ByBuyer):
        is_party = data.buyer_id == escrow.buyer_id
    else:
        is_party = data.party_id == (escrow.buyer_id if data.by == "buyer" else escrow.supplier_id)
    return None if is_party else Refused("wrong_party")


def _wrong_currency(order: Order, data: _ByBuyer | _ByParty) -> Refused | None:
    """Check 4, for those facts of buyer and supplier that speak of money."""
    if isinstance(data, RefundRequested | RefundOffered) and (
        data.currency != order.escrow.currency
    ):
        return Refused("currency_mismatch")
    return None


def _closed_to_parties(order: Order) -> Refused | None:
    """Checks 5 and 6."""
    status = order.escrow.status
    if status in SETTLED:
        return Refused("already_settled")
    return Refused("frozen") if status == "FROZEN" else None


def _assert_sound(applied: Applied) -> None:
    """RULES 1, the invariant, on the way out; the row's CHECK says it once more."""
    new = applied.escrow
    parts = new.held_minor + new.refunded_minor + new.paid_out_minor + new.charged_back_minor
    assert new.captured_minor == parts, f"{new.order_id}: money does not add up"
    assert new.held_minor >= 0, f"{new.order_id}: held below zero"
    assert new.held_minor == 0 or new.status not in SETTLED, f"{new.order_id}: settled, yet held"
