"""Each statement of the write path, relay and ticker as a function over the tables of `database`.

Guards and locking clauses are looked up in the statement's own text, so that a statement that loses
one loses it here, too. A statement that is not here raises: nothing is answered by guessing.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

from psycopg import errors

from escrow.state import Escrow
from storage import (
    dead_letters,
    decisions,
    facts,
    lineage,
    orders,
    policies,
    positions,
    relaying,
    ticking,
    totals,
)
from storage.relaying import Unsent
from tests.simulation.database import EXCLUSIVE, SHARE, Row, Server, Tx

Answer = tuple[list[tuple[Any, ...]], int]  # rows, and how many were touched
Statement = Callable[[Server, Tx, str, dict[str, Any]], Answer]
STATEMENTS: Final[dict[str, Statement]] = {}
_ESCROW: Final = Escrow._fields


def answers(*texts: str) -> Callable[[Statement], Statement]:
    def book(statement: Statement) -> Statement:
        STATEMENTS.update(dict.fromkeys(texts, statement))
        return statement

    return book


def find(sql: str) -> Statement:
    known = STATEMENTS.get(sql)
    if known is None:
        assert sql.startswith("INSERT INTO dead_letters"), f"no such statement here: {sql}"
        known = STATEMENTS[sql] = _dead_letters
    return known


def _rows(rows: list[tuple[Any, ...]]) -> Answer:
    return rows, len(rows)


def _pick(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple([row[name] for name in names])


# positions

_POSITION: Final = (
    "topic", "partition", "cluster_id", "epoch", "next_offset", "last_offset", "last_digest",
)  # fmt: skip


@answers(positions._TAKE_EPOCH)
def _take_epoch(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    key = p["stage"], p["topic"], p["partition"]
    row: Row = {
        "stage": p["stage"], "topic": p["topic"], "partition": p["partition"],
        "cluster_id": p["cluster_id"], "epoch": 1, "next_offset": p["start"],
        "last_offset": None, "last_digest": None, "t_max": -1,
    }  # fmt: skip
    if not server.insert(tx, "consumer_positions", key, row):
        there = server.get(tx, "consumer_positions", key)
        assert there is not None
        row = {**there, "epoch": there["epoch"] + 1}
        server.put(tx, "consumer_positions", key, row)
    return _rows([_pick(row, _POSITION)])


@answers(positions._LOCK)
def _lock_positions(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    found: list[tuple[Any, ...]] = []
    for topic, partition in sorted(zip(p["topics"], p["partitions"], strict=True)):
        key = p["stage"], topic, partition
        if server.get(tx, "consumer_positions", key) is not None:
            server.lock(tx, "consumer_positions", key)
            found.append((topic,))
    return _rows(found)


@answers(positions._FENCE)
def _fence(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    by_epoch, by_offset = "p.epoch = s.epoch" in sql, "p.next_offset = s.expected" in sql
    moved: list[tuple[Any, ...]] = []
    names = ("topics", "partitions", "epochs", "expected", "next_offsets", "last_offsets",
             "last_digests", "t_max")  # fmt: skip
    for topic, partition, epoch, expected, after, last, digest, t_max in zip(
        *(p[name] for name in names), strict=True
    ):
        key = p["stage"], topic, partition
        server.lock(tx, "consumer_positions", key)
        row = server.get(tx, "consumer_positions", key)
        if row is None or (by_epoch and row["epoch"] != epoch):
            continue
        if by_offset and row["next_offset"] != expected:
            continue
        row = {**row, "next_offset": after, "t_max": max(row["t_max"], t_max)}
        if last is not None:
            row |= {"last_offset": last, "last_digest": digest}
        server.put(tx, "consumer_positions", key, row)
        moved.append((topic, partition))
    return _rows(moved)


@answers(positions._READ)
def _read_positions(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    rows = server.seen(tx, "consumer_positions")
    return _rows([_pick(rows[key], _POSITION) for key in sorted(rows) if key[0] == p["stage"]])


@answers(positions._PROGRESS)
def _progress(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    rows = server.seen(tx, "consumer_positions")
    return _rows([(sum(row["next_offset"] for key, row in rows.items() if key[0] == p["stage"]),)])


@answers(positions._NOW)
def _decided_until(server: Server, tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    rows = server.seen(tx, "consumer_positions").values()
    return _rows([(max((row["t_max"] for row in rows), default=-1),)])


# orders

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
    return _rows(found)


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
            found.append((key[1], row["code"], *_pick(fact, facts.FACT_COLUMNS)))
    return _rows(found)


@answers(orders._PAYMENTS)
def _payments(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    found = ((id_, server.get(tx, "payments", (id_,))) for id_ in p["payment_ids"])
    return _rows([(id_, row["order_id"]) for id_, row in found if row is not None])


def _named(table: str, fields: Sequence[str]) -> Statement:
    def named(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
        keys = zip(p["order_ids"], p["child_ids"], strict=True)
        found = ((key, server.get(tx, table, key)) for key in keys)
        return _rows([(key[0], *_pick(row, fields)) for key, row in found if row is not None])

    return named


for _kind, _table in (("shipment", "shipments"), ("offer", "offers"), ("evidence", "evidence"),
                      ("chargeback", "chargebacks"), ("command", "commands")):  # fmt: skip
    _sql, _child = orders._NAMED[_kind]  # type: ignore[index]
    STATEMENTS[_sql] = _named(_table, _child._fields)


@answers(orders._SAME_EVIDENCE)
def _same_evidence(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    wanted = set(zip(p["order_ids"], p["parties"], p["digests"], strict=True))
    said = (
        _pick(row, ("order_id", "by", "sha256")) for row in server.seen(tx, "evidence").values()
    )
    return _rows(sorted(wanted.intersection(said)))


@answers(facts._IDENTITIES)
def _identities(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    kept = "get_byte" not in sql
    found = ((id_, server.get(tx, "identities", (id_,))) for id_ in p["identities"])
    return _rows(
        [
            (id_, row["digest"], row["salt"], row["text_digest"])
            for id_, row in found
            if row is not None and (kept or id_[0] > 100)
        ]
    )


# decisions


@answers(decisions._LEAVE)
def _leave(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    return _delete(server, tx, "parked", zip(p["order_ids"], p["nos"], strict=True))


@answers(decisions._VOID)
def _void(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    return _delete(server, tx, "deadlines", zip(p["order_ids"], p["request_ids"], strict=True))


@answers(decisions._FIRED)
def _fired(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    limits: dict[str, int] = defaultdict(lambda: -1)
    for order_id, t in zip(p["order_ids"], p["ts"], strict=True):
        limits[order_id] = max(limits[order_id], t)
    there = server.seen(tx, "deadlines")
    return _delete(
        server, tx, "deadlines", [k for k, row in there.items() if row["due_at"] <= limits[k[0]]]
    )


def _delete(server: Server, tx: Tx, table: str, keys: Any) -> Answer:
    gone = 0
    for key in sorted(set(keys)):
        if server.get(tx, table, key) is not None:
            server.lock(tx, table, key)
            gone += server.get(tx, table, key) is not None
            server.put(tx, table, key, None)
    return [], gone


@answers(decisions._HOLD)
def _hold(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    made = 0
    for key in zip(p["order_ids"], p["command_ids"], strict=True):
        row: Row = {
            "order_id": key[0], "command_id": key[1], "reason": "settled_after_reissue",
        }  # fmt: skip
        made += server.insert(tx, "command_holds", key, row)
    return [], made


def _dead_letters(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    new: list[tuple[Any, ...]] = []
    fields = dead_letters.DeadLetter._fields
    for values in zip(*(p[name] for name in fields), strict=True):
        row = {"cluster_id": p["cluster_id"], **dict(zip(fields, values, strict=True))}
        key = p["cluster_id"], row["topic"], row["partition"], row["offset"]
        if server.insert(tx, "dead_letters", key, row):
            new.append(key[1:])
    return _rows(new)


# the relay


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
            found.append(_pick(row, Unsent._fields))
            so_far[0] += 1
        so_far[1] += len(row["payload"].encode())
    return _rows(found)


@answers(relaying._LOCK_SLICES)
def _lock_slices(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    for slice_ in p["slices"]:
        server.lock(tx, "outbox_slices", (slice_,))
    return _rows([(slice_,) for slice_ in p["slices"]])


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
    return _rows(found)


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
    return _rows(taken)


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
    return _rows([(slice_,) for slice_ in mine])


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
    return _rows([(order_id,) for order_id in p["order_ids"]])


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
    return _rows(gone)


@answers(relaying._PURGE)
def _purge(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    since = server.scheduler.now - p["retention_seconds"]
    rows = server.seen(tx, "outbox")
    old = [k for k, r in rows.items() if r["sent_at"] is not None and r["sent_at"] < since]
    return _delete(server, tx, "outbox", sorted(old)[: p["rows_max"]])


# the database's life: one


@answers(lineage._HERE, lineage._LAST)
def _one_life(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return _rows([("1", 1)])


@answers(lineage._LAST_SENT)
def _never_sent(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return _rows([(None,)])


@answers(lineage._OPEN)
def _no_promises(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return [], 0


# the policy: the first version is all there is


@answers(policies._READ)
def _no_policies(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return [], 0


# the ticker


def _quiet(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return [], 0


STATEMENTS["SET idle_session_timeout = 30000"] = _quiet


@answers(ticking._ACTIVE)
def _active(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    return _rows([(server.advisory.setdefault(p["key"], tx.session) is tx.session,)])


def _limits(rows: list[Row], named: str) -> list[tuple[Any, ...]]:
    """Parked facts of one order that expire at the same instant are one."""
    ticks: dict[tuple[str, int], int] = {}
    for row in rows:
        key = row["order_id"], row["expires_at"]
        ticks[key] = max(ticks.get(key, 0), row["ticks"])
    return [(named, order_id, at, "", number) for (order_id, at), number in ticks.items()]


@answers(ticking._DUE)
def _due(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    now = p["now"]
    found = [
        ("mediation_available", *_pick(row, _DEADLINE))
        for row in server.seen(tx, "deadlines").values()
        if row["ticked_at"] is None and row["due_at"] <= now
    ]
    waiting = server.seen(tx, "parked").values()
    due = [
        row
        for row in waiting
        if row["ticked_at"] is None and row["expires_at"] is not None and row["expires_at"] <= now
    ]
    return _rows(found + _limits(due, "park_limit"))


_DEADLINE: Final = ("order_id", "due_at", "request_id", "ticks")


@answers(ticking._TICKED)
def _ticked(server: Server, tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    found: list[tuple[Any, ...]] = []
    for row in server.seen(tx, "deadlines").values():
        order = server.get(tx, "escrows", (row["order_id"],))
        if row["ticked_at"] is not None and order is not None and order["status"] != "FROZEN":
            found.append(("mediation_available", *_pick(row, _DEADLINE)))
    waiting = [row for row in server.seen(tx, "parked").values() if row["ticked_at"] is not None]
    return _rows(found + _limits(waiting, "park_limit"))


def _set_ticks(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    table = "deadlines" if sql == ticking._SET_DEADLINES else "parked"
    due_at = "due_at" if table == "deadlines" else "expires_at"
    touched = 0
    names = ("order_ids", "request_ids", "due", "ticks")
    for order_id, request_id, due, ticks in zip(*(p[name] for name in names), strict=True):
        for key, row in sorted(server.seen(tx, table).items()):
            if key[0] != order_id or row[due_at] != due:
                continue
            if table == "deadlines" and key[1] != request_id:
                continue
            if server.lock(tx, table, key, skip=True) and server.get(tx, table, key) is not None:
                change = {"ticks": ticks, "ticked_at": p["ticked_at"]}
                server.put(tx, table, key, {**row, **change})
                touched += 1
    return [], touched


STATEMENTS[ticking._SET_DEADLINES] = STATEMENTS[ticking._SET_PARKED] = _set_ticks


def _forget_lost(server: Server, tx: Tx, sql: str, p: dict[str, Any]) -> Answer:
    table = "deadlines" if sql == ticking._LOST_DEADLINES else "parked"
    touched = 0
    for key, row in sorted(server.seen(tx, table).items()):
        if row["ticked_at"] is None or row["ticked_at"] > p["before"]:
            continue
        if server.lock(tx, table, key, skip=True) and server.get(tx, table, key) is not None:
            server.put(tx, table, key, {**row, "ticked_at": None})
            touched += 1
    return [], touched


def _no_silences(server: Server, tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    assert not server.seen(tx, "silences"), "no policy here lets silence decide"
    return [], 0


STATEMENTS[ticking._LOST_SILENCES] = _no_silences
STATEMENTS[ticking._LOST_DEADLINES] = STATEMENTS[ticking._LOST_PARKED] = _forget_lost


@answers(ticking._NOT_AHEAD)
def _not_ahead(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    touched = 0
    for key, row in sorted(server.seen(tx, "commands").items()):
        if row["state"] not in ("PENDING", "ACCEPTED") or (row["status_asked_at"] or 0) <= p["now"]:
            continue
        if server.lock(tx, "commands", key, skip=True) and server.get(tx, "commands", key) is row:
            server.put(tx, "commands", key, {**row, "status_asked_at": p["now"]})
            touched += 1
    return [], touched


@answers(ticking._SILENT)
def _silent(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    found: list[tuple[Any, ...]] = []
    for key, row in sorted(server.seen(tx, "commands").items()):
        if row["state"] not in ("PENDING", "ACCEPTED"):
            continue
        if max(row["asked_at"], row["status_asked_at"] or 0) > p["before"]:
            continue
        order = server.get(tx, "escrows", (key[0],))
        assert order is not None
        if (order["policy_version"] or p["current"]) != p["version"]:
            continue
        if not server.lock(tx, "commands", key, skip=True):
            continue
        newest = server.get(tx, "commands", key)
        if newest is row:
            server.put(tx, "commands", key, {**row, "status_asked_at": p["now"]})
            found.append(_pick(row, ("order_id", "command_id", "kind", "asked_at")))
    return _rows(found)


@answers(totals._FOLD)
def _fold(server: Server, tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    touched: dict[tuple[str, str], Row] = {}
    for key, row in sorted(server.seen(tx, "total_deltas").items()):
        if not server.lock(tx, "total_deltas", key, skip=True):
            continue
        if server.get(tx, "total_deltas", key) is None:
            continue
        server.put(tx, "total_deltas", key, None)
        sums = touched.setdefault((row["status"], row["currency"]), dict.fromkeys(_SUMS, 0))
        for name in _SUMS:
            sums[name] += row[name]
    for total, sums in sorted(touched.items()):
        server.lock(tx, "totals", total)
        there = server.get(tx, "totals", total) or dict.fromkeys(_SUMS, 0)
        row = {name: there[name] + sums[name] for name in _SUMS}
        server.put(tx, "totals", total, {"status": total[0], "currency": total[1], **row})
    return [], len(touched)


_SUMS: Final = totals._COLUMNS[2:]


def refuse(sqlstate: str) -> Exception:
    """The error that a server raises with this SQLSTATE."""
    return errors.lookup(sqlstate)(f"planted {sqlstate}")
