"""Facts in words a buyer's lawyer would understand, and the rule that each of them falls under.

Nothing is decided here. A type without words does not compile.
"""

from typing import Final, assert_never

from schemas.deadlines import DeadlineReached, Kind
from schemas.door import Fact
from schemas.facts import FactData
from schemas.gateway_results import GatewayAccepted, GatewayFailed, GatewayReturned, GatewaySettled
from schemas.mediation_rulings import RulingIssued
from schemas.money import format_amount
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

RULE_OF: Final[dict[str, str]] = {
    "payment.captured": "RULES 4.1, P8",
    "payment.charged_back": "RULES 4.1",
    "payment.chargeback_closed": "RULES 4.1",
    "shipment.dispatched": "RULES 4.2",
    "shipment.delivered": "RULES 4.2",
    "shipment.lost": "RULES 4.2, P2",
    "shipment.returned": "RULES 4.2, P2",
    "shipment.customs_charged": "RULES 4.2, P10",
    "delivery.confirmed": "RULES 4.3, P1",
    "refund.requested": "RULES 4.3, P2, P3",
    "refund.offered": "RULES 4.3, P3",
    "refund.offer_accepted": "RULES 4.3, P3, P4",
    "refund.offer_declined": "RULES 4.3, P3",
    "refund.withdrawn": "RULES 4.3",
    "evidence.submitted": "RULES 4.3, P6, P12",
    "mediation.requested": "RULES 4.4, P5",
    "ruling.issued": "RULES 4.5, P6",
    "gateway.accepted": "RULES 4.6",
    "gateway.settled": "RULES 4.6",
    "gateway.failed": "RULES 4.6",
    "gateway.returned": "RULES 4.6",
    "command.reissued": "RULES 4.6",
    "deadline.reached": "RULES 4.7",
    "supplier.reported": "RULES 3.3, P9",
}
# Refusals that are not the type's own rule's.
_RULE_OF_REFUSAL: Final[dict[str, str]] = {
    "not_protected": "RULES 3.3, P8",
    "wrong_party": "RULES 3.3",
    "currency_mismatch": "RULES 3.3",
    "already_settled": "RULES 3.3, P4",
    "frozen": "RULES 3.3",
}


_DEADLINE: Final[dict[Kind, str]] = {
    "mediation_available": "mediation",
    "park_limit": "the park limit",
    "auto_confirm": "confirmation by the buyer's silence",
    "supplier_silence": "acceptance by the supplier's silence",
}


def rule_of(fact_type: str, code: str | None = None) -> str:
    """The section of RULES, and the promises, that decided a fact so."""
    return _RULE_OF_REFUSAL.get(code or "", RULE_OF[fact_type])


def say(fact: Fact, currency: str) -> str:
    """What the sender said, in one sentence without a full stop. `currency`: the order's."""
    return _say(fact.data, currency)


def _say(data: FactData, currency: str) -> str:
    match data:
        case PaymentCaptured() | PaymentChargedBack() | PaymentChargebackClosed():
            return _of_payment(data)
        case GatewayAccepted() | GatewaySettled() | GatewayFailed() | GatewayReturned():
            return _of_gateway(data)
        case CommandReissued():
            return f"operator {data.operator_id} reissued command {short(data.command_id)}"
        case DeadlineReached():
            return f"the ticker announced that {_DEADLINE[data.kind]} was due at {data.due_at}"
        case RulingIssued():
            return _of_ruling(data, currency)
        case EvidenceSubmitted():
            return f"{data.by} {data.party_id} submitted {data.kind} {data.evidence_id} as evidence"
        case SupplierReported():
            return f"buyer {data.buyer_id} reported supplier {data.supplier_id}"
        case (
            ShipmentDispatched()
            | ShipmentDelivered()
            | ShipmentLost()
            | ShipmentReturned()
            | ShipmentCustomsCharged()
        ):
            return _of_shipment(data)
        case _:
            return _of_parties(data)


def _of_payment(data: PaymentCaptured | PaymentChargedBack | PaymentChargebackClosed) -> str:
    match data:
        case PaymentCaptured():
            amount = format_amount(data.amount_minor, data.currency)
            way = "through escrow" if data.paid_through == "escrow" else "outside escrow"
            agreed = "" if data.agreement_accepted else ", without accepting the agreement"
            return (
                f"buyer {data.buyer_id} paid {amount} by {data.method} {way}{agreed}"
                f" (payment {data.payment_id})"
            )
        case PaymentChargedBack():
            amount = format_amount(data.amount_minor, data.currency)
            return (
                f"the card network disputed {amount} of payment {data.payment_id}"
                f" (chargeback {data.chargeback_id})"
            )
        case PaymentChargebackClosed():
            stays = "won: the money stays" if data.outcome == "won" else "lost: the network took it"
            return f"chargeback {data.chargeback_id} was {stays}"


def _of_shipment(
    data: ShipmentDispatched
    | ShipmentDelivered
    | ShipmentLost
    | ShipmentReturned
    | ShipmentCustomsCharged,
) -> str:
    parcel = f"parcel {data.shipment_id}"
    match data:
        case ShipmentDispatched():
            return f"{parcel} was handed to {data.carrier} ({data.tracking_number})"
        case ShipmentDelivered():
            signed = f", signed by {data.signed_by}" if data.signed_by else ""
            packaging = f", packaging {data.packaging}" if data.packaging else ""
            return f"{parcel} was delivered{signed}{packaging}"
        case ShipmentLost():
            return f"{parcel} was lost"
        case ShipmentReturned():
            return f"{parcel} came back: {data.cause.replace('_', ' ')}"
        case ShipmentCustomsCharged():
            amount = format_amount(data.amount_minor, data.currency)
            return f"customs charged {amount} on {parcel}; that is the buyer's"


def _of_parties(
    data: DeliveryConfirmed
    | RefundRequested
    | RefundOffered
    | RefundOfferAccepted
    | RefundOfferDeclined
    | RefundWithdrawn
    | MediationRequested,
) -> str:
    match data:
        case DeliveryConfirmed():
            return f"buyer {data.buyer_id} confirmed satisfactory delivery"
        case RefundRequested():
            amount = format_amount(data.amount_minor, data.currency)
            reason = data.reason.replace("_", " ")
            return (
                f"buyer {data.buyer_id} asked {amount} back: {reason} (request {data.request_id})"
            )
        case RefundOffered():
            amount = format_amount(data.amount_minor, data.currency)
            return f"{data.by} {data.party_id} offered a refund of {amount} (offer {data.offer_id})"
        case RefundOfferAccepted():
            return f"{data.by} {data.party_id} accepted offer {data.offer_id}"
        case RefundOfferDeclined():
            return f"{data.by} {data.party_id} declined offer {data.offer_id}"
        case RefundWithdrawn():
            return f"buyer {data.buyer_id} withdrew request {data.request_id}"
        case MediationRequested():
            return f"buyer {data.buyer_id} asked for the mediator (request {data.request_id})"
    assert_never(data)


def _of_ruling(data: RulingIssued, currency: str) -> str:
    decided = {
        "refund_full": "all back to the buyer",
        "refund_partial": f"{format_amount(data.refund_minor or 0, currency)} back to the buyer",
        "release": "all to the supplier",
    }[data.outcome]
    return f"mediator {data.mediator_id} ruled: {decided} (ruling {data.ruling_id})"


def _of_gateway(data: GatewayAccepted | GatewaySettled | GatewayFailed | GatewayReturned) -> str:
    command = f"command {short(data.command_id)}"
    reason = f" ({data.reason_code})" if data.reason_code else ""
    match data:
        case GatewayAccepted():
            return f"the gateway accepted {command}"
        case GatewaySettled():
            return f"the gateway settled {command}"
        case GatewayFailed():
            again = ", it may be tried again" if data.retryable else ""
            return f"the gateway failed at {command}{reason}{again}"
        case GatewayReturned():
            return f"the money of {command} came back{reason}"


def short(command_id: str) -> str:
    """A command id as people can read it; the whole one stands in the lists."""
    return command_id if len(command_id) <= 12 else f"{command_id[:10]}…"
