"""What a batch reads: orders and what belongs to them, once their rows are locked."""

from collections.abc import Sequence
from typing import Any, Final

from escrow.state import Escrow
from storage import facts, orders
from tests.simulation.database import Row, Server, Tx
from tests.simulation.statements.answers import (
    STATEMENTS,
    Answer,
    Statement,
    answers,
    pick,
    rows_of,
)

_NEW_ORDER: Final[Row] = Escrow("")._asdict()


@answers(orders._INSERT_LOCK_ROWS)
def _insert_lock_rows(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    made = 0
    for order_id in p["order_ids"]:
        if server.get(tx, "escrows", (order_id,)) is None:
            made += server.insert(tx, "escrows", (order_id,), {**_NEW_ORDER, "order_id": order_id})
    return [], made


@answers(orders._LOCK)
def _lock_orders(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    locks = "FOR NO KEY UPDATE" in sql
    found: list[tuple[Any, ...]] = []
    ids = p["order_ids"]
    if "ORDER BY order_id " not in sql and "ORDER BY order_id\n" not in sql:
        server.scheduler.rng.shuffle(ids := list(ids))
    for order_id in ids:
        if server.get(tx, "escrows", (order_id,)) is None:
            continue
        if locks:
            server.lock(tx, "escrows", (order_id,))
        row = server.get(tx, "escrows", (order_id,))
        assert row is not None
        found.append(tuple(row.values()))
    return rows_of(found)


@answers(orders._WITH_ESCROW)
def _with_escrow(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    rows = server.seen(tx, "escrows")
    there = (rows.get((id_,), _NEW_ORDER) for id_ in p["order_ids"])
    return rows_of([(sum(row["status"] is not None for row in there),)])


@answers(orders._WAITING)
def _waiting(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    limits = dict(zip(p["order_ids"], p["expired_at"], strict=True))
    waiting = server.seen(tx, "parked")
    found: list[tuple[Any, ...]] = []
    for key in sorted(key for key in waiting if key[0] in limits):
        row, limit = waiting[key], limits[key[0]]
        if limit is None or (row["expires_at"] is not None and row["expires_at"] <= limit):
            fact = server.get(tx, "facts", key)
            assert fact is not None
            found.append((key[1], row["code"], *pick(fact, facts.FACT_COLUMNS)))
    return rows_of(found)


@answers(orders._PAYMENTS)
def _payments(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    found = ((id_, server.get(tx, "payments", (id_,))) for id_ in p["payment_ids"])
    return rows_of([(id_, row["order_id"]) for id_, row in found if row is not None])


def _named(table: str, fields: Sequence[str]) -> Statement:
    def named(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
        keys = zip(p["order_ids"], p["child_ids"], strict=True)
        found = ((key, server.get(tx, table, key)) for key in keys)
        return rows_of([(key[0], *pick(row, fields)) for key, row in found if row is not None])

    return named


for _kind, _table in (("shipment", "shipments"), ("offer", "offers"), ("evidence", "evidence"),
                      ("chargeback", "chargebacks"), ("command", "commands")):  # fmt: skip
    _sql, _child = orders._NAMED[_kind]  # type: ignore[index]
    STATEMENTS[_sql] = _named(_table, _child._fields)


@answers(orders._SAME_EVIDENCE)
def _same_evidence(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    wanted = set(zip(p["order_ids"], p["parties"], p["digests"], strict=True))
    said = (pick(row, ("order_id", "by", "sha256")) for row in server.seen(tx, "evidence").values())
    return rows_of(sorted(wanted.intersection(said)))


@answers(facts._IDENTITIES)
def _identities(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    kept = "get_byte" not in sql
    found = ((id_, server.get(tx, "identities", (id_,))) for id_ in p["identities"])
    return rows_of(
        [
            (id_, row["digest"], row["salt"], row["text_digest"])
            for id_, row in found
            if row is not None and (kept or id_[0] > 100)
        ]
    )
