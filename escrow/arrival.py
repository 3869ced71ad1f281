"""All that one fact's arrival brings about: expiry, the decision, the carrier's proof, waking.

The consumers, `simulate`, audit and rebuild all come through `arrive`; there is no other way to
decide a fact (RULES 3.2 to 3.4). Every decision takes the order's next number and the next link
of its hash chain.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Literal, NamedTuple, assert_never

from escrow.decide import decide
from escrow.decision import Applied, Parked, Refused, join
from escrow.policy import policy_at
from escrow.rules.mediation_rulings import ruling_waits
from escrow.settlement import carrier_proof
from escrow.silence import counted
from escrow.state import Escrow, Order, Status, Waiting
from escrow.transitions import allowed
from schemas.door import Fact
from schemas.mediation_rulings import RulingIssued
from schemas.reasons import Outcome

Step = Literal["arrival", "waking", "expiry"]


class StatusChange(NamedTuple):
    """One change of status, and the row just after it."""

    old: Status | None
    escrow: Escrow


class Decided(NamedTuple):
    """One decision about one fact, with everything that must be in the same commit.

    A dead letter of arrival (`parking_full`) takes no number: it leaves nothing in the order.
    """

    fact: Fact
    step: Step
    outcome: Outcome
    code: str | None
    no: int  # decision number within the order; 0 where none was taken
    escrow: Escrow  # the row just after it, with this number and the chain's new head
    parked_no: int | None  # the decision under which a woken or expired fact was parked
    result: Applied | Refused | None  # None for parked facts and dead letters
    changes: tuple[StatusChange, ...] = ()


class Moved(NamedTuple):
    """A waiting fact that stays parked, now for another reason."""

    waiting: Waiting


def arrive(order: Order, fact: Fact) -> tuple[Decided | Moved, ...]:
    """Decide a fact at its order, now; `order` is moved on in place.

    The fact is past the door and its identity is new. Returns its decision and all that
    followed, in order.
    """
    steps: list[Decided | Moved] = list(_expire(order, fact.t)) if order.waiting else []
    decided = _arrival(order, fact)
    steps.append(decided)
    if decided.outcome == "applied" and order.waiting:
        steps.extend(_wake(order))
    return tuple(steps)


def _arrival(order: Order, fact: Fact) -> Decided:
    outcome = decide(order, fact)
    if not isinstance(outcome, Parked):
        return _take(order, fact, "arrival", outcome, None)
    escrow = order.escrow
    if escrow.parked >= policy_at(fact.t).parked_per_order_max:
        return Decided(fact, "arrival", "dead_letter", "parking_full", 0, escrow, None, None)
    order.escrow = escrow._replace(parked=escrow.parked + 1)
    no = _link(order, fact, "parked", outcome.code)
    order.waiting.append(Waiting(no, fact, outcome.code))
    return Decided(fact, "arrival", "parked", outcome.code, no, order.escrow, None, None)


def _take(
    order: Order, fact: Fact, step: Step, outcome: Applied | Refused, parked_no: int | None
) -> Decided:
    """Let an outcome take effect: children, row, the carrier's proof, number and chain."""
    if isinstance(outcome, Refused):
        no = _link(order, fact, "refused", outcome.code)
        return Decided(fact, step, "refused", outcome.code, no, order.escrow, parked_no, outcome)
    old = order.escrow.status
    changes = _evolve(order, outcome, fact)
    if (proof := carrier_proof(order, fact)) is not None:
        changes += _evolve(order, proof, fact)
        outcome = join((outcome, proof))
    assert allowed(old, fact.type, order.escrow.status), f"{old} -> {order.escrow.status}"
    no = _link(order, fact, "applied", outcome.code)
    escrow = order.escrow
    if changes:  # the row that is told of carries the head that proves it
        changes = tuple(
            StatusChange(was, row.linked(no, escrow.chain_head)) for was, row in changes
        )
    return Decided(fact, step, "applied", outcome.code, no, escrow, parked_no, outcome, changes)


def _evolve(order: Order, applied: Applied, fact: Fact) -> tuple[StatusChange, ...]:
    old = order.escrow
    order.escrow = counted(old, applied.escrow, fact.type, fact.t)
    for child in applied.children:
        order.put(child)
    if old.status == applied.escrow.status:
        return ()
    return (StatusChange(old.status, order.escrow),)


def _link(order: Order, fact: Fact, outcome: str, code: str | None) -> int:
    """Take the next decision number, and move the chain's head.

    The head is SHA-256 over the previous one, the fact's digest, identity and time, the outcome.
    """
    escrow = order.escrow
    no = escrow.decision_no + 1
    said = f"{no}\n{fact.source}\n{fact.id}\n{fact.t}\n{outcome}\n{code or ''}\n"
    head = sha256(escrow.chain_head + fact.digest + said.encode()).digest()
    order.escrow = escrow.linked(no, head)
    return no


def _expire(order: Order, t: int) -> Iterator[Decided]:
    """Parked facts whose own time is up at `t` become dead letters; rulings never do."""
    expired = [
        waiting
        for waiting in order.waiting
        if not isinstance(waiting.fact.data, RulingIssued)
        and waiting.fact.t + policy_at(waiting.fact.t).park_limit_ms <= t
    ]
    for waiting in expired:
        _leave(order, waiting)
        no = _link(order, waiting.fact, "dead_letter", "parked_too_long")
        row, code = order.escrow, "parked_too_long"
        yield Decided(waiting.fact, "expiry", "dead_letter", code, no, row, waiting.no, None)


def _wake(order: Order) -> Iterator[Decided | Moved]:
    """Try the waiting facts again, in the order in which they came, until a pass applies none."""
    woken = True
    while woken:
        woken = False
        for waiting in tuple(order.waiting):
            if not _may_wake(order, waiting):
                continue
            outcome = decide(order, waiting.fact)
            if isinstance(outcome, Parked):
                moved = waiting._replace(code=outcome.code)
                order.waiting[order.waiting.index(waiting)] = moved
                yield Moved(moved)
                continue
            _leave(order, waiting)
            if isinstance(outcome, Applied):  # decided on the row as it was before it left
                row = outcome.escrow._replace(parked=order.escrow.parked)
                outcome = outcome._replace(escrow=row)
            yield _take(order, waiting.fact, "waking", outcome, waiting.no)
            woken |= isinstance(outcome, Applied)


def _may_wake(order: Order, waiting: Waiting) -> bool:
    """False only where trying again would park the fact for the same reason once more."""
    match waiting.code:
        case "awaiting_payment":
            return order.escrow.status is not None
        case "awaiting_command":
            return waiting.fact.data.command_id in order.commands  # type: ignore[union-attr]
        case "awaiting_mediation" | "awaiting_chargeback":
            return ruling_waits(order.escrow) != waiting.code
        case _:
            assert_never(waiting.code)


def _leave(order: Order, waiting: Waiting) -> None:
    order.waiting.remove(waiting)
    order.escrow = order.escrow._replace(parked=order.escrow.parked - 1)
