"""The stored facts decided again, in their recorded order, into a database that held nothing.

Rows and commands come out equal, or the tables that differ are named; nothing is sent.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from escrow.arrival import arrive
from schemas.payments import PaymentCaptured
from storage import outbox
from storage.attention import unsent
from storage.decisions import Decisions
from storage.engine import Connection
from storage.exporting import count_facts
from storage.facts import identity_of
from storage.orders import load_named, load_payments, lock_orders
from storage.reading import snapshot
from storage.rebuilding import (
    Stored,
    Target,
    carry_over,
    fingerprints,
    let_go,
    mark_sent,
    stream,
)

FACTS_A_BATCH: Final = 2_000
Progress = Callable[[int, int], None]
T = TypeVar("T")


class CannotRebuild(Exception):
    """The rebuild was not begun; the text says why."""


class Rebuilt(NamedTuple):
    """What was made, and where it differs from what was stored."""

    facts: int
    seconds: float
    differing: list[str]  # tables
    unsent: int  # records that the source had not sent yet: here they count as sent


def rebuild(
    source_url: str, target_url: str, progress: Progress = lambda _done, _all: None
) -> Rebuilt:
    """Decide all facts of one database into another. Raises CannotRebuild or DatabaseTrouble.

    The source is read in one snapshot, so that a stage may go on working there.
    """
    began = time.monotonic()
    with closing(Target(target_url)) as target, snapshot(source_url) as source:
        held = target.filled()
        if held:
            raise CannotRebuild(f"the target is not empty: {', '.join(held[:5])}")
        total = count_facts(source)
        if total == 0:
            raise CannotRebuild("there are no facts to decide")
        target.migrate()
        done = 0
        for batch in _batches(stream(source), FACTS_A_BATCH):
            with target.begin() as connection:
                decide_again(connection, batch)
            done += len(batch)
            progress(done, total)
        with target.begin_long() as connection:
            carry_over(source, connection)
            let_go(connection)
        with target.begin_long() as connection:
            made, stored = fingerprints(connection), fingerprints(source)
        differing = [name for name in stored if made[name] != stored[name]]
        return Rebuilt(done, time.monotonic() - began, differing, unsent(source)[0])


def decide_again(connection: Connection, batch: list[Stored]) -> None:
    """One batch, in the transaction of the caller: as a stage does it, without a position."""
    facts = [stored.fact for stored in batch]
    payments: dict[str, str] = {}
    order_ids = {fact.order_id for fact in facts if fact.order_id is not None}
    orders = lock_orders(connection, order_ids, payments)
    load_named(connection, orders, facts)
    named = {fact.data.payment_id for fact in facts if isinstance(fact.data, PaymentCaptured)}
    payments.update(load_payments(connection, named))
    decisions = Decisions(orders)
    for fact, known in batch:
        if fact.order_id is None:
            decisions.add_report(fact)
        else:
            order = orders[fact.order_id]
            decisions.add(order, arrive(order, fact))
        decisions.identities.append((identity_of(fact), known))
    decisions.write(connection)
    outbox.append(connection, decisions.messages)
    mark_sent(connection)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
