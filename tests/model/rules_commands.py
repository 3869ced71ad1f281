"""Settlement, commands and what gateways say of them, RULES 4.6."""

import hashlib

from tests.model import policy
from tests.model.door import Fact
from tests.model.state import APPLIED, Answer, Command, Order, parked, refused, text

FINAL = ("SETTLED", "FAILED", "RETURNED")


def short_digest(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:32]


def decide_command(
    order: Order,
    *,
    kind: str,
    purpose: str,
    payment_id: str,
    party_id: str,
    amount_minor: int,
    currency: str,
) -> None:
    """A new command; n counts this order's commands of this kind, reissues apart, from 1."""
    n = 1 + sum(c.kind == kind and c.purpose != "reissue" for c in order.commands)
    command_id = short_digest(f"{order.order_id}\n{kind}\n{n}")
    order.commands.append(
        Command(command_id, kind, purpose, payment_id, party_id, amount_minor, currency)
    )


def settle(order: Order, wanted: int, decided_by: str) -> None:
    """Divides all that is available between buyer (at most `wanted`) and supplier, once."""
    assert not order.is_settled
    assert order.payment_id is not None
    available = order.available
    assert order.held == available > 0
    refund = min(wanted, available)
    if wanted > available:
        order.notes.append("settled with less than was offered")
    payout = available - refund
    order.status = "RELEASED" if refund == 0 else "REFUNDED" if payout == 0 else "SPLIT"
    order.settled_by = decided_by
    order.held, order.refunded, order.paid_out = 0, refund, payout
    order.request = order.offer = None
    for kind, party_id, amount in (
        ("refund", order.buyer_id, refund),
        ("payout", order.supplier_id, payout),
    ):
        if amount > 0:
            decide_command(
                order,
                kind=kind,
                purpose="settlement",
                payment_id=order.payment_id,
                party_id=party_id,
                amount_minor=amount,
                currency=order.currency,
            )


def gateway_result(order: Order, fact: Fact) -> Answer:
    command = order.command(text(fact, "command_id"))
    if command is None:
        return parked("awaiting_command")
    money = (fact.data["amount_minor"], fact.data["currency"])
    if money != (command.amount_minor, command.currency):
        order.alarms.append("gateway_mismatch")
        return refused("amount_mismatch")
    said = fact.type.removeprefix("gateway.")
    if said == "accepted":
        if command.state not in FINAL:
            command.state = "ACCEPTED"
        return APPLIED
    unacceptable = {
        "settled": ("SETTLED", "RETURNED"),
        "failed": FINAL,
        "returned": ("RETURNED",),
    }[said]
    if command.state in unacceptable:
        return refused(f"command_is_{command.state.lower()}")
    if said == "settled":
        command.state = "SETTLED"
        if command.reissued:
            order.alarms.append("settled_after_reissue")
    elif said == "returned":
        command.state = "RETURNED"
        order.alarms.append("command_returned")
    else:
        fail(order, command, retryable=fact.data.get("retryable") is True)
    return APPLIED


def fail(order: Order, command: Command, *, retryable: bool) -> None:
    if retryable and command.failures < policy.MAX_ATTEMPTS - 1:
        command.state = "PENDING"
        command.attempt += 1
    else:
        command.state = "FAILED"
        order.alarms.append("command_failed")
    command.failures += 1


def reissued(order: Order, fact: Fact) -> Answer:
    old = order.command(text(fact, "command_id"))
    if old is None:
        return parked("awaiting_command")
    if old.state not in {"FAILED", "RETURNED"}:
        return refused("command_not_final")
    if old.reissued:
        return refused("command_is_reissued")
    old.reissued = True
    order.commands.append(
        Command(
            command_id=short_digest(f"{old.command_id}\nreissue"),
            kind=old.kind,
            purpose="reissue",
            payment_id=old.payment_id,
            party_id=old.party_id,
            amount_minor=old.amount_minor,
            currency=old.currency,
            decided_by=old.decided_by,
        )
    )
    return APPLIED
