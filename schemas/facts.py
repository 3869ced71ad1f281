"""The catalogue of facts: each type has one model, one topic, one stage. Closed on purpose."""

from typing import Final, NamedTuple

from schemas import (
    deadlines,
    gateway_results,
    mediation_rulings,
    operator_actions,
    payments,
    refund_requests,
    shipments,
    supplier_reports,
)
from schemas.words import WireModel

FactData = (
    payments.PaymentCaptured
    | payments.PaymentChargedBack
    | payments.PaymentChargebackClosed
    | shipments.ShipmentDispatched
    | shipments.ShipmentDelivered
    | shipments.ShipmentLost
    | shipments.ShipmentReturned
    | shipments.ShipmentCustomsCharged
    | refund_requests.DeliveryConfirmed
    | refund_requests.RefundRequested
    | refund_requests.RefundOffered
    | refund_requests.RefundOfferAccepted
    | refund_requests.RefundOfferDeclined
    | refund_requests.RefundWithdrawn
    | refund_requests.EvidenceSubmitted
    | refund_requests.MediationRequested
    | mediation_rulings.RulingIssued
    | gateway_results.GatewayAccepted
    | gateway_results.GatewaySettled
    | gateway_results.GatewayFailed
    | gateway_results.GatewayReturned
    | operator_actions.CommandReissued
    | deadlines.DeadlineReached
    | supplier_reports.SupplierReported
)


class FactType(NamedTuple):
    """Where a type belongs and what its data look like."""

    name: str  # CloudEvents type
    topic: str
    stage: str  # the stem: payments, shipments, ...
    model: type[WireModel]

    @property
    def free_text(self) -> str | None:
        """The field of people's own words, kept apart from the rest; no type has two."""
        fields = self.model.model_fields
        return next((name for name in ("note", "rationale") if name in fields), None)


PAYMENTS: Final = "escrow.payments.v1"
SHIPMENTS: Final = "escrow.shipments.v1"
REFUND_REQUESTS: Final = "escrow.refund-requests.v1"
MEDIATION_RULINGS: Final = "escrow.mediation-rulings.v1"
GATEWAY_RESULTS: Final = "escrow.gateway-results.v1"
OPERATOR_ACTIONS: Final = "escrow.operator-actions.v1"
DEADLINES: Final = "escrow.deadlines.v1"
SUPPLIER_REPORTS: Final = "escrow.supplier-reports.v1"

_CATALOGUE: Final[dict[tuple[str, str], dict[str, type[WireModel]]]] = {
    (PAYMENTS, "payments"): {
        "payment.captured": payments.PaymentCaptured,
        "payment.charged_back": payments.PaymentChargedBack,
        "payment.chargeback_closed": payments.PaymentChargebackClosed,
    },
    (SHIPMENTS, "shipments"): {
        "shipment.dispatched": shipments.ShipmentDispatched,
        "shipment.delivered": shipments.ShipmentDelivered,
        "shipment.lost": shipments.ShipmentLost,
        "shipment.returned": shipments.ShipmentReturned,
        "shipment.customs_charged": shipments.ShipmentCustomsCharged,
    },
    (REFUND_REQUESTS, "refund_requests"): {
        "delivery.confirmed": refund_requests.DeliveryConfirmed,
        "refund.requested": refund_requests.RefundRequested,
        "refund.offered": refund_requests.RefundOffered,
        "refund.offer_accepted": refund_requests.RefundOfferAccepted,
        "refund.offer_declined": refund_requests.RefundOfferDeclined,
        "refund.withdrawn": refund_requests.RefundWithdrawn,
        "evidence.submitted": refund_requests.EvidenceSubmitted,
        "mediation.requested": refund_requests.MediationRequested,
    },
    (MEDIATION_RULINGS, "mediation_rulings"): {
        "ruling.issued": mediation_rulings.RulingIssued,
    },
    (GATEWAY_RESULTS, "gateway_results"): {
        "gateway.accepted": gateway_results.GatewayAccepted,
        "gateway.settled": gateway_results.GatewaySettled,
        "gateway.failed": gateway_results.GatewayFailed,
        "gateway.returned": gateway_results.GatewayReturned,
    },
    (OPERATOR_ACTIONS, "operator_actions"): {
        "command.reissued": operator_actions.CommandReissued,
    },
    (DEADLINES, "deadlines"): {
        "deadline.reached": deadlines.DeadlineReached,
    },
    (SUPPLIER_REPORTS, "supplier_reports"): {
        "supplier.reported": supplier_reports.SupplierReported,
    },
}

FACT_TYPES: Final[dict[str, FactType]] = {
    name: FactType(name, topic, stage, model)
    for (topic, stage), models in _CATALOGUE.items()
    for name, model in models.items()
}
INPUT_TOPICS: Final = tuple(topic for topic, _ in _CATALOGUE)
STAGE_TOPICS: Final = {stage: topic for topic, stage in _CATALOGUE}
TYPE_OF_MODEL: Final = {fact.model: fact.name for fact in FACT_TYPES.values()}
