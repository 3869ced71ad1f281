"""`storage.rows` over the in-process tables: what the product says to its database comes through here.

New rows are checked as PostgreSQL would check them: primary keys, the one settlement of an order, and
the CHECKs on money. Append-only tables take no change.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Table

from storage.tables import APPEND_ONLY, metadata
from tests.simulation import statements
from tests.simulation.database import CheckViolation, Connection, Row, Server, Tx, UniqueViolation

KEYS: Final = {
    name: tuple(column.name for column in table.primary_key.columns)
    for name, table in metadata.tables.items()
}
_APPEND_ONLY: Final = {table.name for table in APPEND_ONLY}
_DEFAULTS: Final[dict[str, Row]] = {
    "parked": {"ticks": 0, "ticked_at": None},
    "deadlines": {"ticks": 0, "ticked_at": None},
    "commands": {"status_asked_at": None},
    "outbox": {"sent_at": None},
}
_BY_SEQUENCE: Final = {"outbox", "total_deltas"}  # whose keys nobody else can have
_NUMBERED: Final = {
    "facts": ("seq", "fact_seq"),
    "supplier_reports": ("seq", "fact_seq"),
    "outbox": ("id", "outbox"),
    "total_deltas": ("id", "total_deltas"),
    "batches": ("n", "batches"),
}


def fetch(connection: Any, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    server: Server = connection.server
    tx = server.statement(connection.session, sql)
    return statements.find(sql)(server, tx, sql, parameters)[0]


def execute(connection: Any, sql: str, **parameters: Any) -> int:
    server: Server = connection.server
    tx = server.statement(connection.session, sql)
    return statements.find(sql)(server, tx, sql, parameters)[1]


def copy_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    server = connection.server
    name = table.name
    tx = server.statement(connection.session, f"COPY {name}")
    keys = KEYS[name]
    defaults = _DEFAULTS.get(name)
    numbered = _NUMBERED.get(name)
    check = _CHECKS.get(name)
    for values in rows:
        row: Row = dict(zip(columns, values, strict=True))
        if defaults is not None:
            row |= defaults
        if numbered is not None:
            column, sequence = numbered
            row[column] = server.sequences[sequence] = server.sequences[sequence] + 1
        if check is not None:
            check(server, tx, row)
        key = tuple([row[key] for key in keys])
        if name in _BY_SEQUENCE:
            server.put(tx, name, key, row)
        elif not server.insert(tx, name, key, row):
            raise UniqueViolation(f"pk_{name}")


def update_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    if not rows:
        return
    server = connection.server
    name = table.name
    assert name not in _APPEND_ONLY, f"{name} is append-only"
    tx = server.statement(connection.session, f"UPDATE {name}")
    count = len(KEYS[name])
    check = _CHECKS.get(name)
    there = 0
    for values in rows:
        key = tuple(values[:count])
        server.lock(tx, name, key)
        old = server.get(tx, name, key)
        if old is None:
            continue
        row = {**old, **dict(zip(columns, values, strict=True))}
        if check is not None:
            check(server, tx, row)
        server.put(tx, name, key, row)
        there += 1
    if there != len(rows):
        raise LookupError(f"{name}: {len(rows)} rows to update, {there} there")


def _escrow(_server: Server, _tx: Tx, row: Row) -> None:
    held, refunded, paid = row["held_minor"], row["refunded_minor"], row["paid_out_minor"]
    back, captured, status = row["charged_back_minor"], row["captured_minor"], row["status"]
    if captured != held + refunded + paid + back:
        raise CheckViolation("ck_escrows_money_adds_up")
    if min(held, refunded, paid, back, row["loss_minor"], row["supplier_debt_minor"]) < 0:
        raise CheckViolation("ck_escrows_money_is_not_negative")
    is_open = status in ("HELD", "DISPUTED", "IN_MEDIATION", "FROZEN")
    if is_open != (held > 0) or (status in ("RELEASED", "REFUNDED", "SPLIT")) != (
        row["decided_by"] is not None and status != "CHARGED_BACK"
    ):
        raise CheckViolation("ck_escrows_status_fits_money")
    if row["parked"] < 0 or row["chargebacks_open"] < 0:
        raise CheckViolation("ck_escrows_counts_not_negative")


def _command(server: Server, tx: Tx, row: Row) -> None:
    if row["amount_minor"] <= 0 or not 1 <= row["attempt"] <= row["failures"] + 1:
        raise CheckViolation("ck_commands_attempts_counted")
    if row["purpose"] != "settlement":
        return
    order_id, command_id = row["order_id"], row["command_id"]
    for other in server.seen(tx, "commands").values():
        is_other = other["order_id"] == order_id and other["command_id"] != command_id
        if is_other and (other["kind"], other["purpose"]) == (row["kind"], "settlement"):
            raise UniqueViolation("uq_commands_settlement")


def _batch(_server: Server, _tx: Tx, row: Row) -> None:
    outcomes = [row[name] for name in ("applied", "refused", "parked", "duplicate", "dead_letter")]
    if min(outcomes) < 0 or sum(outcomes) > row["next_offset"] - row["first_offset"]:
        raise CheckViolation("ck_batches_one_outcome_a_record")


def _posting(_server: Server, _tx: Tx, row: Row) -> None:
    if row["amount_minor"] <= 0 or row["debit"] == row["credit"]:
        raise CheckViolation("ck_postings_moves_something")


_CHECKS: Final[dict[str, Callable[[Server, Tx, Row], None]]] = {
    "escrows": _escrow,
    "commands": _command,
    "batches": _batch,
    "postings": _posting,
}
