"""One order held against its own facts: money, chain, decisions, rows, commands.

Two answers to one question must agree: what is stored, and what follows from the facts. The chain
is recomputed from stored outcomes alone, so that a changed row and a changed rule look different.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final

from escrow.silence import silence_of
from escrow.state import SETTLED, Escrow
from ops.audit_rows import compare_rows
from ops.chain import BrokenChain, heads
from ops.findings import Finding
from ops.redecide import Elsewhere, Redecided, open_deadlines, redecide
from schemas.door import Fact
from storage.dossiers import CommandRow, Dossier, StoredFact

Facts = list[tuple[StoredFact, Fact]]

# postings (debit, credit) in the order's currency → the column that holds their sum
_BOOKS: Final[dict[tuple[str, str], str]] = {
    ("buyer_funds", "held"): "captured_minor",
    ("held", "refunds_payable"): "refunded_minor",
    ("held", "supplier_payable"): "paid_out_minor",
    ("held", "charged_back"): "charged_back_minor",
    ("supplier_receivable", "card_network"): "supplier_debt_minor",
}


def audit_order(
    dossier: Dossier, facts: Facts, elsewhere: Mapping[str, Elsewhere]
) -> Iterator[Finding]:
    """All that is wrong with one order."""
    row = dossier.row
    if row is None:
        yield Finding("rows", dossier.order_id, "the order's row is missing, other rows are there")
        return
    yield from _history(dossier, row, facts)
    yield from _chain(dossier, row)
    yield from _money(dossier, row)
    yield from _settlement(dossier, row)
    yield from _gateway(dossier, facts)
    try:
        again = redecide(dossier.order_id, facts, elsewhere)
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        text = f"it cannot be decided again: {type(error).__name__} {error}".rstrip()
        yield Finding("decisions", dossier.order_id, text)
        return
    yield from _deadlines(dossier, again)
    yield from compare_rows(dossier, row, again)


def _history(dossier: Dossier, row: Escrow, facts: Facts) -> Iterator[Finding]:
    order_id = dossier.order_id
    numbers = sorted([f.no for f in dossier.facts] + [r.no for r in dossier.resolutions])
    if numbers != list(range(1, row.decision_no + 1)):
        text = f"{len(numbers)} decisions stored, the row says {row.decision_no}"
        yield Finding("history", order_id, text)
    recorded = [stored.seq for stored, _ in facts]
    if recorded != sorted(recorded):
        yield Finding("history", order_id, "facts are not recorded in the order of decision")
    for stored, fact in facts:
        if stored.text is not None and stored.salt is not None:
            digest = sha256(stored.salt + stored.text.encode()).digest()
            if digest != fact.text_digest:
                text = f"decision {stored.no}: the text is not the one that was digested"
                yield Finding("history", order_id, text)


def _chain(dossier: Dossier, row: Escrow) -> Iterator[Finding]:
    head = b""
    try:
        for _, link in heads(dossier):
            head = link
    except BrokenChain as broken:
        yield Finding("history", dossier.order_id, str(broken))
        return
    if head != row.chain_head:
        text = f"the chain ends at {head.hex()[:12]}, the row says {row.chain_head.hex()[:12]}"
        yield Finding("chain", dossier.order_id, text)


def _money(dossier: Dossier, row: Escrow) -> Iterator[Finding]:
    parts = row.held_minor + row.refunded_minor + row.paid_out_minor + row.charged_back_minor
    if row.captured_minor != parts:
        text = f"captured {row.captured_minor} is not the sum of its parts {parts}"
        yield Finding("money", dossier.order_id, text)
    if row.held_minor and row.status in SETTLED:
        yield Finding("money", dossier.order_id, f"settled, yet {row.held_minor} held")
    sums: Counter[tuple[str, str]] = Counter()
    for posting in dossier.postings:
        if posting.currency == row.currency:
            sums[posting.debit, posting.credit] += posting.amount_minor
    for pair, column in _BOOKS.items():
        stored = getattr(row, column)
        if sums[pair] != stored:
            text = f"{column}: the row says {stored}, postings {sums[pair]}"
            yield Finding("money", dossier.order_id, text)
    # what unmatched chargebacks cost is the platform's loss, but not the order's
    if sums["platform_loss", "card_network"] < row.loss_minor:
        text = f"loss_minor: the row says {row.loss_minor}, more than was posted"
        yield Finding("money", dossier.order_id, text)


def _settlement(dossier: Dossier, row: Escrow) -> Iterator[Finding]:
    settled: Counter[str] = Counter()
    for command in (sent.command for sent in dossier.commands):
        if command.purpose == "settlement":
            if command.kind in settled:
                text = f"a second settlement {command.kind}: {command.command_id}"
                yield Finding("settlement", dossier.order_id, text)
            settled[command.kind] += command.amount_minor
    for kind, amount in (("refund", row.refunded_minor), ("payout", row.paid_out_minor)):
        if settled[kind] != amount:
            text = f"{kind}: the order says {amount}, its settlement commands {settled[kind]}"
            yield Finding("settlement", dossier.order_id, text)


def _gateway(dossier: Dossier, facts: Facts) -> Iterator[Finding]:
    """A command's state is what the applied results say, whatever the rules would say today."""
    applied = _applied_results(dossier, facts)
    for sent in dossier.commands:
        expected = _state_after(sent, applied)
        if sent.command.state not in expected:
            said = ", ".join(sorted(expected))
            text = f"command {sent.command.command_id} is {sent.command.state}, results say {said}"
            yield Finding("gateway", dossier.order_id, text)


def _deadlines(dossier: Dossier, again: Redecided) -> Iterator[Finding]:
    """An open request has its deadline until a tick at its time, or a decision, has ended it."""
    due = open_deadlines(dossier.order_id, again)
    stored = {deadline.request_id: deadline.due_at for deadline in dossier.deadlines}
    for request_id in sorted(due.keys() | stored.keys()):
        found, right = stored.get(request_id), due.get(request_id)
        if right is None:
            text = f"the deadline of {request_id} is stored, and nothing waits for it"
        elif found is None:
            text = f"the deadline of {request_id} is missing"
        else:
            text = f"the deadline of {request_id} is not {right}"
        if found != right:
            yield Finding("rows", dossier.order_id, text)
    if dossier.row is not None:
        yield from _silences(dossier, dossier.row)


def _silences(dossier: Dossier, row: Escrow) -> Iterator[Finding]:
    """A silence that counts has its row, and no other one is there."""
    due = silence_of(row)
    stored = [(silence.kind, silence.due_at) for silence in dossier.silences]
    if stored != ([] if due is None else [tuple(due)]):
        text = f"silences stored {stored}, the row makes {due}"
        yield Finding("rows", dossier.order_id, text)


def _applied_results(dossier: Dossier, facts: Facts) -> Counter[tuple[str, str]]:
    """How often each command got each applied answer: (command id, type)."""
    woken = {r.parked_no for r in dossier.resolutions if r.outcome == "applied"}
    return Counter(
        (fact.data.command_id, fact.type)  # type: ignore[union-attr]
        for stored, fact in facts
        if fact.type.startswith("gateway.") and (stored.outcome == "applied" or stored.no in woken)
    )


def _state_after(sent: CommandRow, applied: Counter[tuple[str, str]]) -> set[str]:
    command_id = sent.command.command_id
    if applied[command_id, "gateway.returned"]:
        return {"RETURNED"}
    if applied[command_id, "gateway.settled"]:
        return {"SETTLED"}
    if applied[command_id, "gateway.failed"]:  # for good, or tried again and perhaps accepted
        return {"FAILED", "PENDING", "ACCEPTED"}
    return {"ACCEPTED"} if applied[command_id, "gateway.accepted"] else {"PENDING"}
