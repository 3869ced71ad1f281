"""All that buyer and supplier say about an order, on one topic, so that their words keep order."""

from typing import Literal

from schemas.money import AmountMinor, Currency
from schemas.words import Id, Note, Sha256Hex, SizeBytes, Text, Uri, WireModel

Party = Literal["buyer", "supplier"]


class DeliveryConfirmed(WireModel):
    """The buyer confirms satisfactory delivery: the only release without agreement or ruling."""

    order_id: Id
    buyer_id: Id
    withdraws_request_id: Id | None = None


class RefundRequested(WireModel):
    """The buyer asks for money back; the request is itself the first offer."""

    order_id: Id
    request_id: Id
    buyer_id: Id
    reason: Literal["not_arrived", "not_as_described", "damaged", "other"]
    amount_minor: AmountMinor
    currency: Currency
    note: Note | None = None


class RefundOffered(WireModel):
    """An offer or counter-offer of a refund; it replaces the open one."""

    order_id: Id
    request_id: Id
    offer_id: Id
    by: Party
    party_id: Id
    amount_minor: AmountMinor
    currency: Currency


class RefundOfferAccepted(WireModel):
    """The other side takes the open offer: the order settles with its amount."""

    order_id: Id
    offer_id: Id
    by: Party
    party_id: Id


class RefundOfferDeclined(WireModel):
    """The other side declines the open offer; the request stays open."""

    order_id: Id
    offer_id: Id
    by: Party
    party_id: Id


class RefundWithdrawn(WireModel):
    """The buyer withdraws the open request."""

    order_id: Id
    request_id: Id
    buyer_id: Id


class EvidenceSubmitted(WireModel):
    """A pointer to evidence, by digest; the pipeline never holds the evidence itself."""

    order_id: Id
    evidence_id: Id
    by: Party
    party_id: Id
    kind: Literal["chat_history", "photo", "video", "document"]
    sha256: Sha256Hex
    size_bytes: SizeBytes
    media_type: Text
    uri: Uri | None = None


class MediationRequested(WireModel):
    """The buyer asks for the mediator, ten days after the initial request at the earliest."""

    order_id: Id
    request_id: Id
    buyer_id: Id
