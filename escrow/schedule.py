"""Which deadlines a change of an order asks for, and which it voids (RULES 4.7)."""

from hashlib import sha256
from typing import NamedTuple

from escrow.policy import policy_at
from escrow.rules.refund_requests import mediation_eligible_at
from escrow.state import Escrow, Waiting
from schemas.deadlines import DeadlineReached
from schemas.door import Fact
from schemas.mediation_rulings import RulingIssued


class Schedule(NamedTuple):
    """Tell the parties at `due_at` (ms UTC) that mediation can be asked for."""

    order_id: str
    request_id: str
    due_at: int


def opened(old: Escrow, new: Escrow) -> Schedule | None:
    """A refund request was opened: mediation becomes available ten days after the first one."""
    if new.status == "DISPUTED" and new.request_id != old.request_id:
        assert new.request_id is not None
        return Schedule(new.order_id, new.request_id, mediation_eligible_at(new))
    return None


def voided(old: Escrow, new: Escrow) -> str | None:
    """The request whose deadline has lost its sense: it is closed, or with the mediator already."""
    if old.request_id is None:
        return None
    gone = new.request_id != old.request_id or new.status == "IN_MEDIATION"
    return old.request_id if gone else None


def ends_deadlines(escrow: Escrow, fact: Fact) -> bool:
    """A tick was decided: deadlines due at its time leave, their condition found true or void.

    One that stays (the tick came early, or a chargeback is open) the ticker sends again: it
    finds the row still there although the tick's identity is known.
    """
    is_tick = isinstance(fact.data, DeadlineReached) and fact.data.kind == "mediation_available"
    return is_tick and escrow.status != "FROZEN"


def expires_at(waiting: Waiting) -> int | None:
    """When a parked fact becomes a dead letter, ms UTC; a ruling waits for ever."""
    if isinstance(waiting.fact.data, RulingIssued):
        return None
    return waiting.fact.t + policy_at(waiting.fact.t).park_limit_ms


def deadline_id(order_id: str, kind: str, due_at: int, request_id: str, attempt: int) -> str:
    """RULES 4.7: 32 hex digits, the same for the same deadline and attempt."""
    said = f"{order_id}\n{kind}\n{due_at}\n{request_id}\n{attempt}"
    return sha256(said.encode()).hexdigest()[:32]
