"""What an order is: one frozen row of money and status, and the children that facts name.

`captured = held + refunded + paid_out + charged_back` holds in every `Escrow` that leaves a rule.
"""

from collections.abc import Collection, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeVar, assert_never

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
    silent_since: int | None = None  # ms; only where the policy lets silence decide
    decision_no: int = 0  # the last one taken
    chain_head: bytes = b""

    def linked(self, decision_no: int, chain_head: bytes) -> "Escrow":
        """The row after one more decision. These two fields are the last ones: no copy by name."""
        return Escrow._make((*self[:-2], decision_no, chain_head))

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
        # most orders of a batch have few children or none: containers are made when needed
        self.shipments: Mapping[str, Shipment] = _NONE
        self.offers: Collection[str] = ()
        self.evidence: Collection[str] = ()
        self.evidence_digests: Collection[tuple[str, str]] = ()
        self.chargebacks: Mapping[str, Chargeback] = _NONE
        self.commands: Mapping[str, Command] = _NONE
        self.waiting: list[Waiting] = []

    def met(self, party: str, sha256: str) -> None:
        """The party has submitted evidence of this digest before, under whatever id."""
        self.evidence_digests = _and(self.evidence_digests, (party, sha256))

    def put(self, child: Child) -> None:
        """Take over one child as a rule wrote it."""
        match child:
            case Shipment():
                self.shipments = _with(self.shipments, child.shipment_id, child)
            case Offer():
                self.offers = _and(self.offers, child.offer_id)
            case Evidence():
                self.evidence = _and(self.evidence, child.evidence_id)
                self.met(child.by, child.sha256)
            case Chargeback():
                self.chargebacks = _with(self.chargebacks, child.chargeback_id, child)
            case Command():
                self.commands = _with(self.commands, child.command_id, child)
            case Claim():
                self.payments[child.payment_id] = self.escrow.order_id
            case _:
                assert_never(child)


_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
T = TypeVar("T")


def _with(there: Mapping[str, T], key: str, value: T) -> Mapping[str, T]:
    if isinstance(there, dict):
        there[key] = value
        return there
    return {key: value}


def _and(there: Collection[T], value: T) -> Collection[T]:
    if isinstance(there, set):
        there.add(value)
        return there
    return {value}
