"""Shipment facts: what a carrier says; they never move money but for its proof of loss."""

from typing import Literal

from schemas.money import AmountMinor, Currency
from schemas.words import Id, Text, WireModel


class ShipmentDispatched(WireModel):
    """The parcel is on its way."""

    order_id: Id
    shipment_id: Id
    carrier: Text
    tracking_number: Text


class ShipmentDelivered(WireModel):
    """The carrier handed the parcel over; no confirmation by the buyer (P1)."""

    order_id: Id
    shipment_id: Id
    signed_by: Text | None = None
    packaging: Literal["intact", "damaged", "unknown"] | None = None


class ShipmentLost(WireModel):
    """The carrier lost the parcel."""

    order_id: Id
    shipment_id: Id


class ShipmentReturned(WireModel):
    """The parcel goes back to the supplier."""

    order_id: Id
    shipment_id: Id
    cause: Literal["undeliverable", "refused_by_buyer", "customs", "damaged"]


class ShipmentCustomsCharged(WireModel):
    """Customs charges, the buyer's own (P10): recorded, never part of a refund."""

    order_id: Id
    shipment_id: Id
    amount_minor: AmountMinor
    currency: Currency
