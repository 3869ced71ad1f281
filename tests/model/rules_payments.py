"""Captures and chargebacks, RULES 4.1."""

from tests.model import policy
from tests.model.door import Fact
from tests.model.rules_commands import decide_command
from tests.model.state import (
    APPLIED,
    Answer,
    Chargeback,
    Order,
    number,
    refused,
    text,
)


def captured(order: Order, fact: Fact, payments: dict[str, str]) -> Answer:
    payment_id = text(fact, "payment_id")
    owner = payments.get(payment_id)
    if owner is not None:
        if owner == order.order_id:
            return refused("payment_exists")
        order.alarms.append("payment_reused")
        return refused("payment_reused")
    through_escrow = fact.data["paid_through"] == "escrow"
    if order.status not in {None, "NOT_PROTECTED"}:
        if not through_escrow:
            return refused("not_paid_through_escrow")
        payments[payment_id] = order.order_id
        send_back(order, fact, "duplicate_payment")
        return APPLIED
    payments[payment_id] = order.order_id
    order.currency = text(fact, "currency")
    order.buyer_id = text(fact, "buyer_id")
    order.supplier_id = text(fact, "supplier_id")
    if not through_escrow:
        order.status = "NOT_PROTECTED"
        return Answer("applied", "not_paid_through_escrow")
    code = None
    if fact.data["agreement_accepted"] is False:
        code = "agreement_not_accepted"
    elif fact.data["method"] not in policy.METHODS:
        code = "method_not_supported"
    if code is not None:
        order.status = "NOT_PROTECTED"
        send_back(order, fact, "not_eligible")
        return Answer("applied", code)
    order.status = "HELD"
    order.payment_id = payment_id
    order.captured = order.held = number(fact, "amount_minor")
    return APPLIED


def send_back(order: Order, fact: Fact, purpose: str) -> None:
    """The whole of this payment, in its own currency, to its own buyer."""
    decide_command(
        order,
        kind="refund",
        purpose=purpose,
        payment_id=text(fact, "payment_id"),
        party_id=text(fact, "buyer_id"),
        amount_minor=number(fact, "amount_minor"),
        currency=text(fact, "currency"),
    )


def charged_back(order: Order, fact: Fact) -> Answer:
    chargeback_id = text(fact, "chargeback_id")
    if chargeback_id in order.chargebacks:
        return refused("chargeback_exists")
    amount, currency = number(fact, "amount_minor"), text(fact, "currency")
    matching = order.status != "NOT_PROTECTED" and fact.data["payment_id"] == order.payment_id
    order.chargebacks[chargeback_id] = Chargeback(amount, currency, matching)
    if not matching:
        order.alarms.append("chargeback_unmatched")
        return APPLIED
    if currency != order.currency or amount > order.captured:
        order.alarms.append("chargeback_mismatch")
    if order.is_settled:
        order.alarms.append("chargeback_after_settlement")
    elif order.status != "FROZEN":
        order.status_before_freeze = order.status
        order.status = "FROZEN"
    return APPLIED


def chargeback_closed(order: Order, fact: Fact) -> Answer:
    chargeback = order.chargebacks.get(text(fact, "chargeback_id"))
    if chargeback is None:
        return refused("no_such_chargeback")
    if not chargeback.is_open:
        return refused("chargeback_is_closed")
    chargeback.is_open = False
    lost = fact.data["outcome"] == "lost"
    own_currency = chargeback.currency == order.currency
    if chargeback.matching and order.status == "FROZEN":
        if lost:
            lose_held(order, chargeback, own_currency=own_currency)
        if order.held == 0:
            order.status = "CHARGED_BACK"
            order.settled_by = "card_network"
        elif not any(c.is_open and c.matching for c in order.chargebacks.values()):
            order.status = order.status_before_freeze
            order.status_before_freeze = None
        else:
            order.notes.append("another chargeback keeps it frozen")
    elif chargeback.matching and lost and own_currency:
        assert order.is_settled
        if order.status == "CHARGED_BACK":
            order.notes.append("lost again after all was charged back")
        lose_settled(order, chargeback.amount_minor)
    elif lost:
        if chargeback.matching:
            order.notes.append("lost after settlement in another currency")
        order.alarms.append("chargeback_unmatched_lost")
    return APPLIED


def lose_held(order: Order, chargeback: Chargeback, *, own_currency: bool) -> None:
    """The card network has taken the money out of what is held."""
    taken = min(chargeback.amount_minor, order.held) if own_currency else order.held
    excess = chargeback.amount_minor - taken if own_currency else 0
    order.held -= taken
    order.charged_back += taken
    if excess > 0:
        order.loss += excess
        order.alarms.append("chargeback_over_held")


def lose_settled(order: Order, amount: int) -> None:
    """The settled figures never change; the supplier owes what he was paid, the rest is lost."""
    debt = min(amount, order.paid_out - order.supplier_debt)
    order.supplier_debt += debt
    order.loss += amount - debt
    if order.refunded > 0:
        order.alarms.append("double_loss")
