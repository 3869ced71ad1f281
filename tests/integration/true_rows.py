"""One row of each table that says nothing wrong, and what each status of an order says when it is true."""

from typing import Any, Final

Row = dict[str, Any]
_MONEY: Final[Row] = {"amount_minor": 100, "currency": "EUR"}
_TOTAL: Final[Row] = {"status": "HELD", "currency": "EUR", "orders": 1} | dict.fromkeys(
    ("captured", "held", "refunded", "paid_out", "charged_back", "debt", "loss"), 0
)
_PLACE: Final[Row] = {"topic": "t", "partition": 0}
_DECIDED: Final[Row] = {"order_id": "o", "decision_no": 1}

# One row a table that says nothing wrong; lies change it.
TRUE: Final[dict[str, Row]] = {
    "escrows": {
        "order_id": "o",
        "status": "HELD",
        "currency": "EUR",
        "captured_minor": 100,
        "held_minor": 100,
        "refunded_minor": 0,
        "paid_out_minor": 0,
        "charged_back_minor": 0,
    },
    "facts": {
        **_DECIDED,
        "source": "/s",
        "id": "i",
        "type": "shipment.lost",
        "t": 1,
        "partition": 0,
        "offset": 0,
        "payload": "{}",
        "outcome": "applied",
    },
    "fact_texts": {**_DECIDED, "salt": b"s", "text": "torn"},
    "resolutions": {**_DECIDED, "parked_no": 0, "outcome": "applied"},
    "identities": {"identity": b"i", "digest": b"d"},
    "parked": {**_DECIDED, "code": "awaiting_payment"},
    "payments": {"payment_id": "p", "order_id": "o"},
    "shipments": {"order_id": "o", "shipment_id": "s", "state": "lost"},
    "offers": {
        "order_id": "o",
        "offer_id": "f",
        "request_id": "r",
        "by": "buyer",
        "amount_minor": 1,
        "t": 1,
    },
    "evidence": {
        "order_id": "o",
        "evidence_id": "e",
        "by": "buyer",
        "sha256": "aa",
        "late": False,
        "t": 1,
    },
    "chargebacks": {
        "order_id": "o",
        "chargeback_id": "c",
        "payment_id": "p",
        **_MONEY,
        "matching": True,
        "state": "open",
    },
    "commands": {
        "order_id": "o",
        "command_id": "c",
        "decision_no": 1,
        "n": 0,
        "kind": "refund",
        "purpose": "settlement",
        "payment_id": "p",
        "party_id": "b",
        **_MONEY,
        "cause_source": "/s",
        "cause_id": "i",
        "state": "PENDING",
        "attempt": 1,
        "failures": 0,
        "asked_at": 1,
    },
    "command_holds": {"order_id": "o", "command_id": "c", "reason": "settled_after_reissue"},
    "postings": {**_DECIDED, "n": 0, "debit": "buyer_funds", "credit": "held", **_MONEY},
    "total_deltas": {"id": 1, **_TOTAL},
    "totals": _TOTAL,
    "outbox": {
        "id": 1,
        "slice": 0,
        "topic": "t",
        "key": "k",
        "type": "order.changed",
        "sent_id": "s",
        "t": 1,
        "payload": "{}",
    },
    "outbox_slices": {"slice": 16},
    "consumer_positions": {
        "stage": "payments",
        **_PLACE,
        "cluster_id": "c",
        "epoch": 1,
        "next_offset": 0,
    },
    "batches": {
        "stage": "payments",
        **_PLACE,
        "epoch": 1,
        "first_offset": 5,
        "next_offset": 10,
        "applied": 1,
        "refused": 1,
        "parked": 1,
        "duplicate": 1,
        "dead_letter": 1,
    },
    "dead_letters": {
        "cluster_id": "c",
        **_PLACE,
        "offset": 0,
        "stage": "payments",
        "code": "invalid_json",
        "detail": "d",
        "t": 1,
        "headers": "{}",
        "cut": False,
        "redacted": False,
    },
    "dead_letter_actions": {
        "action_no": 1,
        "cluster_id": "c",
        **_PLACE,
        "offset": 0,
        "action": "replayed",
        "operator_id": "op",
        "reason": "r",
    },
    "position_moves": {
        "move_no": 1,
        "stage": "payments",
        **_PLACE,
        "cluster_id": "c",
        "to_offset": 0,
        "operator_id": "op",
        "reason": "r",
    },
    "deadlines": {"order_id": "o", "request_id": "r", "due_at": 1},
    "supplier_reports": {
        "source": "/s",
        "id": "i",
        "supplier_id": "s",
        "report_id": "r",
        "t": 1,
        "partition": 0,
        "offset": 0,
        "payload": "{}",
    },
}

_GONE: Final[Row] = {"held_minor": 0}
OPEN: Final[Row] = {"request_id": "r"}
# What each status says when it is true.
STATUSES: Final[dict[str | None, Row]] = {
    None: _GONE | {"captured_minor": 0},
    "HELD": {},
    "DISPUTED": OPEN | {"offer_id": "r", "offer_by": "buyer", "offer_minor": 1},
    "IN_MEDIATION": OPEN,
    "FROZEN": {"frozen_from": "HELD", "chargebacks_open": 1},
    "RELEASED": _GONE | {"paid_out_minor": 100, "decided_by": "buyer", "supplier_debt_minor": 50},
    "REFUNDED": _GONE | {"refunded_minor": 100, "decided_by": "ruling"},
    "SPLIT": _GONE | {"refunded_minor": 30, "paid_out_minor": 70, "decided_by": "agreement"},
    "CHARGED_BACK": _GONE | {"charged_back_minor": 100, "decided_by": "card_network"},
    "NOT_PROTECTED": _GONE | {"captured_minor": 0},
}
