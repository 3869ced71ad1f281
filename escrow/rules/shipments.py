"""Carriers never move money; what they prove is looked at after every applied fact (RULES 4.2)."""

from typing import assert_never

from escrow.decision import Applied, Outcome
from escrow.state import Order, Shipment
from schemas.shipments import (
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentLost,
    ShipmentReturned,
)

Shipped = ShipmentDispatched | ShipmentDelivered | ShipmentLost | ShipmentReturned


def shipped(order: Order, data: Shipped) -> Outcome:
    """The first fact creates the shipment, the last one wins; but a dispatch overrides nothing."""
    old = order.shipments.get(data.shipment_id)
    new: Shipment
    match data:
        case ShipmentDispatched():
            new = old or Shipment(data.shipment_id, "dispatched", None)
        case ShipmentDelivered():
            new = Shipment(data.shipment_id, "delivered", None)
        case ShipmentLost():
            new = Shipment(data.shipment_id, "lost", None)
        case ShipmentReturned():
            new = Shipment(data.shipment_id, "returned", data.cause)
        case _:
            assert_never(data)
    escrow = order.escrow
    if new == old:
        return Applied(escrow)
    failed = new.failed - (old is not None and old.failed)
    if old is None or failed:
        escrow = escrow._replace(
            shipments_known=escrow.shipments_known + (old is None),
            shipments_failed=escrow.shipments_failed + failed,
        )
    return Applied(escrow, children=(new,))


def customs_charged(order: Order) -> Outcome:
    """P10: the buyer's own; the fact is its record, and no shipment comes of it."""
    return Applied(order.escrow)
