"""The relay: what is unsent, whose a slice is, what was sent."""

from typing import Any

from storage import relaying
from storage.relaying import Unsent
from tests.simulation.database import EXCLUSIVE, SHARE, Row, Server, Tx
from tests.simulation.statements.answers import Answer, answers, delete, pick, rows_of


def _is_held(server: Server, tx: Tx, sql: str, row: Row) -> bool:
    if row["let_go"] is not False or "o.id > 0 OR" in sql:
        return False
    return (row["key"], row["command_id"]) in server.seen(tx, "command_holds")


@answers(relaying._UNSENT)
def _unsent(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    rows = server.seen(tx, "outbox")
    found: list[tuple[Any, ...]] = []
    taken: dict[int, list[int]] = {slice_: [0, 0] for slice_ in p["slices"]}
    for key in sorted(rows):
        row = rows[key]
        so_far = taken.get(row["slice"])
        if so_far is None or row["sent_at"] is not None or _is_held(server, tx, sql, row):
            continue
        if so_far[0] < p["rows_max"] and so_far[1] < p["bytes_max"]:
            found.append(pick(row, Unsent._fields))
            so_far[0] += 1
        so_far[1] += len(row["payload"].encode())
    return rows_of(found)


@answers(relaying._LOCK_SLICES)
def _lock_slices(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    for slice_ in p["slices"]:
        server.lock(tx, "outbox_slices", (slice_,))
    return rows_of([(slice_,) for slice_ in p["slices"]])


@answers(relaying._LOCK_ABANDONED)
def _lock_abandoned(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    since = server.scheduler.now - p["lease_seconds"]
    found: list[tuple[Any, ...]] = []
    for slice_ in p["slices"]:
        for asked in (False, True):  # again with the newest version, once it is locked
            row = server.get(tx, "outbox_slices", (slice_,))
            assert row is not None
            if row["seen_at"] is not None and row["seen_at"] >= since:
                break
            if not asked and not server.lock(tx, "outbox_slices", (slice_,), skip=True):
                break
            if asked:
                found.append((slice_,))
    return rows_of(found)


@answers(relaying._TAKE)
def _take(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    taken: list[tuple[Any, ...]] = []
    for slice_ in p["slices"]:
        server.lock(tx, "outbox_slices", (slice_,))
        row = server.get(tx, "outbox_slices", (slice_,))
        assert row is not None
        row = {**row, "epoch": row["epoch"] + 1, "seen_at": server.scheduler.now}
        server.put(tx, "outbox_slices", (slice_,), row)
        taken.append((slice_, row["epoch"]))
    return rows_of(taken)


def _mine(server: Server, tx: Tx, sql: str, p: dict[str, Any], mode: str) -> list[int]:
    """Slices that are still of the given epoch, once their locks are held."""
    by_epoch = "s.epoch = e.epoch" in sql
    mine: list[int] = []
    for slice_, epoch in sorted(zip(p["slices"], p["epochs"], strict=True)):
        row = server.get(tx, "outbox_slices", (slice_,))
        assert row is not None
        if by_epoch and row["epoch"] != epoch:
            continue
        server.lock(tx, "outbox_slices", (slice_,), mode)
        row = server.get(tx, "outbox_slices", (slice_,))
        assert row is not None
        if not by_epoch or row["epoch"] == epoch:
            mine.append(slice_)
    return mine


@answers(relaying._STILL)
def _still(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    mine = _mine(server, tx, sql, p, EXCLUSIVE)
    for slice_ in mine:
        row = server.get(tx, "outbox_slices", (slice_,))
        assert row is not None
        seen_at = None if p["leave"] else server.scheduler.now
        server.put(tx, "outbox_slices", (slice_,), {**row, "seen_at": seen_at})
    return rows_of([(slice_,) for slice_ in mine])


@answers(relaying._MARK)
def _mark(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    mine = _mine(server, tx, sql, p, SHARE)
    marked = 0
    for id_ in p["ids"]:
        row = server.get(tx, "outbox", (id_,))
        if row is None or row["slice"] not in mine or row["sent_at"] is not None:
            continue
        server.lock(tx, "outbox", (id_,))
        row = server.get(tx, "outbox", (id_,))
        if row is not None and row["sent_at"] is None:
            server.put(tx, "outbox", (id_,), {**row, "sent_at": server.scheduler.now})
            marked += 1
    return [], marked


@answers(relaying._LOCK_ORDERS)
def _lock_orders_shared(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    for order_id in p["order_ids"]:
        server.lock(tx, "escrows", (order_id,), SHARE)
    return rows_of([(order_id,) for order_id in p["order_ids"]])


@answers(relaying._LET_GO)
def _let_go(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    mine = _mine(server, tx, sql, p, SHARE)
    gone: list[tuple[Any, ...]] = []
    for id_ in p["ids"]:
        row = server.get(tx, "outbox", (id_,))
        if row is None or row["slice"] not in mine or row["sent_at"] is not None:
            continue
        if not _is_held(server, tx, sql, row):
            server.lock(tx, "outbox", (id_,))
            server.put(tx, "outbox", (id_,), {**row, "let_go": True})
            gone.append((id_,))
    return rows_of(gone)


@answers(relaying._PURGE)
def _purge(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    since = server.scheduler.now - p["retention_seconds"]
    rows = server.seen(tx, "outbox")
    old = [k for k, r in rows.items() if r["sent_at"] is not None and r["sent_at"] < since]
    return delete(server, tx, "outbox", sorted(old)[: p["rows_max"]])
