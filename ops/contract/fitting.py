"""A golden example made to fit one order: its ids, parties and money, as far as the order has them.

What the order lacks stays as in the example, so that the rules can say why it does not go.
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

from escrow.state import Command, Escrow, Order
from ops.contract.examples import EXAMPLES, example

Change = Callable[[Order, dict[str, Any], str], dict[str, Any]]


def fitted(type_name: str, order_id: str, order: Order | None, fresh: str = "") -> dict[str, Any]:
    """The data to send. `order` None: nothing is known of it. `fresh` ends all ids that are new."""
    data = example(type_name, order_id)
    fresh = fresh or uuid4().hex[:12]
    for field in _NEW_IDS.get(type_name, ()):
        data[field] = f"{data[field].partition('-')[0]}-{fresh}"
    if type_name == "evidence.submitted":
        data["sha256"] = sha256(fresh.encode()).hexdigest()
    if order is None or order.escrow.status is None:
        return data
    data |= _parties(type_name, order.escrow)
    change = _CHANGES.get(type_name)
    return data if change is None else {**data, **change(order, data, fresh)}


_NEW_IDS: Final[dict[str, tuple[str, ...]]] = {
    "payment.captured": ("payment_id",),
    "payment.charged_back": ("chargeback_id",),
    "shipment.dispatched": ("shipment_id",),
    "refund.requested": ("request_id",),
    "refund.offered": ("offer_id",),
    "evidence.submitted": ("evidence_id",),
    "ruling.issued": ("ruling_id",),
    "command.reissued": ("reissue_id",),
    "deadline.reached": ("deadline_id",),
    "supplier.reported": ("report_id",),
}


def _parties(type_name: str, row: Escrow) -> dict[str, Any]:
    """The order's buyer, supplier, currency and request, where the type names them."""
    fields = EXAMPLES[type_name].keys()
    known: dict[str, Any] = {"buyer_id": row.buyer_id, "currency": row.currency}
    if row.request_id is not None and type_name != "refund.requested":
        known["request_id"] = row.request_id
    if "by" in fields:
        by = _speaker(type_name, row)
        known |= {"by": by, "party_id": row.buyer_id if by == "buyer" else row.supplier_id}
    if type_name == "payment.captured":  # another payment may come from anybody
        known = {}
    return {name: value for name, value in known.items() if name in fields}


def _speaker(type_name: str, row: Escrow) -> str:
    """An offer is answered by the other side."""
    if type_name.startswith("refund.offer_") and row.offer_by is not None:
        return "supplier" if row.offer_by == "buyer" else "buyer"
    return str(EXAMPLES[type_name]["by"])


def _at_most(limit: int) -> Change:
    """No more than is available, and at least something."""
    return lambda order, _data, _fresh: {
        "amount_minor": max(min(limit, order.escrow.available_minor), 1)
    }


def _charged_back(order: Order, _data: dict[str, Any], _fresh: str) -> dict[str, Any]:
    return {"payment_id": order.escrow.payment_id, "amount_minor": order.escrow.captured_minor}


def _closed(order: Order, data: dict[str, Any], _fresh: str) -> dict[str, Any]:
    open_ones = [one.chargeback_id for one in order.chargebacks.values() if one.state == "open"]
    return {"chargeback_id": _last(open_ones, data["chargeback_id"])}


def _parcel(order: Order, data: dict[str, Any], _fresh: str) -> dict[str, Any]:
    return {"shipment_id": _last(order.shipments, data["shipment_id"])}


def _answer(order: Order, data: dict[str, Any], _fresh: str) -> dict[str, Any]:
    return {"offer_id": order.escrow.offer_id or data["offer_id"]}


def _ruling(order: Order, data: dict[str, Any], _fresh: str) -> dict[str, Any]:
    most = order.escrow.available_minor - 1
    if most < 1:
        return {"outcome": "refund_full", "refund_minor": None}
    return {"refund_minor": min(data["refund_minor"], most)}


def _result(order: Order, _data: dict[str, Any], _fresh: str) -> dict[str, Any]:
    """About the last command that still waits for a word, or the last one."""
    commands = list(order.commands.values())
    waiting = [one for one in commands if one.state in ("PENDING", "ACCEPTED")]
    return _named(waiting or commands)


def _reissue(order: Order, _data: dict[str, Any], _fresh: str) -> dict[str, Any]:
    final = [one for one in order.commands.values() if one.state in ("FAILED", "RETURNED")]
    named = _named([one for one in final if one.reissue_id is None])
    return {"command_id": named["command_id"]} if named else {}


def _named(commands: list[Command]) -> dict[str, Any]:
    if not commands:
        return {}
    last = commands[-1]
    return {
        "command_id": last.command_id,
        "amount_minor": last.amount_minor,
        "currency": last.currency,
    }


def _last(names: Iterable[str], default: str) -> str:
    return (list(names) or [default])[-1]


_CHANGES: Final[dict[str, Change]] = {
    "payment.charged_back": _charged_back,
    "payment.chargeback_closed": _closed,
    "shipment.delivered": _parcel,
    "shipment.lost": _parcel,
    "shipment.returned": _parcel,
    "shipment.customs_charged": _parcel,
    "refund.requested": _at_most(1800),
    "refund.offered": _at_most(900),
    "refund.offer_accepted": _answer,
    "refund.offer_declined": _answer,
    "ruling.issued": _ruling,
    "gateway.accepted": _result,
    "gateway.settled": _result,
    "gateway.failed": _result,
    "gateway.returned": _result,
    "command.reissued": _reissue,
}
