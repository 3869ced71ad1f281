"""Orders are read a chunk at a time, each in one short snapshot, and judged with no transaction open.

A chunk says what it found and what it counted; chunks may be judged in any process, in any order.
"""

import gc
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from multiprocessing import get_context
from typing import Final, NamedTuple

from ops.audit_archived import archived_apart
from ops.audit_order import Facts, audit_order
from ops.findings import Check, Finding
from ops.redecide import Unreadable, claimed_elsewhere, payment_ids, read_facts
from storage.dossiers import Dossier, next_ids, read_range
from storage.reading import Reader, Snapshots

FINDINGS_A_CHUNK: Final = 1_000  # kept in words; all are counted
_LAST_ID: Final = "~"  # above every order id
_CHUNKS_A_WORKER: Final = 3  # under way or waiting to be added up

Range = tuple[str, str]  # orders above the first id, up to the second, by the bytes of their ids


class Part(NamedTuple):
    """What one chunk of orders was found to be."""

    orders: int  # with an escrow
    rows: int  # orders of any kind, for a progress bar
    facts: int
    statuses: Counter[str]
    money: dict[str, Counter[str]]  # currency → sums of columns, and of accounts: +credit, -debit
    findings: list[Finding]
    found: Counter[Check]  # check → findings in all


def ranges(take: Snapshots, orders_max: int) -> Iterator[Range]:
    """Ranges of at most so many orders that leave out no id there can be."""
    after = ""
    while after != _LAST_ID:
        with take() as connection:
            ids = next_ids(connection, after, orders_max)
        until = ids[-1] if len(ids) == orders_max else _LAST_ID
        yield after, until
        after = until


def judged(url: str, take: Snapshots, chunks: Iterable[Range], workers: int) -> Iterator[Part]:
    """Every chunk's part, judged here or by so many processes. Raises DatabaseTrouble."""
    if workers <= 1:
        for chunk in chunks:
            yield judge(take, chunk)
        return
    # spawned: a forked process would share this one's connections
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (url,))
    try:
        waiting: deque[Future[Part]] = deque()
        for chunk in chunks:
            waiting.append(pool.submit(_judge, chunk))
            if len(waiting) >= workers * _CHUNKS_A_WORKER:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def judge(take: Snapshots, chunk: Range) -> Part:
    """Read a chunk in one snapshot, then hold each of its orders against its own facts."""
    found: list[Finding] = []
    readable: list[tuple[Dossier, Facts]] = []
    with take() as connection:
        dossiers = read_range(connection, *chunk)
        for dossier in dossiers:
            try:
                readable.append((dossier, read_facts(dossier)))
            except Unreadable as error:
                check: Check = "history" if dossier.lost is None else "archive"
                found.append(Finding(check, dossier.order_id, str(error)))
        named = {dossier.order_id: payment_ids(facts) for dossier, facts in readable}
        owners, elsewhere = claimed_elsewhere(connection, named)
        found.extend(archived_apart(connection, readable, owners))
    for dossier, facts in readable:
        found.extend(audit_order(dossier, facts, elsewhere))
    return _part(dossiers, found)


def _part(dossiers: list[Dossier], found: list[Finding]) -> Part:
    statuses: Counter[str] = Counter()
    money: dict[str, Counter[str]] = {}
    for dossier in dossiers:
        row = dossier.row
        if row is not None and row.status is not None:
            statuses[row.status] += 1
            sums = money.setdefault(row.currency, Counter())
            sums["captured"] += row.captured_minor
            sums["held"] += row.held_minor
            sums["refunded"] += row.refunded_minor
            sums["paid_out"] += row.paid_out_minor
            sums["charged_back"] += row.charged_back_minor
            sums["debt"] += row.supplier_debt_minor
        for posting in dossier.postings:
            sums = money.setdefault(posting.currency, Counter())
            sums["+" + posting.credit] += posting.amount_minor
            sums["-" + posting.debit] += posting.amount_minor
    return Part(
        statuses.total(),
        len(dossiers),
        sum(len(dossier.facts) for dossier in dossiers),
        statuses,
        money,
        found[:FINDINGS_A_CHUNK],
        Counter(finding.check for finding in found),
    )


_open = ExitStack()  # of a worker process: its connection lasts as long as it does
_take: Snapshots


def _begin(url: str) -> None:
    global _take  # noqa: PLW0603  one connection a process, made before its first chunk
    _take = _open.enter_context(closing(Reader(url))).snapshot
    _open.enter_context(calm_collector())


def _judge(chunk: Range) -> Part:
    return judge(_take, chunk)


@contextmanager
def calm_collector() -> Iterator[None]:
    """Chunks make a million small tuples and no cycles: look for cycles seldom."""
    often = gc.get_threshold()
    gc.set_threshold(100_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*often)
