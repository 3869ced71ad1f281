"""An order as the consumers read it: its row, what waits, and only the children that are named."""

from collections.abc import Mapping
from typing import Any

from escrow.naming import Named, named_child
from escrow.state import Evidence, Offer, Order
from schemas.door import Fact
from schemas.refund_requests import EvidenceSubmitted


def snapshot(order: Order | None) -> Order | None:
    if order is None:
        return None
    copy = Order(order.escrow, dict(order.payments))
    for container in ("shipments", "offers", "evidence", "evidence_digests", "chargebacks"):
        setattr(copy, container, copied(getattr(order, container)))
    copy.commands = dict(order.commands)
    copy.waiting = list(order.waiting)
    return copy


def copied(container: Any) -> Any:
    return dict(container) if isinstance(container, Mapping) else set(container)


def only_what_is_named(order: Order, fact: Fact) -> Order:
    """The order as the consumers read it: the children that the fact and the waiting ones name."""
    few = Order(order.escrow, dict(order.payments))
    few.waiting = list(order.waiting)
    for said in (fact, *(waiting.fact for waiting in order.waiting)):
        match named_child(said):
            case Named("shipment", name) if name in order.shipments:
                few.put(order.shipments[name])
            case Named("chargeback", name) if name in order.chargebacks:
                few.put(order.chargebacks[name])
            case Named("command", name) if name in order.commands:
                few.put(order.commands[name])
            case Named("offer", name) if name in order.offers:
                few.put(Offer(name, "", "", 0, 0))
            case Named("evidence", name) if name in order.evidence:
                few.put(Evidence(name, "", "", late=False, t=0))
            case _:
                pass
        if isinstance(said.data, EvidenceSubmitted):
            digest = (said.data.by, said.data.sha256)
            if digest in order.evidence_digests:
                few.met(*digest)
    return few
