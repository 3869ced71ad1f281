"""An order as it stood after one of its decisions: its first facts decided again, the rest not yet there.

A moment stands for the decisions before the first fact with a later time: topics have no order
between them, so that a fact of an earlier time may have been decided after it.
"""

from typing import NamedTuple

from escrow.silence import silence_of
from escrow.state import Chargeback, Command, Evidence, Offer, Shipment
from ops.audit_order import Facts
from ops.audit_rows import MadeRows, made_parked
from ops.redecide import Elsewhere, Redecided, open_deadlines, redecide
from storage.dossiers import CommandRow, DeadlineRow, Dossier, SilenceRow


class NothingYet(Exception):
    """The order had no fact at that moment."""


class AsOf(NamedTuple):
    """The order then, and what must be known beside it."""

    dossier: Dossier
    decision_no: int
    facts_later: int  # decided since
    facts_late: int  # of those, the ones whose own time is not after the moment


def as_of(
    order_id: str,
    facts: Facts,
    elsewhere: dict[str, Elsewhere],
    *,
    until: int | None = None,
    decision: int | None = None,
) -> AsOf:
    """The order at `until` (ms UTC), or after decision number `decision`. Raises NothingYet."""
    first = []
    for stored, fact in facts:
        if (until is not None and fact.t > until) or (
            decision is not None and stored.no > decision
        ):
            break
        first.append((stored, fact))
    if not first:
        raise NothingYet(order_id)
    again = redecide(order_id, first, elsewhere)
    later = facts[len(first) :]
    late = 0 if until is None else sum(fact.t <= until for _, fact in later)
    dossier = _dossier(order_id, again, first)
    return AsOf(dossier, again.order.escrow.decision_no, len(later), late)


def _dossier(order_id: str, again: Redecided, facts: Facts) -> Dossier:
    made, row = MadeRows(again), again.order.escrow
    dossier = Dossier(order_id, row)
    for stored, _ in facts:
        outcome, code = made.outcomes[stored.no]
        dossier.facts.append(stored._replace(outcome=outcome, code=code))
    dossier.resolutions = [made.resolutions[no] for no in sorted(made.resolutions)]
    dossier.postings = [made.postings[key] for key in sorted(made.postings)]
    dossier.parked = list(made_parked(again).values())
    for child in made.children.values():
        match child:
            case Shipment():
                dossier.shipments.append(child)
            case Offer():
                dossier.offers.append(child)
            case Evidence():
                dossier.evidence.append(child)
            case Chargeback():
                dossier.chargebacks.append(child)
            case Command():
                no, n = made.decided_at[child.command_id]
                dossier.commands.append(CommandRow(no, n, None, None, False, child))
    dossier.commands.sort(key=lambda sent: (sent.no, sent.n))
    due = open_deadlines(order_id, again)
    dossier.deadlines = [DeadlineRow(request_id, at, 0) for request_id, at in due.items()]
    if (silence := silence_of(row)) is not None:
        dossier.silences = [SilenceRow(*silence, 0)]
    return dossier
