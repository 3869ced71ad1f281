"""Shipments (RULES 4.2), confirmation, requests, offers, evidence (4.3), mediation (4.4), rulings (4.5)."""

from tests.model import policy
from tests.model.door import Fact
from tests.model.rules_commands import settle
from tests.model.state import (
    APPLIED,
    Answer,
    Offer,
    Order,
    Request,
    number,
    parked,
    refused,
    text,
)


def shipment(order: Order, fact: Fact) -> Answer:
    kind = fact.type.removeprefix("shipment.")
    shipment_id = text(fact, "shipment_id")
    if kind == "dispatched":
        order.shipments.setdefault(shipment_id, kind)
    elif kind == "returned":
        order.shipments[shipment_id] = f"returned:{text(fact, 'cause')}"
    elif kind != "customs_charged":
        order.shipments[shipment_id] = kind
    return APPLIED


def is_open_request(order: Order, request_id: object) -> bool:
    return order.request is not None and order.request.request_id == request_id


def delivery_confirmed(order: Order, fact: Fact) -> Answer:
    withdraws = fact.data.get("withdraws_request_id")
    if order.status != "HELD" and not is_open_request(order, withdraws):
        return refused("request_open")
    settle(order, 0, "buyer")
    return APPLIED


def requested(order: Order, fact: Fact) -> Answer:
    request_id, amount = text(fact, "request_id"), number(fact, "amount_minor")
    reason = text(fact, "reason")
    if request_id in order.used_ids:
        return refused("request_exists")
    if order.request is not None:
        return refused("request_open")
    if amount > order.available:
        return refused("amount_out_of_range")
    if reason == "not_arrived" and amount != order.available:
        return refused("full_refund_only")
    order.used_ids.add(request_id)
    order.status = "DISPUTED"
    order.request = Request(request_id, reason)
    order.offer = Offer(request_id, "buyer", amount)
    if order.first_requested_at is None:
        order.first_requested_at = fact.t
    return APPLIED


def offered(order: Order, fact: Fact) -> Answer:
    offer_id, amount = text(fact, "offer_id"), number(fact, "amount_minor")
    if order.status == "HELD":
        return refused("no_open_request")
    if not is_open_request(order, fact.data["request_id"]):
        return refused("no_such_request")
    if offer_id in order.used_ids:
        return refused("offer_exists")
    if amount > order.available:
        return refused("amount_out_of_range")
    order.used_ids.add(offer_id)
    order.offer = Offer(offer_id, text(fact, "by"), amount)
    return APPLIED


def offer_answered(order: Order, fact: Fact) -> Answer:
    if order.status == "HELD":
        return refused("no_open_request")
    offer = order.offer
    if offer is None or fact.data["offer_id"] != offer.offer_id:
        return refused("offer_not_open")
    if fact.data["by"] == offer.by:
        return refused("own_offer")
    if fact.type == "refund.offer_accepted":
        settle(order, offer.amount_minor, "agreement")
    else:
        order.offer = None
    return APPLIED


def withdrawn(order: Order, fact: Fact) -> Answer:
    if order.status == "HELD":
        return refused("no_open_request")
    if not is_open_request(order, fact.data["request_id"]):
        return refused("no_such_request")
    order.status = "HELD"
    order.request = order.offer = None
    return APPLIED


def evidence(order: Order, fact: Fact) -> Answer:
    evidence_id = text(fact, "evidence_id")
    digest = (text(fact, "by"), text(fact, "sha256"))
    if evidence_id in order.evidence_ids or digest in order.evidence_digests:
        return refused("evidence_exists")
    order.evidence_ids.add(evidence_id)
    order.evidence_digests.add(digest)
    return APPLIED


def mediation_requested(order: Order, fact: Fact) -> Answer:
    if order.status == "HELD":
        return refused("no_open_request")
    if order.status == "IN_MEDIATION":
        return refused("already_in_mediation")
    if not is_open_request(order, fact.data["request_id"]):
        return refused("no_such_request")
    assert order.first_requested_at is not None
    if fact.t < order.first_requested_at + policy.MEDIATION_AFTER:
        return refused("too_early")
    order.status = "IN_MEDIATION"
    order.offer = None
    return APPLIED


def ruling(order: Order, fact: Fact) -> Answer:
    outcome = text(fact, "outcome")
    amount = number(fact, "refund_minor") if outcome == "refund_partial" else None
    if order.settled_by == "ruling":
        if order.ruling == (outcome, amount):
            return refused("already_ruled")
        order.alarms.append("ruling_final")
        return refused("ruling_final")
    if order.is_settled:
        return refused("already_settled")
    if order.status == "FROZEN":
        return parked("awaiting_chargeback")
    if order.status != "IN_MEDIATION":
        return parked("awaiting_mediation")
    if not is_open_request(order, fact.data["request_id"]):
        return refused("no_such_request")
    if amount is not None and not 1 <= amount <= order.available - 1:
        return refused("amount_out_of_range")
    refund = {"refund_full": order.available, "refund_partial": amount, "release": 0}[outcome]
    assert refund is not None
    settle(order, refund, "ruling")
    order.ruling = (outcome, amount)
    return APPLIED
