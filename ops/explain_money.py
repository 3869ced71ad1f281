"""Where the money of an order is, part by part, and what made its status what it is."""

from typing import Final

from escrow.arrival import Decided
from escrow.state import SETTLED, Escrow
from ops.plain_words import rule_of, short
from schemas.money import format_amount
from storage.dossiers import CommandRow

# decided_by → what settled the order, and under which rule
_SETTLED_BY: Final[dict[str, tuple[str, str]]] = {
    "buyer": ("The buyer's confirmation releases all to the supplier.", "RULES 4.3, P1"),
    "agreement": ("Both sides agreed; one settlement completes the order.", "RULES 4.3, P3, P4"),
    "ruling": ("The mediator has decided, and that is final.", "RULES 4.5, P6"),
    "carrier": (
        "Every parcel is lost or undeliverable while a request for what did not arrive is open.",
        "RULES 3.4, P2",
    ),
    "card_network": ("The card network took all that was held.", "RULES 4.1"),
}
_STATUS_MEANS: Final[dict[str, str]] = {
    "HELD": "The payment is protected and held until the buyer confirms, or asks it back.",
    "DISPUTED": "A refund request is open; the money stays until it is answered.",
    "IN_MEDIATION": "The mediator decides now, unless both sides still agree.",
    "FROZEN": "A chargeback is open; nothing moves until it is closed.",
    "NOT_PROTECTED": "The payment is not protected; nothing is held.",
}
_BACK_TO_HELD: Final = "The request is withdrawn: held as before; the ten days go on counting."


def why_status(step: Decided) -> tuple[str, str]:
    """What the last change of status in this decision means, and its rule."""
    change = step.changes[-1]
    status = change.escrow.status
    assert status is not None, "no fact leads back to an order without an escrow"
    if status in SETTLED:
        return _SETTLED_BY[change.escrow.decided_by or ""]
    if status == "HELD" and change.old in ("DISPUTED", "IN_MEDIATION"):
        return _BACK_TO_HELD, rule_of(step.fact.type)
    return _STATUS_MEANS[status], rule_of(step.fact.type)


def where_money_is(row: Escrow, commands: list[CommandRow]) -> list[str]:
    """One line a part of the money; they add up to what was captured."""
    if row.status is None:
        return ["Nothing has been paid for this order."]
    lines: list[str] = []
    for amount, words in (
        (row.held_minor, f"held in escrow, paid by {row.buyer_id}"),
        (row.refunded_minor, f"back to buyer {row.buyer_id}{_by(commands, 'refund')}"),
        (row.paid_out_minor, f"to supplier {row.supplier_id}{_by(commands, 'payout')}"),
        (row.charged_back_minor, "taken back by the card network"),
        (row.supplier_debt_minor, f"owed to us by supplier {row.supplier_id} (chargeback)"),
        (row.loss_minor, "lost by the platform (chargeback)"),
    ):
        if amount:
            lines.append(f"{format_amount(amount, row.currency)} {words}")
    for sent in commands:
        command = sent.command
        if command.purpose in ("duplicate_payment", "not_eligible"):
            amount_text = format_amount(command.amount_minor, command.currency)
            why = {
                "duplicate_payment": "paid a second time",
                "not_eligible": "not eligible for protection",
            }[command.purpose]
            lines.append(
                f"{amount_text} of payment {command.payment_id} sent back to buyer"
                f" {command.party_id}, {why} ({_state(sent)})"
            )
    return lines or ["Nothing is held: this payment never went through escrow."]


def _by(commands: list[CommandRow], kind: str) -> str:
    """The settlement command that moves it, and its last reissue if there is one."""
    mine = [sent for sent in commands if sent.command.kind == kind]
    current = next((sent for sent in mine if sent.command.purpose == "settlement"), None)
    by_id = {sent.command.command_id: sent for sent in mine}
    while current is not None and current.command.reissue_id in by_id:
        current = by_id[current.command.reissue_id]
    return "" if current is None else f" ({_state(current)})"


def _state(sent: CommandRow) -> str:
    command = sent.command
    name = f"{command.kind} {short(command.command_id)}"
    if command.attempt > 1:
        name += f", attempt {command.attempt},"
    match command.state:
        case "PENDING" if sent.hold is not None:
            return f"{name} is held for a person"
        case "PENDING" if sent.unsent:
            return f"{name} waits to be sent"
        case "PENDING":
            return f"{name} is with the gateway"
        case "ACCEPTED":
            return f"{name} was accepted by the gateway"
        case "SETTLED":
            return f"{name} is settled: the money has moved"
        case "FAILED":
            return f"{name} has failed for good"
        case "RETURNED":
            return f"{name}: the money came back to us"
