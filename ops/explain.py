"""Where an order's money is, why, what happens next and when, what was ignored and why.

Everything comes from the stored facts, decided again; where that differs from the stored row, the
explanation says so instead of guessing.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from escrow.arrival import Decided
from escrow.decision import Refused
from escrow.policy import POLICIES, policy_of
from escrow.policy_text import duration
from escrow.state import Command, Escrow
from ops import explain_next
from ops.explain_money import where_money_is, why_status
from ops.plain_words import rule_of, say
from ops.redecide import Elsewhere, Redecided, Unreadable, read_facts, redecide
from schemas.commands import Cause
from schemas.door import Fact
from schemas.reasons import DEAD_LETTERS, NOT_PROTECTED, PARKED, REFUSALS
from storage.dead_letter_reading import LetterRow
from storage.dossiers import CommandRow, Dossier


class Said(NamedTuple):
    """A fact: who said what when, and what became of it."""

    t: int  # ms UTC
    said: str
    source: str
    id: str
    outcome: str
    code: str | None
    reason: str  # a sentence
    rule: str


class Explanation(NamedTuple):
    """All of it, ready to be printed or dumped."""

    order_id: str
    status: str | None
    headline: str
    policy_version: int | None  # pinned when the money was held
    policy: str  # what that version says of this order, in one line
    money: list[str]
    why: list[Said]  # the facts that changed the status, in order
    next: list[explain_next.Prospect]
    waiting: list[Said]
    ignored: list[Said]
    commands: list[dict[str, Any]]
    chargebacks: list[dict[str, Any]]
    doubts: list[str]


def explain(
    dossier: Dossier, letters: list[LetterRow], elsewhere: dict[str, Elsewhere], now: int
) -> Explanation:
    """Explain one order. `letters`: dead letters that name it. `now`: ms UTC (RULES 4.7)."""
    row = dossier.row or Escrow(dossier.order_id)
    again, doubts = _again(dossier, elsewhere)
    if again is not None and again.order.escrow != row:
        doubts.append("the stored row is not what its facts make: run `escrow audit`")
    steps = [] if again is None else _decided(again)
    return Explanation(
        dossier.order_id,
        row.status,
        headline(row),
        row.policy_version,
        policy_line(row),
        where_money_is(row, dossier.commands),
        [_why(step, row.currency) for step in steps if step.changes],
        list(explain_next.prospects(dossier, row, now)),
        [] if again is None else list(_waiting(again, row)),
        [*_refused(steps, row.currency), *map(_letter, letters)],
        [_command(sent, row.policy_version, now) for sent in dossier.commands],
        [chargeback._asdict() for chargeback in dossier.chargebacks],
        doubts,
    )


def headline(row: Escrow) -> str:
    """Parties and payment of an order, in one line."""
    if row.status is None:
        return "no payment has come yet: nothing is held"
    return f"buyer {row.buyer_id} · supplier {row.supplier_id} · payment {row.payment_id}"


def policy_line(row: Escrow) -> str:
    """The version that decides this order, and its numbers."""
    if row.policy_version is None:
        return "none yet: a version is pinned when the money is held"
    policy = POLICIES[row.policy_version]
    switches = [
        f"{name} {duration(ms)}"
        for name, ms in (
            ("the buyer's silence confirms after", policy.auto_confirm_after_ms),
            ("the supplier's silence accepts after", policy.supplier_silence_ms),
        )
        if ms is not None
    ]
    mediation = f"mediation after {duration(policy.mediation_after_ms)}"
    return ", ".join(
        [f"version {policy.version}, pinned when the money was held: {mediation}", *switches]
    )


def _again(dossier: Dossier, elsewhere: dict[str, Elsewhere]) -> tuple[Redecided | None, list[str]]:
    try:
        return redecide(dossier.order_id, read_facts(dossier), elsewhere), []
    except (Unreadable, AssertionError, LookupError, TypeError, ValueError) as error:
        return None, [f"the facts cannot be decided again ({error}): run `escrow audit`"]


def _decided(again: Redecided) -> list[Decided]:
    return [step for _, steps in again.steps for step in steps if isinstance(step, Decided)]


def _why(step: Decided, currency: str) -> Said:
    """The fact behind a change of status, and the rule that made it so."""
    reason, rule = why_status(step)
    if step.code in NOT_PROTECTED:
        reason = NOT_PROTECTED[step.code]
    return _said(step.fact, currency, step.outcome, step.code, reason, rule)


def _waiting(again: Redecided, row: Escrow) -> Iterator[Said]:
    for waiting in again.order.waiting:
        yield _said(
            waiting.fact,
            row.currency,
            "parked",
            waiting.code,
            PARKED[waiting.code],
            "RULES 3.3",
        )


def _refused(steps: list[Decided], currency: str) -> Iterator[Said]:
    for step in steps:
        if step.outcome == "refused" and isinstance(step.result, Refused):
            code = step.result.code
            detail = ", ".join(f"{name} {value}" for name, value in step.result.detail)
            reason = f"{REFUSALS[code]} ({detail})" if detail else REFUSALS[code]
            rule = rule_of(step.fact.type, code)
            yield _said(step.fact, currency, "refused", code, reason, rule)


def _letter(letter: LetterRow) -> Said:
    """A dead letter that names the order. Those of the door name none: their data is not trusted."""
    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    said = f"a {letter.type or 'record'} at {place}"
    source, id_ = letter.source or "", letter.id or ""
    reason, rule = DEAD_LETTERS.get(letter.code, letter.detail), "RULES 3"
    return Said(letter.t, said, source, id_, "dead_letter", letter.code, reason, rule)


def _said(
    fact: Fact, currency: str, outcome: str, code: str | None, reason: str, rule: str
) -> Said:
    said = say(fact, currency)
    return Said(fact.t, said, fact.source, fact.id, outcome, code, reason, rule)


def _command(sent: CommandRow, version: int | None, now: int) -> dict[str, Any]:
    command: Command = sent.command
    patience = policy_of(version, command.asked_at).gateway_patience_ms
    is_open = command.state in ("PENDING", "ACCEPTED")
    return {
        **command._asdict(),
        "cause": Cause(source=command.cause_source, id=command.cause_id).model_dump(),
        "unsent": sent.unsent,
        "hold": sent.hold,
        "silent": is_open and not sent.unsent and now - command.asked_at >= patience,
    }
