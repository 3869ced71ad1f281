"""What an order is: one frozen row of money and status, and the children that facts name.

`captured = held + refunded + paid_out + charged_back` holds in every `Escrow` that leaves a rule.
"""

from collections.abc import MutableMapping
from typing import Final, Literal, NamedTuple

from schemas.commands import DecidedBy, Kind, Purpose
from schemas.door import Fact
from schemas.reasons import ParkCode

Status = Literal[
    "HELD",
    "DISPUTED",
    "IN_MEDIATION",
    "FROZEN",
    "RELEASED",
    "REFUNDED",
    "SPLIT",
    "CHARGED_BACK",
    "NOT_PROTECTED",
]
SETTLED: Final[frozenset[str | None]] = frozenset(("RELEASED", "REFUNDED", "SPLIT", "CHARGED_BACK"))
DISPUTE_OPEN: Final[frozenset[str | None]] = frozenset(("DISPUTED", "IN_MEDIATION"))
CommandState = Literal["PENDING", "ACCEPTED", "SETTLED", "FAILED", "RETURNED"]


class Escrow(NamedTuple):
    """The order's row. `status` None: no escrow yet, the row only serves as a lock."""

    order_id: str
    status: Status | None = None
    frozen_from: Status | None = None  # what FROZEN goes back to
    policy_version: int | None = None  # pinned when the money is held
    payment_id: str | None = None
    buyer_id: str = ""
    supplier_id: str = ""
    currency: str = ""
    captured_minor: int = 0
    held_minor: int = 0
    refunded_minor: int = 0
    paid_out_minor: int = 0
    charged_back_minor: int = 0
    supplier_debt_minor: int = 0
    loss_minor: int = 0  # may exceed 2^53-1
    request_id: str | None = None  # the open refund request
    request_reason: str | None = None
    offer_id: str | None = None  # the open offer
    offer_by: str | None = None
    offer_minor: int | None = None
    first_requested_at: int | None = None  # ms; never reset (P5)
    shipments_known: int = 0
    shipments_failed: int = 0  # lost, or returned as undeliverable
    chargebacks_open: int = 0  # matching ones
    decided_by: DecidedBy | None = None
    ruling_outcome: str | None = None
    ruling_minor: int | None = None
    refund_commands: int = 0  # decided so far, reissues not counted
    payout_commands: int = 0
    parked: int = 0  # facts that wait
    decision_no: int = 0  # the last one taken
    chain_head: bytes = b""

    @property
    def available_minor(self) -> int:
        """What a settlement can dispose of."""
        return self.captured_minor - self.charged_back_minor


class Shipment(NamedTuple):
    """A parcel as its carrier last described it."""

    shipment_id: str
    state: Literal["dispatched", "delivered", "lost", "returned"]
    cause: str | None  # of a return

    @property
    def failed(self) -> bool:
        """The carrier's proof that it will not arrive (P2)."""
        return self.state == "lost" or self.cause == "undeliverable"


class Offer(NamedTuple):
    """A refund request (its own first offer) or an offer; ids are used once in an order."""

    offer_id: str
    request_id: str
    by: str
    amount_minor: int
    t: int


class Evidence(NamedTuple):
    """A pointer to evidence; `late` if the order was settled already."""

    evidence_id: str
    by: str
    sha256: str
    late: bool
    t: int


class Chargeback(NamedTuple):
    """A card network's claim; whether it matched the held payment is decided once."""

    chargeback_id: str
    payment_id: str
    amount_minor: int
    currency: str
    matching: bool
    state: Literal["open", "won", "lost"]


class Command(NamedTuple):
    """An order to a gateway, and how far it has got."""

    command_id: str
    kind: Kind
    purpose: Purpose
    payment_id: str
    party_id: str
    amount_minor: int
    currency: str
    decided_by: DecidedBy | None
    cause_source: str
    cause_id: str
    state: CommandState = "PENDING"
    attempt: int = 1
    failures: int = 0
    reissue_id: str | None = None  # command id of its reissue
    asked_at: int = 0  # ms, t of the fact that asked for this attempt


class Claim(NamedTuple):
    """A payment id that an applied capture has used, over all orders."""

    payment_id: str


Child = Shipment | Offer | Evidence | Chargeback | Command | Claim


class Waiting(NamedTuple):
    """A parked fact; `no` is the decision number under which it was parked."""

    no: int
    fact: Fact
    code: ParkCode


class Order:
    """The caller's working copy of one order: its row and the children that may be named.

    `decide` only reads it; `arrive` moves it on. Children that no fact names need not be loaded.
    """

    __slots__ = (
        "chargebacks",
        "commands",
        "escrow",
        "evidence",
        "evidence_digests",
        "offers",
        "payments",
        "shipments",
        "waiting",
    )

    def __init__(self, escrow: Escrow, payments: MutableMapping[str, str]) -> None:
        self.escrow = escrow
        self.payments = payments  # payment id -> order id, over all orders
        self.shipments: dict[str, Shipment] = {}
        self.offers: set[str] = set()
        self.evidence: set[str] = set()
        self.evidence_digests: set[tuple[str, str]] = set()
        self.chargebacks: dict[str, Chargeback] = {}
        self.commands: dict[str, Command] = {}
        self.waiting: list[Waiting] = []

    def put(self, child: Child) -> None:
        """Take over one child as a rule wrote it."""
        match child:
            case Shipment():
                self.shipments[child.shipment_id] = child
            case Offer():
                self.offers.add(child.offer_id)
            case Evidence():
                self.evidence.add(child.evidence_id)
                self.evidence_digests.add((child.by, child.sha256))
            case Chargeback():
                self.chargebacks[child.chargeback_id] = child
            case Command():
                self.commands[child.command_id] = child
            case Claim():
                self.payments[child.payment_id] = self.escrow.order_id
