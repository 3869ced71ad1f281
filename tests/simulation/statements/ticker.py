"""The ticker: what is due, what was asked, what is folded into totals."""

from typing import Any, Final

from storage import ticking, totals
from tests.simulation.database import Row, Server, Tx
from tests.simulation.statements.answers import STATEMENTS, Answer, answers, pick, rows_of


def _quiet(_server: Server, _tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    return [], 0


STATEMENTS["SET idle_session_timeout = 30000"] = _quiet


@answers(ticking._ACTIVE)
def _active(server: Server, tx: Tx, _sql: str, p: dict[str, Any]) -> Answer:
    return rows_of([(server.advisory.setdefault(p["key"], tx.session) is tx.session,)])


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
        ("mediation_available", *pick(row, _DEADLINE))
        for row in server.seen(tx, "deadlines").values()
        if row["ticked_at"] is None and row["due_at"] <= now
    ]
    waiting = server.seen(tx, "parked").values()
    due = [
        row
        for row in waiting
        if row["ticked_at"] is None and row["expires_at"] is not None and row["expires_at"] <= now
    ]
    return rows_of(found + _limits(due, "park_limit"))


_DEADLINE: Final = ("order_id", "due_at", "request_id", "ticks")


@answers(ticking._TICKED)
def _ticked(server: Server, tx: Tx, _sql: str, _p: dict[str, Any]) -> Answer:
    found: list[tuple[Any, ...]] = []
    for row in server.seen(tx, "deadlines").values():
        order = server.get(tx, "escrows", (row["order_id"],))
        if row["ticked_at"] is not None and order is not None and order["status"] != "FROZEN":
            found.append(("mediation_available", *pick(row, _DEADLINE)))
    waiting = [row for row in server.seen(tx, "parked").values() if row["ticked_at"] is not None]
    return rows_of(found + _limits(waiting, "park_limit"))


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
            found.append(pick(row, ("order_id", "command_id", "kind", "asked_at")))
    return rows_of(found)


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
