"""A mediator's ruling: what each one would pay is shown before one is issued, as a fact on its topic.

The preview is the rule itself, run over the stored facts; whether a ruling holds, the stage decides.
"""

from typing import Final, Literal, NamedTuple
from uuid import uuid4

from ops.foretell import Foreteller, Foretold
from ops.said_by_people import CannotSay, fact_record
from schemas.door import Fact, Record
from storage.reading import Snapshot

SOURCE: Final = "/escrow/mediators"
Outcome = Literal["refund_full", "refund_partial", "release"]


class CannotRule(Exception):
    """There is nothing to rule on, or the ruling is not valid; the text says why."""


class Ruling(NamedTuple):
    """What the mediator decides. `refund_minor` stands with `refund_partial` alone."""

    outcome: Outcome
    refund_minor: int | None = None
    rationale: str | None = None


class Preview(NamedTuple):
    """What one ruling would do, minor units of the order's currency."""

    ruling: Ruling
    told: Foretold
    to_buyer_minor: int
    to_supplier_minor: int


def ruling_record(
    connection: Snapshot, order_id: str, ruling: Ruling, mediator_id: str, t: int
) -> tuple[Record, Fact]:
    """The record to publish for the order's open request. Raises CannotRule."""
    row = Foreteller(connection, None).order(order_id).escrow
    if row.status != "IN_MEDIATION":
        state = "nothing of it is known" if row.status is None else f"it is {row.status}"
        raise CannotRule(f"order {order_id} is not in mediation: {state}")
    data = {
        "order_id": order_id,
        "ruling_id": uuid4().hex,
        "request_id": row.request_id,
        "mediator_id": mediator_id,
        "outcome": ruling.outcome,
        "refund_minor": ruling.refund_minor,
        "rationale": ruling.rationale,
    }
    try:
        return fact_record("ruling.issued", SOURCE, order_id, data, t)
    except CannotSay as error:
        raise CannotRule(str(error)) from None


def preview(connection: Snapshot, order_id: str, ruling: Ruling, t: int) -> Preview:
    """What this ruling would do if it came at `t` (ms UTC). Raises CannotRule."""
    record, _ = ruling_record(connection, order_id, ruling, "preview", t)
    told = Foreteller(connection, None).foretell(record)
    paid = {command.kind: command.amount_minor for command in told.commands}
    return Preview(ruling, told, paid.get("refund", 0), paid.get("payout", 0))


def previews(connection: Snapshot, order_id: str, t: int) -> list[Preview]:
    """The rulings that need no amount, and an even split where there is one."""
    available = Foreteller(connection, None).order(order_id).escrow.available_minor
    rulings = [Ruling("refund_full"), Ruling("release")]
    if available > 1:
        rulings.insert(1, Ruling("refund_partial", available // 2))
    return [preview(connection, order_id, ruling, t) for ruling in rulings]
