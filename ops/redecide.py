"""A stored order decided again from its facts, with no eye on what the database says came of it.

The same `arrive` as the consumers; only who has used a payment id first is asked of others' facts.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from escrow.arrival import Decided, Moved, arrive
from escrow.schedule import ends_deadlines, opened, voided
from escrow.state import Escrow, Order
from schemas.door import Fact
from schemas.payments import PaymentCaptured
from storage.claiming import claim_seqs, claims
from storage.dossiers import Dossier, StoredFact
from storage.reading import Snapshot

Steps = tuple[Decided | Moved, ...]


class Elsewhere(NamedTuple):
    """The order that has used a payment id, and the recorded number of its capture."""

    order_id: str
    seq: int


class Redecided(NamedTuple):
    """The order as its facts make it, and what each of them brought about."""

    order: Order
    steps: list[tuple[StoredFact, Steps]]


class Unreadable(Exception):
    """A stored fact that our own schema refuses: it is not what was decided."""


def read_facts(dossier: Dossier) -> list[tuple[StoredFact, Fact]]:
    """The order's facts. Raises Unreadable."""
    if dossier.lost is not None:
        raise Unreadable(f"not all facts can be read: {dossier.lost}")
    facts = []
    for stored in dossier.facts:
        try:
            facts.append((stored, stored.fact()))
        except (ValueError, LookupError) as error:
            raise Unreadable(f"fact {stored.no} cannot be read: {type(error).__name__}") from None
    return facts


def redecide(
    order_id: str, facts: Iterable[tuple[StoredFact, Fact]], elsewhere: Mapping[str, Elsewhere]
) -> Redecided:
    """Decide the facts one after another. `elsewhere`: payment ids that other orders have used."""
    used: dict[str, str] = {}
    order = Order(Escrow(order_id), used)
    steps: list[tuple[StoredFact, Steps]] = []
    for stored, fact in facts:
        if isinstance(fact.data, PaymentCaptured):
            other = elsewhere.get(fact.data.payment_id)
            if other is not None and other.seq < stored.seq:
                used[fact.data.payment_id] = other.order_id
        steps.append((stored, arrive(order, fact)))
    return Redecided(order, steps)


def open_deadlines(order_id: str, again: Redecided) -> dict[str, int]:
    """Request id → when its deadline is due, ms UTC: those that no tick and no decision has ended."""
    row, due = Escrow(order_id), dict[str, int]()
    for step in (step for _, steps in again.steps for step in steps if isinstance(step, Decided)):
        for change in step.changes:
            if (gone := voided(row, change.escrow)) is not None:
                due.pop(gone, None)
            if (schedule := opened(row, change.escrow)) is not None:
                due[schedule.request_id] = schedule.due_at
            row = change.escrow
        if ends_deadlines(step.escrow, step.fact):
            due = {request_id: at for request_id, at in due.items() if at > step.fact.t}
    return due


def payment_ids(facts: Iterable[tuple[StoredFact, Fact]]) -> set[str]:
    """The payment ids that these facts' captures name."""
    return {fact.data.payment_id for _, fact in facts if isinstance(fact.data, PaymentCaptured)}


def claimed_elsewhere(
    connection: Snapshot, named: Mapping[str, set[str]]
) -> tuple[dict[str, str], dict[str, Elsewhere]]:
    """For order id → payment ids it names: who has used each, and of those used elsewhere, when."""
    owners = claims(connection, {payment for ids in named.values() for payment in ids})
    foreign = {
        payment: owners[payment]
        for order_id, ids in named.items()
        for payment in ids
        if owners.get(payment, order_id) != order_id
    }
    seqs = claim_seqs(connection, foreign)
    elsewhere = {payment: Elsewhere(foreign[payment], seq) for payment, seq in sorted(seqs.items())}
    return owners, elsewhere
