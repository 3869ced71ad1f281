"""What can or will happen to an order next, by whom, from when: open deadlines, waiting commands.

`due_at` is ms UTC; None: it depends on somebody, not on time.
"""

from collections.abc import Iterator
from typing import NamedTuple

from escrow.policy import DAY_MS, policy_of
from escrow.policy_text import duration
from escrow.rules.refund_requests import mediation_eligible_at
from escrow.silence import silence_of
from escrow.state import Escrow
from ops.plain_words import short
from schemas.money import format_amount
from storage.dossiers import CommandRow, Dossier


class Prospect(NamedTuple):
    """One thing that may come, or is awaited."""

    text: str
    rule: str
    due_at: int | None = None


def prospects(dossier: Dossier, row: Escrow, now: int) -> Iterator[Prospect]:
    """All that is open, the order's own first."""
    yield from _of_status(dossier, row, now)
    for sent in dossier.commands:
        yield from _of_command(sent, row, now)
    for parked in dossier.parked:
        if parked.expires_at is not None:
            text = f"the fact parked as no. {parked.no} becomes a dead letter if it still waits"
            yield Prospect(text, "RULES 3.3", parked.expires_at)


def _of_status(dossier: Dossier, row: Escrow, now: int) -> Iterator[Prospect]:
    match row.status:
        case None:
            yield Prospect("everything waits for the payment (payment.captured)", "RULES 3.3")
        case "NOT_PROTECTED":
            yield Prospect("the buyer may pay again, through escrow", "RULES 4.1, P8")
        case "HELD":
            text = f"buyer {row.buyer_id} may confirm delivery: all goes to the supplier"
            yield Prospect(text, "RULES 4.3, P1")
            yield from _of_buyer(row)
        case "DISPUTED":
            yield from _of_dispute(row)
            yield from _of_supplier(row)
            yield _mediation(row, now)
        case "IN_MEDIATION":
            yield from _of_dispute(row)
            yield Prospect("the mediator rules; the ruling is final", "RULES 4.5, P6")
        case "FROZEN":
            open_ids = [c.chargeback_id for c in dossier.chargebacks if c.state == "open"]
            yield Prospect(
                f"the card network closes chargeback {', '.join(open_ids)}: if won, back to"
                f" {row.frozen_from}; if lost, it takes the money",
                "RULES 4.1",
            )
        case _ if all(sent.command.state == "SETTLED" for sent in dossier.commands):
            yield Prospect("nothing: the order is settled and the money has moved", "P4")


def _of_buyer(row: Escrow) -> Iterator[Prospect]:
    silence = silence_of(row)
    if silence is None:
        yield Prospect("or ask for a refund; nothing is released by itself", "P1, P2, P3")
        return
    yield Prospect("or ask for a refund", "P2, P3")
    text = "silence until then confirms it, if every parcel has been delivered"
    yield Prospect(text, "RULES 4.9 auto_confirm_after", silence.due_at)


def _of_supplier(row: Escrow) -> Iterator[Prospect]:
    silence = silence_of(row)
    if silence is not None:
        text = f"supplier {row.supplier_id}'s silence until then accepts the buyer's offer"
        yield Prospect(text, "RULES 4.9 supplier_silence", silence.due_at)


def _of_dispute(row: Escrow) -> Iterator[Prospect]:
    if row.offer_id is None or row.offer_minor is None:
        yield Prospect("either side may make an offer", "RULES 4.3, P3")
        return
    other, name = (
        ("supplier", row.supplier_id) if row.offer_by == "buyer" else ("buyer", row.buyer_id)
    )
    amount = format_amount(row.offer_minor, row.currency)
    yield Prospect(
        f"{other} {name} may accept offer {row.offer_id} ({amount}), decline it, or make another",
        "RULES 4.3, P3",
    )


def _mediation(row: Escrow, now: int) -> Prospect:
    eligible_at = mediation_eligible_at(row)
    who = f"buyer {row.buyer_id} may ask for the mediator"
    if now >= eligible_at:
        return Prospect(f"{who} (request {row.request_id})", "RULES 4.4, P5")
    assert row.first_requested_at is not None
    after = _span(eligible_at - row.first_requested_at)
    return Prospect(f"{who}, {after} after the first request", "RULES 4.4, P5", eligible_at)


def _span(ms: int) -> str:
    return "ten days" if ms == 10 * DAY_MS else duration(ms)


def _of_command(sent: CommandRow, row: Escrow, now: int) -> Iterator[Prospect]:
    command = sent.command
    name = f"{command.kind} {short(command.command_id)}"
    patience_ms = policy_of(row.policy_version, command.asked_at).gateway_patience_ms
    if sent.hold is not None:
        yield Prospect(f"{name} is held until a person decides ({sent.hold})", "RULES 4.6")
    elif command.state in ("PENDING", "ACCEPTED") and sent.unsent:
        yield Prospect(f"{name} waits for the relay to send it", "RULES 4.6")
    elif command.state in ("PENDING", "ACCEPTED"):
        silent_at = command.asked_at + patience_ms
        if now >= silent_at:
            text = f"{name} has had no final answer, and the gateway is asked about it"
            yield Prospect(text, "RULES 4.6")
        else:
            text = f"the gateway answers to {name}, or it is reported as silent"
            yield Prospect(text, "RULES 4.6", silent_at)
    elif command.state in ("FAILED", "RETURNED") and command.reissue_id is None:
        text = f"a person looks at {name}, then: escrow commands reissue {command.command_id}"
        yield Prospect(text, "RULES 4.6")
