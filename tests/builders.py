"""Orders with a past, made by the real door and the real rules: no mocks, no rows set by hand.

`given(an_order().disputed()).when("refund.withdrawn").then("applied", status="HELD")`: every step
of a past must be applied, and after each `then` the books must give the row (tests/unit/books.py).
"""

import json
from collections import defaultdict
from typing import Any, Final, Literal, Self

from escrow.arrival import Decided, Moved
from escrow.decision import Applied, Refused
from escrow.policy import DAY_MS
from escrow.replay import Replay
from escrow.state import Escrow, Order
from schemas.door import Fact, Record, Rejected, Trust, decode
from schemas.facts import FACT_TYPES
from tests.unit.books import Books

T0: Final = 1_700_000_000_000  # ms UTC, "now" of every story that names no other time
SHA: Final = "a" * 64
REACHED: Final[defaultdict[str, set[str]]] = defaultdict(set)  # codes seen by tests, by their kind

_BUYER: Final = {"by": "buyer", "party_id": "b-1"}
_MONEY: Final = {"amount_minor": 1000, "currency": "EUR"}
# The smallest valid data of each type; `order_id` comes from the story.
SAMPLES: Final[dict[str, dict[str, Any]]] = {
    "payment.captured": {
        "payment_id": "p-1",
        "buyer_id": "b-1",
        "supplier_id": "s-1",
        **_MONEY,
        "method": "visa",
        "paid_through": "escrow",
        "agreement_accepted": True,
    },
    "payment.charged_back": {"chargeback_id": "cb-1", "payment_id": "p-1", **_MONEY},
    "payment.chargeback_closed": {"chargeback_id": "cb-1", "outcome": "won"},
    "shipment.dispatched": {"shipment_id": "sh-1", "carrier": "DHL", "tracking_number": "JD 1"},
    "shipment.delivered": {"shipment_id": "sh-1"},
    "shipment.lost": {"shipment_id": "sh-1"},
    "shipment.returned": {"shipment_id": "sh-1", "cause": "undeliverable"},
    "shipment.customs_charged": {"shipment_id": "sh-1", **_MONEY},
    "delivery.confirmed": {"buyer_id": "b-1"},
    "refund.requested": {"request_id": "r-1", "buyer_id": "b-1", "reason": "other", **_MONEY},
    "refund.offered": {
        "request_id": "r-1",
        "offer_id": "f-1",
        "by": "supplier",
        "party_id": "s-1",
        **_MONEY,
    },
    "refund.offer_accepted": {"offer_id": "r-1", "by": "supplier", "party_id": "s-1"},
    "refund.offer_declined": {"offer_id": "r-1", "by": "supplier", "party_id": "s-1"},
    "refund.withdrawn": {"request_id": "r-1", "buyer_id": "b-1"},
    "evidence.submitted": {
        "evidence_id": "e-1",
        **_BUYER,
        "kind": "photo",
        "sha256": SHA,
        "size_bytes": 1,
        "media_type": "image/png",
    },
    "mediation.requested": {"request_id": "r-1", "buyer_id": "b-1"},
    "ruling.issued": {
        "ruling_id": "rl-1",
        "request_id": "r-1",
        "mediator_id": "m-1",
        "outcome": "release",
    },
    "gateway.accepted": {"command_id": "c-1", **_MONEY},
    "gateway.settled": {"command_id": "c-1", **_MONEY},
    "gateway.failed": {"command_id": "c-1", **_MONEY},
    "gateway.returned": {"command_id": "c-1", **_MONEY},
    "command.reissued": {"command_id": "c-1", "reissue_id": "ri-1", "operator_id": "op-1"},
    "deadline.reached": {
        "deadline_id": "d-1",
        "kind": "mediation_available",
        "due_at": "2026-01-31T10:00:00Z",
    },
    "supplier.reported": {
        "report_id": "rp-1",
        "supplier_id": "s-1",
        "buyer_id": "b-1",
        "product_id": "pr-1",
        "asked_for": "bank transfer",
    },
}


def sample(type_name: str, order_id: str = "o-1", **changes: object) -> dict[str, Any]:
    """Valid data of a type; a change to `...` takes the field away."""
    data: dict[str, Any] = {} if type_name == "supplier.reported" else {"order_id": order_id}
    data |= SAMPLES[type_name] | changes
    return {name: value for name, value in data.items() if value is not ...}


def compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def a_record(
    type_name: str,
    data: dict[str, Any] | None = None,
    *,
    mode: Literal["binary", "structured"] = "binary",
    id: str = "id-1",  # noqa: A002 (CloudEvents' own word)
    t: int = T0,
    offset: int = 0,
) -> Record:
    """A well-formed record of a type in either mode."""
    data = sample(type_name) if data is None else data
    key = data.get("supplier_id" if type_name == "supplier.reported" else "order_id")
    attributes = {"specversion": "1.0", "id": id, "source": "/shop", "type": type_name}
    if mode == "binary":
        value = compact(data)
        headers = [("content-type", b"application/json")]
        headers += [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
    else:
        value = compact({**attributes, "data": data})
        headers = [("content-type", b"application/cloudevents+json")]
    topic = FACT_TYPES[type_name].topic if type_name in FACT_TYPES else "escrow.payments.v1"
    return Record(topic, 0, offset, t, str(key).encode(), value, headers)


def a_fact(type_name: str, *, id: str = "id-1", t: int = T0, **data: object) -> Fact:  # noqa: A002
    """A fact as the door lets it in."""
    fact = decode(a_record(type_name, sample(type_name, **data), id=id, t=t))  # type: ignore[arg-type]
    assert isinstance(fact, Fact), fact
    return fact


def rejects(record: Record, code: str, trust: Trust | None = None) -> Rejected:
    """The record must be a dead letter of this code."""
    rejected = decode(record, trust)
    assert isinstance(rejected, Rejected), rejected
    assert rejected.code == code, f"{rejected.code}: {rejected.detail}"
    REACHED["dead_letter"].add(code)
    return rejected


class Story:
    """One order and its past; its own ids and time, in a world (`replay`) shared on demand."""

    def __init__(self, order_id: str = "o-1", beside: "Story | None" = None) -> None:
        self.replay: Replay = beside.replay if beside else Replay()
        self.order_id = order_id
        self.t = T0
        self.books = Books()
        self.ids = 0

    @property
    def order(self) -> Order:
        return self.replay.orders[self.order_id]

    @property
    def row(self) -> Escrow:
        return self.order.escrow if self.order_id in self.replay.orders else Escrow(self.order_id)

    def command_id(self, n: int = 0) -> str:
        """The id of the n-th command of this order, in the order of decisions."""
        return tuple(self.order.commands)[n]

    def send(
        self, type_name: str, **data: Any
    ) -> tuple[Fact, tuple[Decided | Moved, ...] | Literal["duplicate", "id_conflict"]]:
        """One fact through the door and the rules; `t` and `id` are its own where given."""
        self.ids += 1
        t = data.pop("t", self.t)
        fact_id = data.pop("id", f"{self.order_id}.{self.ids}")
        if type_name != "supplier.reported":
            data = {"order_id": self.order_id, **data}
        fact = a_fact(type_name, id=fact_id, t=t, **data)
        steps = self.replay.take(fact)
        if not isinstance(steps, str):
            self.books.take(steps)
        return fact, steps

    def says(self, type_name: str, **data: Any) -> Self:
        """A past fact, which must be applied."""
        seen = given(self).when(type_name, **data).sound()
        assert seen.outcome == "applied", (type_name, seen.outcome, seen.code)
        return self

    def waits(self, type_name: str, **data: Any) -> Self:
        """A past fact, which must be parked."""
        seen = given(self).when(type_name, **data).sound()
        assert seen.outcome == "parked", (type_name, seen.outcome, seen.code)
        return self

    def after(self, *, days: int = 0, ms: int = 0) -> Self:
        """Time goes by for what follows."""
        self.t += days * DAY_MS + ms
        return self

    def held(self, **data: Any) -> Self:
        return self.says("payment.captured", **data)

    def not_protected(self, **data: Any) -> Self:
        return self.says("payment.captured", **{"paid_through": "other", **data})

    def disputed(self, **data: Any) -> Self:
        """Opens a request, for all the money unless told otherwise."""
        story = self if self.row.status == "HELD" else self.held()
        amount = self.row.available_minor
        return story.says("refund.requested", **{"amount_minor": amount, **data})

    def in_mediation(self, **data: Any) -> Self:
        """Ten days after a request, at the mediator."""
        story = self if self.row.status == "DISPUTED" else self.disputed(**data)
        return story.after(days=10).says("mediation.requested", request_id=self.row.request_id)

    def frozen(self, **data: Any) -> Self:
        """A chargeback is open."""
        story = self.held() if self.row.status is None else self
        return story.says("payment.charged_back", **data)

    def released(self) -> Self:
        story = self.held() if self.row.status is None else self
        return story.says("delivery.confirmed")

    def refunded(self) -> Self:
        return self.disputed().says("refund.offer_accepted")

    def split(self, refund_minor: int = 300) -> Self:
        return self.disputed(amount_minor=refund_minor).says("refund.offer_accepted")

    def ruled(self, outcome: str = "release", **data: Any) -> Self:
        return self.in_mediation().says("ruling.issued", outcome=outcome, **data)

    def charged_back(self) -> Self:
        return self.frozen().says("payment.chargeback_closed", outcome="lost")

    def failed(self) -> Self:
        """Released, and its payout has failed for good."""
        return self.released().says("gateway.failed", command_id=self.command_id())

    def returned(self) -> Self:
        """Released, and its payout came back."""
        return self.released().says("gateway.returned", command_id=self.command_id())


def an_order(order_id: str = "o-1", beside: Story | None = None) -> Story:
    """An order nothing is known of yet."""
    return Story(order_id, beside)


class Given:
    """A past, to which one more fact comes."""

    def __init__(self, story: Story) -> None:
        self.story = story

    def when(self, type_name: str, **data: Any) -> "Seen":
        return Seen(self.story, type_name, **data)


def given(story: Story) -> Given:
    return Given(story)


class Seen:
    """What came of one fact: its decision, and all that followed it."""

    def __init__(self, story: Story, type_name: str, **data: Any) -> None:
        self.story = story
        self.before = story.row
        self.fact, steps = story.send(type_name, **data)
        self.steps: tuple[Decided | Moved, ...] = () if isinstance(steps, str) else steps
        self.outcome: str = "duplicate"
        self.code: str | None = None
        if steps == "id_conflict":
            self.outcome, self.code = "dead_letter", "id_conflict"
        for step in self.steps:
            if isinstance(step, Decided) and step.step == "arrival":
                self.decided = step
                self.outcome, self.code = step.outcome, step.code

    @property
    def result(self) -> Applied | Refused:
        assert self.decided.result is not None
        return self.decided.result

    def then(
        self, outcome: str, code: str | None = None, /, alarms: tuple[str, ...] = (), **row: object
    ) -> Self:
        """Exactly this outcome, code and alarms of the fact itself, and these fields of the row.

        Whatever it was, the books give the row; a refusal leaves the row alone.
        """
        assert (self.outcome, self.code) == (outcome, code)
        if code is not None:
            REACHED[outcome].add(code)
        if outcome in ("applied", "refused"):
            assert tuple(alarm.code for alarm in self.result.alarms) == alarms
            REACHED["alarm"].update(alarms)
        self.sound()
        for name, value in row.items():
            assert getattr(self.story.row, name) == value, (name, getattr(self.story.row, name))
        return self

    def sound(self) -> Self:
        if self.outcome == "refused":
            assert _without_chain(self.story.row) == _without_chain(self.before)
        if self.fact.order_id is not None and self.steps:
            self.story.books.check(self.story.order)
        return self

    def moves(self, *movements: tuple[str, str, int, str]) -> Self:
        """(debit, credit, amount, currency) of each movement, in order."""
        assert isinstance(self.result, Applied)
        assert tuple(map(tuple, self.result.movements)) == movements
        return self

    def sends(self, *commands: tuple[str, str, int]) -> Self:
        """(kind, purpose, amount) of each command sent, in order."""
        sent = self.result.sends if isinstance(self.result, Applied) else ()
        assert tuple((c.kind, c.purpose, c.amount_minor) for c in sent) == commands
        return self

    def tells(self, **detail: str) -> Self:
        """What the refusal says besides its code."""
        assert isinstance(self.result, Refused)
        assert dict(self.result.detail) == detail
        return self

    def followed_by(self, *later: tuple[str, str, str | None]) -> Self:
        """(type, outcome, code) of each fact that was decided because of this one."""
        seen = tuple(
            (step.fact.type, step.outcome, step.code)
            if isinstance(step, Decided)
            else (step.waiting.fact.type, "parked", step.waiting.code)
            for step in self.steps
            if isinstance(step, Moved) or step.step != "arrival"
        )
        assert seen == later, seen
        for _, outcome, code in seen:
            if code is not None:
                REACHED[outcome].add(code)
        return self


def _without_chain(row: Escrow) -> Escrow:
    """A refusal takes a number and a link, nothing else; expiry before it may end waiting."""
    return row._replace(decision_no=0, chain_head=b"", parked=0)
