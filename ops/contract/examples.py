"""One golden example of each type: together they tell of one order, and each is valid by its model."""

from typing import Any, Final

from schemas.commands import command_id
from schemas.facts import FACT_TYPES

ORDER: Final = "order-1001"
_BUYER: Final = {"by": "buyer", "party_id": "anna"}
_SUPPLIER: Final = {"by": "supplier", "party_id": "acme"}
_MONEY: Final = {"amount_minor": 4200, "currency": "EUR"}
_CAUSE: Final = {"source": "/storefront", "id": "confirmed-1001"}
_REFUND: Final = command_id(ORDER, "refund", 1)
_PAYOUT: Final = command_id(ORDER, "payout", 1)
_SHA: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

_LINES: Final = [
    {"line_id": "1", "sku": "MUG-BLUE", "quantity": 2, "unit_minor": 1850, "options": {"size": "L"}}
]
_RESULT: Final = {"command_id": _PAYOUT, **_MONEY, "gateway_reference": "pay-88412"}
_COMMAND: Final = {
    "payment_id": "pay-1001",
    **_MONEY,
    "purpose": "settlement",
    "decided_by": "buyer",
    "cause": _CAUSE,
    "attempt": 1,
    "not_after": "2026-03-05T09:30:00.000Z",
}

EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "payment.captured": {
        "payment_id": "pay-1001",
        "buyer_id": "anna",
        "supplier_id": "acme",
        **_MONEY,
        "method": "visa",
        "paid_through": "escrow",
        "agreement_accepted": True,
        "order": {"lines": _LINES, "shipping_minor": 500, "promised_by": "2026-03-02T18:00:00Z"},
    },
    "payment.charged_back": {"chargeback_id": "cb-77", "payment_id": "pay-1001", **_MONEY},
    "payment.chargeback_closed": {"chargeback_id": "cb-77", "outcome": "won"},
    "shipment.dispatched": {
        "shipment_id": "ship-1",
        "carrier": "north-parcel",
        "tracking_number": "JD 0146 2281",
    },
    "shipment.delivered": {
        "shipment_id": "ship-1",
        "signed_by": "A. Neighbour",
        "packaging": "intact",
    },
    "shipment.lost": {"shipment_id": "ship-1"},
    "shipment.returned": {"shipment_id": "ship-1", "cause": "undeliverable"},
    "shipment.customs_charged": {
        "shipment_id": "ship-1",
        "amount_minor": 310,
        "currency": "EUR",
    },
    "delivery.confirmed": {"buyer_id": "anna"},
    "refund.requested": {
        "request_id": "req-1",
        "buyer_id": "anna",
        "reason": "not_as_described",
        "amount_minor": 1800,
        "currency": "EUR",
        "note": "Smaller than in the picture.",
    },
    "refund.offered": {
        "request_id": "req-1",
        "offer_id": "offer-1",
        **_SUPPLIER,
        "amount_minor": 900,
        "currency": "EUR",
    },
    "refund.offer_accepted": {"offer_id": "req-1", **_SUPPLIER},
    "refund.offer_declined": {"offer_id": "req-1", **_SUPPLIER},
    "refund.withdrawn": {"request_id": "req-1", "buyer_id": "anna"},
    "evidence.submitted": {
        "evidence_id": "ev-1",
        **_BUYER,
        "kind": "photo",
        "sha256": _SHA,
        "size_bytes": 482_113,
        "media_type": "image/jpeg",
        "uri": "https://files.example/ev-1.jpg",
    },
    "mediation.requested": {"request_id": "req-1", "buyer_id": "anna"},
    "ruling.issued": {
        "ruling_id": "ruling-1",
        "request_id": "req-1",
        "mediator_id": "judge-3",
        "outcome": "refund_partial",
        "refund_minor": 1200,
        "rationale": "The size was not stated; the goods are of use.",
    },
    "gateway.accepted": _RESULT,
    "gateway.settled": _RESULT,
    "gateway.failed": {**_RESULT, "reason_code": "AC04", "retryable": False},
    "gateway.returned": {**_RESULT, "reason_code": "AC06"},
    "command.reissued": {
        "command_id": _PAYOUT,
        "reissue_id": "again-1",
        "operator_id": "olga",
        "note": "The supplier has corrected the account.",
    },
    "deadline.reached": {
        "deadline_id": "1f0c9a4e5b7d2a6688e0d3b4c5f6a798",
        "kind": "mediation_available",
        "due_at": "2026-03-11T10:00:00.000Z",
    },
    "supplier.reported": {
        "report_id": "report-1",
        "supplier_id": "acme",
        "buyer_id": "anna",
        "product_id": "MUG-BLUE",
        "asked_for": "payment by bank transfer",
    },
    "refund.issue": {**_COMMAND, "command_id": _REFUND, "party_id": "anna"},
    "payout.release": {**_COMMAND, "command_id": _PAYOUT, "party_id": "acme"},
    "command.status_requested": {"command_id": _PAYOUT},
    "order.changed": {
        "from": "HELD",
        "to": "RELEASED",
        "held_minor": 0,
        "refunded_minor": 0,
        "paid_out_minor": 4200,
        "currency": "EUR",
        "decided_by": "buyer",
        "cause": _CAUSE,
        "decision_no": 4,
        "chain_head": _SHA,
    },
    "fact.refused": {
        "cause": {"source": "/storefront", "id": "mediation-1001"},
        "type": "mediation.requested",
        "code": "too_early",
        "detail": {"eligible_at": "2026-03-11T10:00:00.000Z"},
    },
    "mediation.available": {
        "request_id": "req-1",
        "first_requested_at": "2026-03-01T10:00:00.000Z",
    },
    "alarm.raised": {
        "alarm": "command_failed",
        "cause": {"source": "/gateway", "id": f"{_PAYOUT}.1.failed"},
        "detail": {"command_id": _PAYOUT},
    },
    "fact.dead_lettered": {
        "code": "invalid_data",
        "detail": "amount_minor: int_type",
        "topic": "escrow.payments.v1",
        "partition": 2,
        "offset": 17,
        "timestamp_ms": 1_772_359_200_000,
        "key": ORDER,
        "headers": {"ce_type": "payment.captured", "ce_source": "/checkout", "ce_id": "capture-1"},
        "value_base64": "eyJhbW91bnRfbWlub3IiOiI0MiJ9",
        "value_bytes": 21,
        "value_sha256": "5b1f0dcd2e0b9f5a7a5f7f0b3f9c27d2f0f3a9ac1df0a5a7b6f8e7f7a2a51c11",
        "cut": False,
        "redacted": False,
    },
}
_WITHOUT_ORDER: Final = ("supplier.reported", "fact.dead_lettered")

# The CloudEvents source that the examples of a topic name; `escrow trigger` sends as this one.
SOURCES: Final = {
    "escrow.payments.v1": "/checkout",
    "escrow.shipments.v1": "/carriers/north-parcel",
    "escrow.refund-requests.v1": "/storefront",
    "escrow.mediation-rulings.v1": "/mediation-desk",
    "escrow.gateway-results.v1": "/gateway",
    "escrow.operator-actions.v1": "/escrow/operators",
    "escrow.deadlines.v1": "escrow-ticker",
    "escrow.supplier-reports.v1": "/storefront",
}


def example(type_name: str, order_id: str = ORDER) -> dict[str, Any]:
    """The data of a type's golden example, for this order."""
    own = {} if type_name in _WITHOUT_ORDER else {"order_id": order_id}
    return {**own, **EXAMPLES[type_name]}


def headers(type_name: str, id_: str) -> dict[str, str]:
    """The envelope of an example in binary mode."""
    fact = FACT_TYPES.get(type_name)
    return {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": id_,
        "ce_source": "escrow" if fact is None else SOURCES[fact.topic],
        "ce_type": type_name,
    }
