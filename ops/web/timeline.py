"""An order's life as a list: what was said, what came of it, where money and commands moved.

The facts are those stored, what they brought about is decided again from them; nothing is guessed.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from escrow.arrival import Decided
from escrow.decision import Refused
from ops.order_answer import Answer
from ops.plain_words import rule_of, say, short
from ops.redecide import Steps
from ops.web.words import lower
from schemas.door import Fact
from schemas.money import format_amount
from schemas.reasons import DEAD_LETTERS, NOT_PROTECTED, PARKED, REFUSALS
from storage.dossiers import CommandRow, Dossier, Posting, StoredFact

ENTRIES_MAX: Final = 100
_SENTENCES: Final = {**DEAD_LETTERS, **REFUSALS, **PARKED, **NOT_PROTECTED}
_ACCOUNTS: Final = {
    "buyer_funds": "the buyer",
    "held": "escrow",
    "supplier_payable": "the supplier",
    "refunds_payable": "the buyer",
    "sent_back": "back to the payer",
    "charged_back": "the card network",
    "card_network": "the card network",
    "supplier_receivable": "a claim on the supplier",
    "platform_loss": "our loss",
}


class Entry(NamedTuple):
    """One fact. `effects`: what followed in the same decision, a sentence each."""

    no: int
    t: int
    type: str
    said: str
    source: str
    id: str
    outcome: str
    code: str | None
    reason: str
    rule: str
    status: str | None  # that the order has since, where it changed
    effects: list[str]
    text: str | None  # a note or rationale, as its sender wrote it


def timeline(answer: Answer, before: int | None = None) -> tuple[list[Entry], int | None]:
    """The newest entries (below decision `before`), newest first; and where older ones go on."""
    stored = [fact for fact in answer.dossier.facts if before is None or fact.no < before]
    shown = stored[-ENTRIES_MAX:]
    steps = _steps(answer)
    entries = [_entry(fact, steps.get(fact.no, ()), answer.dossier) for fact in reversed(shown)]
    return entries, shown[0].no if len(stored) > len(shown) else None


def _steps(answer: Answer) -> dict[int, Steps]:
    if answer.again is None:
        return {}
    return {stored.no: steps for stored, steps in answer.again.steps}


def _entry(stored: StoredFact, steps: Steps, dossier: Dossier) -> Entry:
    currency = "" if dossier.row is None else dossier.row.currency
    said, reason = _said(stored, currency), _SENTENCES.get(stored.code or "", "")
    decided = [step for step in steps if isinstance(step, Decided)]
    own = next((step for step in decided if step.step == "arrival"), None)
    if own is not None and isinstance(own.result, Refused) and own.result.detail:
        detail = ", ".join(f"{name} {value}" for name, value in own.result.detail)
        reason = f"{reason} ({detail})"
    changes = [change for step in decided for change in step.changes]
    return Entry(
        stored.no,
        stored.t,
        stored.type,
        said,
        stored.source,
        stored.id,
        stored.outcome,
        stored.code,
        reason,
        _rule(stored),
        changes[-1].escrow.status if changes else None,
        [*_effects(stored, decided, dossier), *_later(stored, dossier)],
        stored.text,
    )


def _said(stored: StoredFact, currency: str) -> str:
    fact = _fact(stored)
    return f"a {stored.type} that cannot be read" if fact is None else say(fact, currency)


def _fact(stored: StoredFact) -> Fact | None:
    try:
        return stored.fact()
    except (ValueError, LookupError):
        return None  # the explanation has said so


def _rule(stored: StoredFact) -> str:
    try:
        return rule_of(stored.type, stored.code)
    except LookupError:
        return ""


def _effects(stored: StoredFact, decided: list[Decided], dossier: Dossier) -> Iterator[str]:
    """Money, commands, and waiting facts that this one woke or found too old."""
    numbers = {stored.no}
    for step in decided:
        numbers.add(step.no)
        if step.step == "waking":
            yield f"woke no. {step.parked_no} ({step.fact.type}): {step.outcome}"
        elif step.step == "expiry":
            yield f"no. {step.parked_no} ({step.fact.type}) had waited too long"
    yield from _moved(posting for posting in dossier.postings if posting.no in numbers)
    yield from _ordered(sent for sent in dossier.commands if sent.no in numbers)


def _moved(postings: Iterable[Posting]) -> Iterator[str]:
    for posting in postings:
        amount = format_amount(posting.amount_minor, posting.currency)
        origin = _ACCOUNTS.get(posting.debit, posting.debit)
        yield f"{amount} from {origin} to {_ACCOUNTS.get(posting.credit, posting.credit)}"


def _ordered(commands: Iterable[CommandRow]) -> Iterator[str]:
    for sent in commands:
        command = sent.command
        amount = format_amount(command.amount_minor, command.currency)
        name = f"{command.kind} {short(command.command_id)}"
        yield f"ordered {name}: {amount} to {command.party_id} ({lower(command.purpose)})"


def _later(stored: StoredFact, dossier: Dossier) -> Iterator[str]:
    """What became of a parked fact."""
    for resolution in dossier.resolutions:
        if resolution.parked_no == stored.no:
            sentence = _SENTENCES.get(resolution.code or "", "")
            end = f": {sentence}" if sentence else ""
            yield f"later {lower(resolution.outcome)}, as no. {resolution.no}{end}"
