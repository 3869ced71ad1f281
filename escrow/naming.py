"""Which children of an order a fact names: what must be read before it can be decided.

An order with a thousand pieces of evidence costs no more than another: only these are read.
"""

from typing import Final, Literal, NamedTuple

from schemas.door import Fact

ChildKind = Literal["shipment", "offer", "evidence", "chargeback", "command"]

# fact type -> the kind of child it names, and the field of its data that holds the child's id
_NAMES: Final[dict[str, tuple[ChildKind, str]]] = {
    "shipment.dispatched": ("shipment", "shipment_id"),
    "shipment.delivered": ("shipment", "shipment_id"),
    "shipment.lost": ("shipment", "shipment_id"),
    "shipment.returned": ("shipment", "shipment_id"),
    "refund.requested": ("offer", "request_id"),
    "refund.offered": ("offer", "offer_id"),
    "evidence.submitted": ("evidence", "evidence_id"),
    "payment.charged_back": ("chargeback", "chargeback_id"),
    "payment.chargeback_closed": ("chargeback", "chargeback_id"),
    "gateway.accepted": ("command", "command_id"),
    "gateway.settled": ("command", "command_id"),
    "gateway.failed": ("command", "command_id"),
    "gateway.returned": ("command", "command_id"),
    "command.reissued": ("command", "command_id"),
}


class Named(NamedTuple):
    """One child that a fact names."""

    kind: ChildKind
    child_id: str


def named_child(fact: Fact) -> Named | None:
    """The child that this fact names, if any; a payment is not an order's child."""
    named = _NAMES.get(fact.type)
    if named is None:
        return None
    kind, field = named
    return Named(kind, getattr(fact.data, field))
