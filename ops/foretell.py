"""What a record would do if it came now: the door and `arrive` over the stored facts; nothing is written.

A forecast, not a promise: what others send meanwhile comes first. Records foretold one after
another count as having come one after another.
"""

from typing import NamedTuple

from consumers.engine.trusting import Trusting
from escrow.arrival import Decided, Moved, arrive
from escrow.decision import Applied, Refused
from escrow.state import Command, Escrow, Order
from ops.redecide import claimed_elsewhere, payment_ids, read_facts, redecide
from schemas.door import Fact, Record, Rejected, decode, seal
from schemas.payments import PaymentCaptured
from schemas.reasons import Outcome
from storage.claiming import claims
from storage.dossiers import read_order
from storage.facts import Known, identity_of, known_identities
from storage.reading import Snapshot


class Foretold(NamedTuple):
    """What would become of one record, and of its order with it."""

    outcome: Outcome
    code: str | None
    detail: str  # what the door says, or the refusal's detail; may be empty
    order_id: str | None  # None where the door refuses the record
    before: Escrow | None
    after: Escrow | None
    commands: tuple[Command, ...] = ()  # that would be sent

    @property
    def title(self) -> str:
        """For a histogram: the outcome, with its code."""
        return self.outcome if self.code is None else f"{self.outcome}: {self.code}"


class Foreteller:
    """Foretells records against one snapshot; remembers what those before would have changed."""

    def __init__(self, connection: Snapshot, trusting: Trusting | None) -> None:
        self._connection = connection
        self._trust = None if trusting is None else trusting.trust
        self._second = None if trusting is None else trusting.second
        self._orders: dict[str, Order] = {}
        self._known: dict[bytes, Known] = {}
        self._claimed: dict[str, str] = {}  # payment id → order id, by those foretold before

    def foretell(self, record: Record) -> Foretold:
        """Raises ops.redecide.Unreadable if the order's stored facts cannot be decided again."""
        fact = decode(record, self._trust)
        if isinstance(fact, Rejected):
            return Foretold("dead_letter", fact.code, fact.detail, None, None, None)
        if self._lacks_second(record, fact):
            detail = "it needs the signatures of two mediators"
            return Foretold("dead_letter", "bad_signature", detail, None, None, None)
        known = self._identity(fact)
        if known is not None:
            if known.same(fact):
                return Foretold("duplicate", None, "", fact.order_id, None, None)
            detail = "its id belongs to another fact"
            return Foretold("dead_letter", "id_conflict", detail, fact.order_id, None, None)
        told = self._arrive(fact)
        if told.outcome != "dead_letter":
            sealed = seal(fact, b"foretold")
            self._known[identity_of(fact)] = Known(
                fact.digest[:16], sealed.salt, sealed.text_digest
            )
        return told

    def _lacks_second(self, record: Record, fact: Fact) -> bool:
        if self._second is None or fact.order_id is None:
            return False
        return self._second.is_missing(record, fact, self.order(fact.order_id))

    def order(self, order_id: str) -> Order:
        """The order as its stored facts, and those foretold so far, make it."""
        order = self._orders.get(order_id)
        if order is None:
            order = self._orders[order_id] = self._read(order_id)
        return order

    def _read(self, order_id: str) -> Order:
        dossier = read_order(self._connection, order_id)
        if dossier is None:
            return Order(Escrow(order_id), {})
        facts = read_facts(dossier)
        _, elsewhere = claimed_elsewhere(self._connection, {order_id: payment_ids(facts)})
        return redecide(order_id, facts, elsewhere).order

    def _identity(self, fact: Fact) -> Known | None:
        identity = identity_of(fact)
        if identity not in self._known:
            self._known |= known_identities(self._connection, [identity])
        return self._known.get(identity)

    def _arrive(self, fact: Fact) -> Foretold:
        if fact.order_id is None:  # a supplier's report concerns no order
            return Foretold("applied", None, "", None, None, None)
        order = self.order(fact.order_id)
        if isinstance(fact.data, PaymentCaptured):
            order.payments.update(claims(self._connection, [fact.data.payment_id]))
            order.payments.update(self._claimed)
        before = order.escrow
        steps = arrive(order, fact)
        self._claimed |= {p: o for p, o in order.payments.items() if o == fact.order_id}
        return _told(fact, before, order.escrow, steps)


def _told(
    fact: Fact, before: Escrow, after: Escrow, steps: tuple[Decided | Moved, ...]
) -> Foretold:
    arrival = next(s for s in steps if isinstance(s, Decided) and s.step == "arrival")
    detail = ""
    if isinstance(arrival.result, Refused):
        detail = ", ".join(f"{name} {value}" for name, value in arrival.result.detail)
    sends = [
        command
        for step in steps
        if isinstance(step, Decided) and isinstance(step.result, Applied)
        for command in step.result.sends
    ]
    return Foretold(
        arrival.outcome, arrival.code, detail, fact.order_id, before, after, tuple(sends)
    )
