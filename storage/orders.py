"""Orders are locked first, sorted, and read in later statements: nothing read here can be stale.

Under READ COMMITTED a statement that waits for a lock goes on with the snapshot it began with;
so what another stage committed meanwhile (a parked fact, a child) is only seen by a statement
that begins after the lock is held.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from escrow.naming import ChildKind, named_child
from escrow.state import (
    Chargeback,
    Command,
    Escrow,
    Evidence,
    Offer,
    Order,
    Shipment,
    Waiting,
)
from schemas.deadlines import DeadlineReached
from schemas.door import Fact
from schemas.refund_requests import EvidenceSubmitted
from storage.facts import FACT_COLUMNS, fact_from_row
from storage.rows import execute, fetch, update_rows
from storage.tables import escrows

_COLUMNS: Final = Escrow._fields
_LOSS: Final = _COLUMNS.index("loss_minor")

_INSERT_LOCK_ROWS: Final = """
INSERT INTO escrows (order_id) SELECT unnest(%(order_ids)b::text[]) ON CONFLICT DO NOTHING
"""
_LOCK: Final = f"""
SELECT {", ".join(_COLUMNS)} FROM escrows WHERE order_id = ANY(%(order_ids)b::text[])
ORDER BY order_id FOR NO KEY UPDATE
"""  # noqa: S608  our own names
_WAITING: Final = f"""
SELECT p.decision_no, p.code, {", ".join("f." + name for name in FACT_COLUMNS)}
FROM unnest(%(order_ids)b::text[], %(expired_at)b::bigint[]) AS s(order_id, expired_at)
JOIN parked p ON p.order_id = s.order_id
  AND (s.expired_at IS NULL OR p.expires_at <= s.expired_at)
JOIN facts f ON f.order_id = p.order_id AND f.decision_no = p.decision_no
ORDER BY p.order_id, p.decision_no
"""  # noqa: S608  our own names
_PAYMENTS: Final = """
SELECT payment_id, order_id FROM payments WHERE payment_id = ANY(%(payment_ids)b::text[])
"""
_WITH_ESCROW: Final = """
SELECT count(*) FROM escrows WHERE order_id = ANY(%(order_ids)b::text[]) AND status IS NOT NULL
"""


def _named_sql(table: str, key: str, fields: Sequence[str]) -> str:
    columns = ", ".join(f'c."{field}"' for field in fields)
    return (
        f"SELECT c.order_id, {columns}"  # noqa: S608  our own names
        " FROM unnest(%(order_ids)b::text[], %(child_ids)b::text[]) AS s(order_id, child_id)"
        f" JOIN {table} c ON c.order_id = s.order_id AND c.{key} = s.child_id"
    )


_NAMED: Final[dict[ChildKind, tuple[str, type[Any]]]] = {
    "shipment": (_named_sql("shipments", "shipment_id", Shipment._fields), Shipment),
    "offer": (_named_sql("offers", "offer_id", Offer._fields), Offer),
    "evidence": (_named_sql("evidence", "evidence_id", Evidence._fields), Evidence),
    "chargeback": (_named_sql("chargebacks", "chargeback_id", Chargeback._fields), Chargeback),
    "command": (_named_sql("commands", "command_id", Command._fields), Command),
}
_SAME_EVIDENCE: Final = """
SELECT c.order_id, c.by, c.sha256
FROM unnest(%(order_ids)b::text[], %(parties)b::text[], %(digests)b::text[])
  AS s(order_id, by, sha256)
JOIN evidence c ON c.order_id = s.order_id AND c.by = s.by AND c.sha256 = s.sha256
"""


_SHIPMENTS: Final = f"""
SELECT order_id, {", ".join(Shipment._fields)} FROM shipments
WHERE order_id = ANY(%(order_ids)b::text[])
"""  # noqa: S608  our own names


def lock_orders(
    connection: Connection, order_ids: Collection[str], payments: dict[str, str]
) -> dict[str, Order]:
    """Lock these orders, sorted; a row to lock is made for those seen for the first time."""
    if not order_ids:
        return {}
    ids = sorted(order_ids, key=str.encode)
    execute(connection, _INSERT_LOCK_ROWS, order_ids=ids)
    return {
        row[0]: Order(_escrow(row), payments) for row in fetch(connection, _LOCK, order_ids=ids)
    }


def load_named(connection: Connection, orders: dict[str, Order], facts: Iterable[Fact]) -> None:
    """Read what the facts can meet: waiting facts first, then the children that any of them names.

    An order without an escrow has no children, and can only be woken by a capture: without one,
    of what waits for it only that is read whose time is up.
    """
    facts = [fact for fact in facts if fact.order_id is not None]
    waking = {fact.order_id for fact in facts if fact.type == "payment.captured"}
    latest: dict[str | None, int] = {}
    for fact in facts:
        latest[fact.order_id] = max(fact.t, latest.get(fact.order_id, 0))
    with_waiting = {
        order_id: None
        if order.escrow.status is not None or order_id in waking
        else latest.get(order_id, 0)
        for order_id, order in orders.items()
        if order.escrow.parked
    }
    if with_waiting:
        limits = list(with_waiting.values())
        for row in fetch(connection, _WAITING, order_ids=list(with_waiting), expired_at=limits):
            fact = fact_from_row(row[2:])
            assert fact.order_id is not None
            orders[fact.order_id].waiting.append(Waiting(row[0], fact, row[1]))
            facts.append(fact)
    _load_children(connection, orders, facts)
    _load_parcels(connection, orders, facts)


def count_escrows(connection: Connection, order_ids: Sequence[str]) -> int:
    """How many of these orders have an escrow, that is, a capture; without a lock, for a look."""
    return int(fetch(connection, _WITH_ESCROW, order_ids=order_ids)[0][0])


def load_payments(connection: Connection, payment_ids: Collection[str]) -> dict[str, str]:
    """Who has used these payment ids: payment id → order id."""
    if not payment_ids:
        return {}
    return dict(fetch(connection, _PAYMENTS, payment_ids=list(payment_ids)))


def update_orders(connection: Connection, changes: Sequence[tuple[Escrow, Escrow]]) -> None:
    """Write back rows (before, after) as decided: only columns in which any of them differs."""
    if not changes:
        return
    before, after = (zip(*rows, strict=True) for rows in zip(*changes, strict=True))
    columns = {
        name: new
        for name, old, new in zip(_COLUMNS, before, after, strict=True)
        if name == "order_id" or old != new
    }
    if len(columns) > 1:
        rows = list(zip(*columns.values(), strict=True))
        update_rows(connection, escrows, list(columns), rows)


def _escrow(row: tuple[Any, ...]) -> Escrow:
    """`loss_minor` is NUMERIC, the one amount that may exceed 2^53-1; here it is an int, 0 too.

    An array of both kinds of number is one that the driver refuses to write.
    """
    return Escrow(*row)._replace(loss_minor=int(row[_LOSS]))


def _load_parcels(connection: Connection, orders: dict[str, Order], facts: Iterable[Fact]) -> None:
    """A silence after delivery names no parcel: all of them must have arrived."""
    asked = {
        fact.order_id
        for fact in facts
        if isinstance(fact.data, DeadlineReached) and fact.data.kind == "auto_confirm"
    }
    if asked:
        for order_id, *fields in fetch(connection, _SHIPMENTS, order_ids=list(asked)):
            orders[order_id].put(Shipment(*fields))


def _load_children(connection: Connection, orders: dict[str, Order], facts: Iterable[Fact]) -> None:
    wanted: dict[ChildKind, set[tuple[str, str]]] = defaultdict(set)
    digests: set[tuple[str, str, str]] = set()
    for fact in facts:
        order_id, named = fact.order_id, named_child(fact)
        if named is None or order_id is None or orders[order_id].escrow.status is None:
            continue
        wanted[named.kind].add((order_id, named.child_id))
        if isinstance(fact.data, EvidenceSubmitted):
            digests.add((order_id, fact.data.by, fact.data.sha256))
    for kind, pairs in wanted.items():
        sql, child = _NAMED[kind]
        order_ids, child_ids = zip(*pairs, strict=True)
        rows = fetch(connection, sql, order_ids=list(order_ids), child_ids=list(child_ids))
        for order_id, *fields in rows:
            orders[order_id].put(child(*fields))
    if digests:
        order_ids, parties, shas = zip(*digests, strict=True)
        rows = fetch(
            connection,
            _SAME_EVIDENCE,
            order_ids=list(order_ids),
            parties=list(parties),
            digests=list(shas),
        )
        for order_id, party, sha256 in rows:
            orders[order_id].met(party, sha256)
