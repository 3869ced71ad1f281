"""The stored history decided under another policy, and what would differ; nothing is written or sent.

People would have acted otherwise, too: only what the rules make of what was said is compared. Ticks
of a silence are made here, at the instant they are due; stored ones belong to the policy of then.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, NamedTuple

from escrow.arrival import Decided, arrive
from escrow.policy import Policy, instead
from escrow.schedule import deadline_id
from escrow.silence import silence_of
from escrow.state import Escrow, Order
from ops.audit_chunks import calm_collector, ranges
from ops.audit_order import Facts
from ops.redecide import Elsewhere, Unreadable, claimed_elsewhere, payment_ids, read_facts
from schemas.deadlines import SILENCES, DeadlineReached
from schemas.door import Fact, fact_digest
from schemas.facts import FACT_TYPES
from schemas.order_events import rfc3339
from schemas.payments import PaymentCaptured
from storage import checks
from storage.dossiers import Dossier, read_range
from storage.positions import decided_until
from storage.reading import Reader

ORDERS_A_CHUNK: Final = 500
ORDERS_KEPT: Final = 1_000
MONEY: Final = (
    "captured",
    "held",
    "refunded",
    "paid_out",
    "charged_back",
    "sent_back",
    "debt",
    "loss",
)
_SENT_BACK: Final = frozenset({"duplicate_payment", "not_eligible"})
Ending = tuple[str, str | None]  # outcome, code
Progress = Callable[[int, int], None]


class Different(NamedTuple):
    """One order that would have ended otherwise; amounts in minor units."""

    order_id: str
    currency: str
    status: str | None
    would_be: str | None
    refunded: tuple[int, int]  # as it was, as it would be
    paid_out: tuple[int, int]


class WhatIf(NamedTuple):
    """What another policy would have made of the same facts."""

    orders: int
    facts: int
    unreadable: list[str]  # orders whose facts cannot be decided again: run `escrow audit`
    different: int
    examples: list[Different]  # the first ones
    statuses: Counter[tuple[str | None, str | None]]  # (was, would be) → orders
    endings: Counter[tuple[str, Ending, Ending]]  # (type, was, would be) → facts
    was: dict[str, Counter[str]]  # currency → money
    would_be: dict[str, Counter[str]]


def what_if(
    url: str, policies: Sequence[Policy], progress: Progress = lambda _done, _all: None
) -> WhatIf:
    """Decide every order again under these versions, in short snapshots. Raises DatabaseTrouble."""
    result = WhatIf(0, 0, [], 0, [], Counter(), Counter(), {}, {})
    with closing(Reader(url)) as reader, calm_collector():
        with reader.snapshot() as connection:
            until = decided_until(connection)
            total, _ = checks.sizes(connection)
        done = 0
        for chunk in ranges(reader.snapshot, ORDERS_A_CHUNK):
            with reader.snapshot() as connection:
                dossiers = read_range(connection, *chunk)
                readable = list(_readable(dossiers, result))
                named = {dossier.order_id: payment_ids(facts) for dossier, facts in readable}
                elsewhere = claimed_elsewhere(connection, named)[1]
            with instead(policies):
                for dossier, facts in readable:
                    result = _compared(result, dossier, facts, elsewhere, until)
            done += len(dossiers)
            progress(done, total)
    return result


def _readable(dossiers: list[Dossier], result: WhatIf) -> Iterator[tuple[Dossier, Facts]]:
    for dossier in dossiers:
        try:
            yield dossier, read_facts(dossier)
        except Unreadable:
            result.unreadable.append(dossier.order_id)


def _compared(
    result: WhatIf, dossier: Dossier, facts: Facts, elsewhere: Mapping[str, Elsewhere], until: int
) -> WhatIf:
    try:
        order, made = decided_again(dossier.order_id, facts, elsewhere, until)
    except (AssertionError, LookupError, TypeError, ValueError):
        result.unreadable.append(dossier.order_id)
        return result
    result.endings.update(_endings(dossier, facts, made))
    row, would_be = dossier.row or Escrow(dossier.order_id), order.escrow
    sent = [stored.command for stored in dossier.commands]
    _add(result.was, row, sent)
    _add(result.would_be, would_be, order.commands.values())
    different = _essence(row) != _essence(would_be)
    if different:
        result.statuses[row.status, would_be.status] += 1
        if len(result.examples) < ORDERS_KEPT:
            result.examples.append(_difference(row, would_be))
    return result._replace(
        orders=result.orders + (row.status is not None),
        facts=result.facts + len(facts),
        different=result.different + different,
    )


def decided_again(
    order_id: str, facts: Facts, elsewhere: Mapping[str, Elsewhere], until: int
) -> tuple[Order, dict[tuple[str, str], Ending]]:
    """The order at `until` (ms UTC) under the versions of now; identity of a fact → how it ended."""
    used: dict[str, str] = {}
    order = Order(Escrow(order_id), used)
    made: dict[tuple[str, str], Ending] = {}
    for stored, fact in facts:
        if isinstance(fact.data, DeadlineReached) and fact.data.kind in SILENCES:
            continue
        _pass_time(order, fact.t)
        if isinstance(fact.data, PaymentCaptured):
            other = elsewhere.get(fact.data.payment_id)
            if other is not None and other.seq < stored.seq:
                used[fact.data.payment_id] = other.order_id
        for step in arrive(order, fact):
            if isinstance(step, Decided):
                made[step.fact.source, step.fact.id] = step.outcome, step.code
    _pass_time(order, until)
    return order, made


def _pass_time(order: Order, t: int) -> None:
    """What a ticker would have announced before `t`: each tick settles the order, or ends its silence."""
    while (silence := silence_of(order.escrow)) is not None and silence.due_at <= t:
        id_ = deadline_id(order.escrow.order_id, silence.kind, silence.due_at, "", 1)
        data = DeadlineReached(
            order_id=order.escrow.order_id,
            deadline_id=id_,
            kind=silence.kind,
            due_at=rfc3339(silence.due_at),
        )
        payload = data.model_dump_json().encode()
        type_name = "deadline.reached"
        topic, digest = FACT_TYPES[type_name].topic, fact_digest(type_name, payload)
        what = (type_name, data, order.escrow.order_id, "escrow whatif", id_, silence.due_at)
        arrive(order, Fact(*what, payload, None, digest, None, (), topic, 0, 0))


def _endings(
    dossier: Dossier, facts: Facts, made: Mapping[tuple[str, str], Ending]
) -> Iterator[tuple[str, Ending, Ending]]:
    later = {resolved.parked_no: resolved for resolved in dossier.resolutions}
    for stored, fact in facts:
        would_be = made.get((fact.source, fact.id))
        ended = later.get(stored.no, stored)
        was = ended.outcome, ended.code
        if would_be is not None and would_be != was:
            yield fact.type, was, would_be


def _essence(row: Escrow) -> tuple[Any, ...]:
    return (row.status, row.currency, *_money(row).values())


def _money(row: Escrow) -> dict[str, int]:
    return {
        "captured": row.captured_minor,
        "held": row.held_minor,
        "refunded": row.refunded_minor,
        "paid_out": row.paid_out_minor,
        "charged_back": row.charged_back_minor,
        "debt": row.supplier_debt_minor,
        "loss": row.loss_minor,
    }


def _add(sums: dict[str, Counter[str]], row: Escrow, commands: Any) -> None:
    if row.status is not None:
        sums.setdefault(row.currency, Counter()).update(_money(row))
    for command in commands:
        if command.purpose in _SENT_BACK:
            sums.setdefault(command.currency, Counter())["sent_back"] += command.amount_minor


def _difference(row: Escrow, would_be: Escrow) -> Different:
    return Different(
        row.order_id,
        would_be.currency or row.currency,
        row.status,
        would_be.status,
        (row.refunded_minor, would_be.refunded_minor),
        (row.paid_out_minor, would_be.paid_out_minor),
    )


def what_if_json(result: WhatIf) -> dict[str, Any]:
    """The comparison as JSON values; amounts in minor units."""
    return {
        "orders": result.orders,
        "facts": result.facts,
        "different": result.different,
        "unreadable": result.unreadable,
        "statuses": [
            {"was": was, "would_be": would_be, "orders": number}
            for (was, would_be), number in result.statuses.most_common()
        ],
        "endings": [
            {"type": type_name, "was": was, "would_be": would_be, "facts": number}
            for (type_name, was, would_be), number in result.endings.most_common()
        ],
        "money": {
            currency: {
                name: {"was": was, "would_be": would_be, "difference": would_be - was}
                for name, was, would_be in amounts(result, currency)
            }
            for currency in sorted({*result.was, *result.would_be})
        },
        "examples": [
            {
                **example._asdict(),
                "refunded": dict(zip(("was", "would_be"), example.refunded, strict=True)),
                "paid_out": dict(zip(("was", "would_be"), example.paid_out, strict=True)),
            }
            for example in result.examples
        ],
    }


def amounts(result: WhatIf, currency: str) -> list[tuple[str, int, int]]:
    """Name, as it was, as it would be: all that a currency has."""
    was = result.was.get(currency, Counter())
    would_be = result.would_be.get(currency, Counter())
    return [(name, was[name], would_be[name]) for name in MONEY]
