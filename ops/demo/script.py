"""What happens in the story: facts in the order in which they are told, each with what must follow.

Nothing here is shown unless the pipeline has really said it: `ops/demo/teller.py` waits for that.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from schemas.commands import Kind
from schemas.money import format_amount
from schemas.reasons import Outcome


@dataclass(frozen=True, kw_only=True)
class Becomes:
    """`order.changed` says this status."""

    status: str


@dataclass(frozen=True, kw_only=True)
class Refused:
    """`fact.refused` says this code."""

    code: str


@dataclass(frozen=True, kw_only=True)
class Pays:
    """A command of this kind and amount goes out, and the gateway answers that it is settled."""

    kind: Kind
    amount_minor: int


@dataclass(frozen=True, kw_only=True)
class Tells:
    """The order is told of something that no sender said: `mediation.available`."""

    type: str


@dataclass(frozen=True, kw_only=True)
class DeadLetter:
    """The record ends as a dead letter of this code."""

    code: str


Answer = Becomes | Refused | Pays | Tells | DeadLetter


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One record sent, and all that must follow from it. No answers: it is only recorded."""

    day: float  # since the story began
    who: str
    type: str
    shows: str  # what a reader should know of the data
    data: dict[str, Any]  # without order_id
    outcome: Outcome = "applied"
    answers: tuple[Answer, ...] = ()
    again: bool = False  # the very record that was sent for this type before
    raw: bytes | None = None  # sent instead of the data


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A few beats of one order."""

    title: str
    order: str
    beats: tuple[Beat, ...]
    closing: str = ""  # one line of what this has shown


@dataclass(frozen=True, kw_only=True)
class Deal:
    """Who buys what from whom, for how much."""

    order: str
    amount_minor: int
    currency: str
    method: str = "visa"
    supplier: str = "supplier-lin"
    buyer: str = field(default="buyer-ada")

    def money(self, amount_minor: int | None = None) -> str:
        """For people."""
        return format_amount(
            self.amount_minor if amount_minor is None else amount_minor, self.currency
        )

    def amount(self, amount_minor: int | None = None) -> dict[str, Any]:
        """For facts."""
        wanted = self.amount_minor if amount_minor is None else amount_minor
        return {"amount_minor": wanted, "currency": self.currency}

    def party(self, by: str) -> dict[str, str]:
        """`by` and `party_id` of a fact."""
        return {"by": by, "party_id": self.buyer if by == "buyer" else self.supplier}

    def captured(self, day: float = 0) -> Beat:
        """It is paid into escrow."""
        data = {
            "payment_id": f"pay-{self.order}",
            "buyer_id": self.buyer,
            "supplier_id": self.supplier,
            **self.amount(),
            "method": self.method,
            "paid_through": "escrow",
            "agreement_accepted": True,
        }
        return Beat(
            day=day,
            who="checkout",
            type="payment.captured",
            shows=f"{self.money()}, {self.method}",
            data=data,
            answers=(Becomes(status="HELD"),),
        )

    def shipment(self, day: float, what: str, shows: str, **data: Any) -> Beat:
        """The carrier says where it is."""
        return Beat(
            day=day,
            who="carrier",
            type=f"shipment.{what}",
            shows=shows,
            data={"shipment_id": f"ship-{self.order}", **data},
        )

    def dispatched(self, day: float) -> Beat:
        """It is on its way."""
        tracking = {"carrier": "north-parcel", "tracking_number": f"NP {self.order}"}
        return self.shipment(day, "dispatched", "by north-parcel", **tracking)

    def says(self, day: float, who: str, type_name: str, shows: str, /, **data: Any) -> Beat:
        """Buyer or supplier say something; `data` as the type wants it."""
        return Beat(day=day, who=who, type=type_name, shows=shows, data=data)


DAYS: Final = 16  # that the story takes, at most
