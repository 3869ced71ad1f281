"""What each fact's data may hold, RULES 2: one table of fields, one check a kind of value."""

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

from tests.model.rfc3339 import is_time
from tests.model.strict_json import Json

Check = Callable[[Json], bool]
AMOUNT_MAX = 2**53 - 1

_table = json.loads(Path(__file__).with_name("currencies.json").read_text(encoding="utf-8"))
CURRENCIES = frozenset(code for exponent in "023" for code in _table[exponent].split())


def is_integer(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def is_text(length_max: int = 200, allowed: str = "") -> Check:
    def check(value: Json) -> bool:
        return (
            isinstance(value, str)
            and 1 <= len(value) <= length_max
            and all(c in allowed or unicodedata.category(c) != "Cc" for c in value)
        )

    return check


def matches(pattern: str) -> Check:
    compiled = re.compile(pattern, re.ASCII)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def is_object(fields: dict[str, Check]) -> Check:
    """A name that ends in `?` may be absent or null; no other names are allowed."""

    def check(value: Json) -> bool:
        if not isinstance(value, dict):
            return False
        known = {name.rstrip("?") for name in fields}
        if any(name not in known for name in value):
            return False
        for name, field_check in fields.items():
            given = value.get(name.rstrip("?"))
            if given is None:
                if not name.endswith("?"):
                    return False
            elif not field_check(given):
                return False
        return True

    return check


def is_list(item: Check, length_min: int, length_max: int) -> Check:
    return lambda value: (
        isinstance(value, list)
        and length_min <= len(value) <= length_max
        and all(item(each) for each in value)
    )


def is_options(value: Json) -> bool:
    text = is_text()
    return (
        isinstance(value, dict)
        and len(value) <= 20
        and all(text(name) and text(each) for name, each in value.items())
    )


def is_flag(value: Json) -> bool:
    return isinstance(value, bool)


def is_currency(value: Json) -> bool:
    return isinstance(value, str) and value in CURRENCIES


IDENT = matches(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
DIGEST = matches(r"[0-9a-f]{64}")
AMOUNT = is_integer(1, AMOUNT_MAX)
AMOUNT_OR_ZERO = is_integer(0, AMOUNT_MAX)
TEXT = is_text()
NOTE = is_text(2000, "\t\n\r")
SIDE = one_of("buyer", "supplier")
MONEY: dict[str, Check] = {"amount_minor": AMOUNT, "currency": is_currency}
PARTY: dict[str, Check] = {"by": SIDE, "party_id": IDENT}

LINE = is_object(
    {
        "line_id": IDENT,
        "sku": TEXT,
        "quantity": is_integer(1, 10**6),
        "unit_minor": AMOUNT_OR_ZERO,
        "options?": is_options,
    }
)
ORDER = is_object(
    {
        "lines": is_list(LINE, 1, 200),
        "shipping_minor": AMOUNT_OR_ZERO,
        "delivery_address_sha256?": DIGEST,
        "promised_by?": is_time,
    }
)
GATEWAY_RESULT: dict[str, Check] = {
    "command_id": IDENT,
    **MONEY,
    "gateway_reference?": TEXT,
    "reason_code?": TEXT,
    "retryable?": is_flag,
}

# topic -> type -> fields besides order_id (supplier.reported has none)
FACTS: dict[str, dict[str, dict[str, Check]]] = {
    "escrow.payments.v1": {
        "payment.captured": {
            "payment_id": IDENT,
            "buyer_id": IDENT,
            "supplier_id": IDENT,
            **MONEY,
            "method": matches(r"[a-z0-9_]{1,32}"),
            "paid_through": one_of("escrow", "other"),
            "agreement_accepted": is_flag,
            "order?": ORDER,
        },
        "payment.charged_back": {"chargeback_id": IDENT, "payment_id": IDENT, **MONEY},
        "payment.chargeback_closed": {"chargeback_id": IDENT, "outcome": one_of("won", "lost")},
    },
    "escrow.shipments.v1": {
        "shipment.dispatched": {"shipment_id": IDENT, "carrier": TEXT, "tracking_number": TEXT},
        "shipment.delivered": {
            "shipment_id": IDENT,
            "signed_by?": TEXT,
            "packaging?": one_of("intact", "damaged", "unknown"),
        },
        "shipment.lost": {"shipment_id": IDENT},
        "shipment.returned": {
            "shipment_id": IDENT,
            "cause": one_of("undeliverable", "refused_by_buyer", "customs", "damaged"),
        },
        "shipment.customs_charged": {"shipment_id": IDENT, **MONEY},
    },
    "escrow.refund-requests.v1": {
        "delivery.confirmed": {"buyer_id": IDENT, "withdraws_request_id?": IDENT},
        "refund.requested": {
            "request_id": IDENT,
            "buyer_id": IDENT,
            "reason": one_of("not_arrived", "not_as_described", "damaged", "other"),
            **MONEY,
            "note?": NOTE,
        },
        "refund.offered": {"request_id": IDENT, "offer_id": IDENT, **PARTY, **MONEY},
        "refund.offer_accepted": {"offer_id": IDENT, **PARTY},
        "refund.offer_declined": {"offer_id": IDENT, **PARTY},
        "refund.withdrawn": {"request_id": IDENT, "buyer_id": IDENT},
        "evidence.submitted": {
            "evidence_id": IDENT,
            **PARTY,
            "kind": one_of("chat_history", "photo", "video", "document"),
            "sha256": DIGEST,
            "size_bytes": AMOUNT,
            "media_type": TEXT,
            "uri?": is_text(2000),
        },
        "mediation.requested": {"request_id": IDENT, "buyer_id": IDENT},
    },
    "escrow.mediation-rulings.v1": {
        "ruling.issued": {
            "ruling_id": IDENT,
            "request_id": IDENT,
            "mediator_id": IDENT,
            "outcome": one_of("refund_full", "refund_partial", "release"),
            "refund_minor?": AMOUNT,
            "rationale?": is_text(4000, "\t\n\r"),
        }
    },
    "escrow.gateway-results.v1": {
        "gateway.accepted": GATEWAY_RESULT,
        "gateway.settled": GATEWAY_RESULT,
        "gateway.failed": GATEWAY_RESULT,
        "gateway.returned": GATEWAY_RESULT,
    },
    "escrow.operator-actions.v1": {
        "command.reissued": {
            "command_id": IDENT,
            "reissue_id": IDENT,
            "operator_id": IDENT,
            "note?": NOTE,
        }
    },
    "escrow.deadlines.v1": {
        "deadline.reached": {
            "deadline_id": IDENT,
            "kind": one_of("mediation_available", "park_limit"),
            "due_at": is_time,
        }
    },
    "escrow.supplier-reports.v1": {
        "supplier.reported": {
            "report_id": IDENT,
            "supplier_id": IDENT,
            "buyer_id": IDENT,
            "product_id": IDENT,
            "asked_for": TEXT,
            "note?": NOTE,
        }
    },
}
TOPIC_OF = {kind: topic for topic, kinds in FACTS.items() for kind in kinds}


def valid_data(kind: str, data: Json) -> bool:
    """The whole of `invalid_data` for one type."""
    fields = dict(FACTS[TOPIC_OF[kind]][kind])
    if kind != "supplier.reported":
        fields["order_id"] = IDENT
    if not isinstance(data, dict) or not is_object(fields)(data):
        return False
    if kind == "payment.captured":
        return data["buyer_id"] != data["supplier_id"] and adds_up(data)
    if kind == "ruling.issued":
        is_partial = data["outcome"] == "refund_partial"
        return is_partial == (data.get("refund_minor") is not None)
    return True


def adds_up(data: dict[str, Json]) -> bool:
    """Lines and shipping make the amount, where an order is given."""
    order = data.get("order")
    if order is None:
        return True
    assert isinstance(order, dict)
    lines, total = order["lines"], order["shipping_minor"]
    assert isinstance(lines, list)
    assert isinstance(total, int)
    for line in lines:
        assert isinstance(line, dict)
        quantity, unit = line["quantity"], line["unit_minor"]
        assert isinstance(quantity, int)
        assert isinstance(unit, int)
        total += quantity * unit
    return total == data["amount_minor"]


def without_nulls(value: Json) -> Json:
    """Null is the same as absent, also for identity."""
    if isinstance(value, dict):
        return {name: without_nulls(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    return value


def looked_at_texts(data: dict[str, Json]) -> list[str]:
    """The texts in which a card number would be kept (RULES 3.1 `card_number`); data is valid."""
    found: list[Json] = [
        data.get(name) for name in ("note", "rationale", "signed_by", "asked_for", "uri")
    ]
    order = data.get("order")
    lines = order["lines"] if isinstance(order, dict) else []
    for line in lines if isinstance(lines, list) else []:
        options = line.get("options") if isinstance(line, dict) else None
        for name, value in options.items() if isinstance(options, dict) else ():
            found += [name, value]
    return [text for text in found if isinstance(text, str)]
