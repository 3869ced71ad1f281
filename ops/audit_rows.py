"""The rows that an order's facts make, column by column against the rows that are stored."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from escrow.arrival import Decided
from escrow.decision import Applied
from escrow.schedule import expires_at
from escrow.state import Chargeback, Child, Claim, Command, Escrow, Evidence, Offer, Shipment
from ops.findings import Finding
from ops.redecide import Redecided
from storage.dossiers import Dossier, ParkedRow, Posting, Resolution

Outcomes = dict[int, tuple[str, str | None]]  # decision number → outcome, code


class MadeRows:
    """What re-decided steps write: the audit's own account, not the writer's."""

    def __init__(self, again: Redecided) -> None:
        self.outcomes: Outcomes = {}
        self.resolutions: dict[int, Resolution] = {}
        self.postings: dict[tuple[int, int], Posting] = {}
        self.children: dict[tuple[str, str], Child] = {}
        self.decided_at: dict[str, tuple[int, int]] = {}  # command id → decision number, n
        self.claims: set[str] = set()
        for _, steps in again.steps:
            for step in steps:
                if isinstance(step, Decided) and step.no:
                    self._take(step)

    def _take(self, step: Decided) -> None:
        if step.parked_no is None:
            self.outcomes[step.no] = (step.outcome, step.code)
        else:
            made = Resolution(step.no, step.parked_no, step.outcome, step.code)
            self.resolutions[step.no] = made
        if isinstance(step.result, Applied):
            for n, moved in enumerate(step.result.movements):
                self.postings[step.no, n] = Posting(step.no, n, *moved)
            for n, child in enumerate(step.result.children):
                self._put(step.no, n, child)

    def _put(self, no: int, n: int, child: Child) -> None:
        if isinstance(child, Claim):
            self.claims.add(child.payment_id)
            return
        self.children[type(child).__name__.lower(), child[0]] = child
        if isinstance(child, Command):
            self.decided_at.setdefault(child.command_id, (no, n))


def compare_rows(dossier: Dossier, row: Escrow, again: Redecided) -> Iterator[Finding]:
    """Every difference between what is stored and what was made, one finding each."""
    order_id = dossier.order_id
    made = MadeRows(again)
    stored_outcomes: Outcomes = {f.no: (f.outcome, f.code) for f in dossier.facts}
    for text in _differences("fact", stored_outcomes, made.outcomes):
        yield Finding("decisions", order_id, text)
    for text in _differences(
        "resolution", {r.no: r for r in dossier.resolutions}, made.resolutions
    ):
        yield Finding("decisions", order_id, text)
    if row != again.order.escrow:
        yield Finding("rows", order_id, "order: " + _columns(row, again.order.escrow))
    stored_children = _stored_children(dossier)
    for text in _differences("", stored_children, made.children):
        yield Finding("rows", order_id, text)
    for text in _differences("posting", {(p.no, p.n): p for p in dossier.postings}, made.postings):
        yield Finding("rows", order_id, text)
    stored_parked = {parked.no: parked for parked in dossier.parked}
    for text in _differences("parked fact", stored_parked, made_parked(again)):
        yield Finding("rows", order_id, text)
    places = {sent.command.command_id: (sent.no, sent.n) for sent in dossier.commands}
    for text in _differences("place of command", places, made.decided_at):
        yield Finding("rows", order_id, text)


def _stored_children(dossier: Dossier) -> dict[tuple[str, str], Child]:
    kinds: tuple[Iterable[Shipment | Offer | Evidence | Chargeback | Command], ...] = (
        dossier.shipments,
        dossier.offers,
        dossier.evidence,
        dossier.chargebacks,
        [sent.command for sent in dossier.commands],
    )
    return {
        (type(child).__name__.lower(), child[0]): child for children in kinds for child in children
    }


def made_parked(again: Redecided) -> dict[int, ParkedRow]:
    return {
        waiting.no: ParkedRow(waiting.no, waiting.code, expires_at(waiting))
        for waiting in again.order.waiting
    }


def _differences(name: str, stored: Mapping[Any, Any], made: Mapping[Any, Any]) -> Iterator[str]:
    if stored == made:
        return
    for key in sorted({*stored, *made}):
        shown = " ".join(str(part) for part in (key if isinstance(key, tuple) else (key,)))
        said = f"{name} {shown}".strip()
        if key not in made:
            yield f"{said} is stored, and no fact makes it"
        elif key not in stored:
            yield f"{said} is missing"
        elif stored[key] != made[key]:
            yield f"{said}: {_columns(stored[key], made[key])}"


def _columns(stored: Any, made: Any) -> str:
    """Which columns differ, stored against made; digests only by name."""
    names = getattr(stored, "_fields", None) or tuple(str(i) for i in range(len(stored)))
    pairs = [
        (name, old, new) for name, old, new in zip(names, stored, made, strict=True) if old != new
    ]
    return ", ".join(
        f"{name} differs" if isinstance(old, bytes) else f"{name} is {old}, facts make {new}"
        for name, old, new in pairs
    )
