"""What the model remembers of an order; plain mutable records."""

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.door import Fact
from tests.model.strict_json import Json

SETTLED = ("RELEASED", "REFUNDED", "SPLIT", "CHARGED_BACK")
IN_DISPUTE = ("DISPUTED", "IN_MEDIATION")


class Answer(NamedTuple):
    """What became of a fact (RULES 3) and its code."""

    outcome: str
    code: str | None = None


APPLIED = Answer("applied")


def refused(code: str) -> Answer:
    return Answer("refused", code)


def parked(code: str) -> Answer:
    return Answer("parked", code)


def dead(code: str) -> Answer:
    return Answer("dead_letter", code)


@dataclass
class Command:
    """One order to a gateway (RULES 4.6)."""

    command_id: str
    kind: str  # refund | payout
    purpose: str
    payment_id: str
    party_id: str
    amount_minor: int
    currency: str
    state: str = "PENDING"
    attempt: int = 1
    failures: int = 0
    reissued: bool = False
    decided_by: str | None = None  # null where nothing was settled
    cause: dict[str, Json] = field(default_factory=dict)  # source and id of the deciding fact


@dataclass
class Chargeback:
    """Whether it matches is decided when it is recorded (RULES 4.1)."""

    amount_minor: int
    currency: str
    matching: bool
    is_open: bool = True


@dataclass
class Request:
    """An open refund request."""

    request_id: str
    reason: str


@dataclass
class Offer:
    """The open offer."""

    offer_id: str
    by: str
    amount_minor: int


@dataclass
class Parked:
    """A fact that waits; `line` is where its outcome belongs, `code` why it waits."""

    line: int
    fact: Fact
    code: str


@dataclass
class Order:
    """An order from its first fact on; `status` is None while it has no escrow row."""

    order_id: str
    status: str | None = None
    status_before_freeze: str | None = None
    settled_by: str | None = None
    ruling: tuple[str, int | None] | None = None  # outcome and refund_minor of the one that settled
    payment_id: str | None = None
    buyer_id: str = ""
    supplier_id: str = ""
    currency: str = ""
    captured: int = 0
    held: int = 0
    refunded: int = 0
    paid_out: int = 0
    charged_back: int = 0
    supplier_debt: int = 0
    loss: int = 0
    request: Request | None = None
    offer: Offer | None = None
    first_requested_at: int | None = None
    used_ids: set[str] = field(default_factory=set)  # of requests and offers
    evidence_ids: set[str] = field(default_factory=set)
    evidence_digests: set[tuple[str, str]] = field(default_factory=set)  # by, sha256
    shipments: dict[str, str] = field(default_factory=dict)  # last state; returned:CAUSE
    chargebacks: dict[str, Chargeback] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # rare branches taken, for the coverage

    @property
    def available(self) -> int:
        """RULES 1: what a settlement can divide."""
        return self.captured - self.charged_back

    @property
    def is_settled(self) -> bool:
        return self.status in SETTLED

    @property
    def buyer_or_supplier(self) -> dict[str, str]:
        return {"buyer": self.buyer_id, "supplier": self.supplier_id}

    def command(self, command_id: str) -> Command | None:
        return next((c for c in self.commands if c.command_id == command_id), None)


def text(fact: Fact, name: str) -> str:
    """A field that the door has found to be a text."""
    value = fact.data[name]
    assert isinstance(value, str)
    return value


def number(fact: Fact, name: str) -> int:
    """A field that the door has found to be an integer."""
    value = fact.data[name]
    assert isinstance(value, int)
    return value
