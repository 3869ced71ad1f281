"""RULES 2 as a table, copied by hand from its text: type, topic, and each field with its kind.

A kind with `?` may be absent or null. The models and the door are held against this.
"""

from typing import Final

_BY: Final = {"by": "party", "party_id": "id"}
_SUM: Final = {"amount_minor": "amount", "currency": "currency"}
_RESULT: Final = {
    "order_id": "id",
    "command_id": "id",
    **_SUM,
    "gateway_reference": "text?",
    "reason_code": "text?",
    "retryable": "bool?",
}
_ANSWER: Final = {"order_id": "id", "offer_id": "id", **_BY}
_SHIPMENT: Final = {"order_id": "id", "shipment_id": "id"}

TYPES: Final[dict[str, dict[str, dict[str, str]]]] = {
    "escrow.payments.v1": {
        "payment.captured": {
            "order_id": "id",
            "payment_id": "id",
            "buyer_id": "id",
            "supplier_id": "id",
            **_SUM,
            "method": "method",
            "paid_through": "escrow|other",
            "agreement_accepted": "bool",
            "order": "order?",
        },
        "payment.charged_back": {
            "order_id": "id",
            "chargeback_id": "id",
            "payment_id": "id",
            **_SUM,
        },
        "payment.chargeback_closed": {
            "order_id": "id",
            "chargeback_id": "id",
            "outcome": "won|lost",
        },
    },
    "escrow.shipments.v1": {
        "shipment.dispatched": {**_SHIPMENT, "carrier": "text", "tracking_number": "text"},
        "shipment.delivered": {
            **_SHIPMENT,
            "signed_by": "text?",
            "packaging": "intact|damaged|unknown?",
        },
        "shipment.lost": _SHIPMENT,
        "shipment.returned": {
            **_SHIPMENT,
            "cause": "undeliverable|refused_by_buyer|customs|damaged",
        },
        "shipment.customs_charged": {**_SHIPMENT, **_SUM},
    },
    "escrow.refund-requests.v1": {
        "delivery.confirmed": {"order_id": "id", "buyer_id": "id", "withdraws_request_id": "id?"},
        "refund.requested": {
            "order_id": "id",
            "request_id": "id",
            "buyer_id": "id",
            "reason": "not_arrived|not_as_described|damaged|other",
            **_SUM,
            "note": "note?",
        },
        "refund.offered": {
            "order_id": "id",
            "request_id": "id",
            "offer_id": "id",
            **_BY,
            **_SUM,
        },
        "refund.offer_accepted": _ANSWER,
        "refund.offer_declined": _ANSWER,
        "refund.withdrawn": {"order_id": "id", "request_id": "id", "buyer_id": "id"},
        "evidence.submitted": {
            "order_id": "id",
            "evidence_id": "id",
            **_BY,
            "kind": "chat_history|photo|video|document",
            "sha256": "digest",
            "size_bytes": "amount",
            "media_type": "text",
            "uri": "uri?",
        },
        "mediation.requested": {"order_id": "id", "request_id": "id", "buyer_id": "id"},
    },
    "escrow.mediation-rulings.v1": {
        "ruling.issued": {
            "order_id": "id",
            "ruling_id": "id",
            "request_id": "id",
            "mediator_id": "id",
            "outcome": "refund_full|refund_partial|release",
            "refund_minor": "part?",
            "rationale": "rationale?",
        },
    },
    "escrow.gateway-results.v1": dict.fromkeys(
        ("gateway.accepted", "gateway.settled", "gateway.failed", "gateway.returned"), _RESULT
    ),
    "escrow.operator-actions.v1": {
        "command.reissued": {
            "order_id": "id",
            "command_id": "id",
            "reissue_id": "id",
            "operator_id": "id",
            "note": "note?",
        },
    },
    "escrow.deadlines.v1": {
        "deadline.reached": {
            "order_id": "id",
            "deadline_id": "id",
            "kind": "mediation_available|park_limit",
            "due_at": "time",
        },
    },
    "escrow.supplier-reports.v1": {
        "supplier.reported": {
            "report_id": "id",
            "supplier_id": "id",
            "buyer_id": "id",
            "product_id": "id",
            "asked_for": "text",
            "note": "note?",
        },
    },
}
FIELDS: Final = {name: fields for types in TYPES.values() for name, fields in types.items()}

_MAX: Final = 2**53 - 1
_NO_INTEGER: Final[list[object]] = [5.5, True, False, "5", [5], {}, -1, _MAX + 1, 10**400]
_NO_TEXT: Final[list[object]] = ["", 5, True, [], {}, "\0", "a\x0bb", "\x7f", "a\x80", "\x9f"]
_ASTRAL: Final = "\U0001f600"

GOOD: Final[dict[str, list[object]]] = {
    "id": ["a", "Z9", "0", "a_.:-", "a" * 64],
    "text": ["x", " ", "x" * 200, _ASTRAL * 200, "é\u2028\ufeff", "5"],
    "uri": ["x", "x" * 2000, _ASTRAL * 2000],
    "note": ["x", "a\tb\nc\rd", "\n", "x" * 2000, _ASTRAL * 2000],
    "rationale": ["x", "a\tb\nc\rd", "x" * 4000, _ASTRAL * 4000],
    "amount": [1, _MAX],
    "currency": ["EUR", "USD", "JPY", "BHD", "KWD", "CLP", "ISK", "CHF", "UYI"],
    "bool": [True, False],
    "method": ["visa", "0", "a_9", "x" * 32],
    "digest": ["0123456789abcdef" * 4],
    "time": ["2026-01-31T10:00:00Z", "2026-01-31T10:00:00.5+05:30"],
    "party": [],  # who may speak goes with party_id, but any id is well formed
}
BAD: Final[dict[str, list[object]]] = {
    "id": ["", "a" * 65, "_a", "-a", ".a", "a b", "a/b", "é", "a\n", "\na", 5, True, [], {}],
    "text": [*_NO_TEXT, "x" * 201, _ASTRAL * 201, "a\nb", "\t", "\r"],
    "uri": [*_NO_TEXT, "x" * 2001, "a\nb", "\t"],
    "note": [*_NO_TEXT, "x" * 2001],
    "rationale": [*_NO_TEXT, "x" * 4001],
    "amount": [*_NO_INTEGER, 0],
    "part": [*_NO_INTEGER, 0],
    "currency": ["", "eur", "EURO", "EU", "XAU", "XXX", "XTS", "XDR", "CLF", "UYW", "DEM", 978, []],
    "bool": ["true", 1, 0, "", []],
    "method": ["", "Visa", "x" * 33, "a-b", "a b", "visa\n", 5, []],
    "digest": ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 63 + "\n", 5],
    "time": ["", "2026-01-31", "2026-01-31T10:00:00", "2026-01-31 10:00:00Z", 1769853600, []],
    "party": ["", "mediator", "Buyer", 1, []],
    "order": [[], "x", 5, True, {}],
}


def good(kind: str) -> list[object]:
    """Values that a field of this kind takes."""
    base = kind.rstrip("?")
    words: list[object] = [word for word in base.split("|") if "|" in base]
    values = GOOD.get(base, words)
    return [*values, None] if kind.endswith("?") and kind not in ("part?", "order?") else values


def bad(kind: str) -> list[object]:
    """Values that no field of this kind takes."""
    base = kind.rstrip("?")
    values = BAD.get(base, ["", "no_such_word", base.split("|")[0].upper(), 5, True, []])
    return values if kind.endswith("?") else [*values, None]
