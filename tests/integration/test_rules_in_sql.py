"""A row that lies cannot exist: each CHECK and each key refuses what it is there to refuse, by its name."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import psycopg
import pytest
from sqlalchemy import CheckConstraint, Connection, Engine, UniqueConstraint, create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.schema import PrimaryKeyConstraint
from typing_extensions import override

from storage.migrate import upgrade
from storage.tables import APPEND_ONLY, metadata
from tests.integration.true_rows import OPEN, STATUSES, TRUE, Row
from tests.servers import Servers


class Lie(NamedTuple):
    """A true row with these changes, which must be refused under this name."""

    table: str
    name: str
    changes: Row

    @override
    def __str__(self) -> str:
        said = ", ".join(f"{name}={value}" for name, value in self.changes.items())
        return f"{self.name}: {said}"


def order_lies(name: str, *lies: tuple[str | None, Row]) -> list[Lie]:
    return [
        Lie("escrows", f"ck_escrows_{name}", {"status": status} | STATUSES[status] | changes)
        for status, changes in lies
    ]


def lies(table: str, name: str, *changes: Row) -> list[Lie]:
    return [Lie(table, f"ck_{table}_{name}", change) for change in changes]


LIES: Final = [
    *order_lies(
        "money_adds_up",
        ("HELD", {"held_minor": 99}),
        ("HELD", {"captured_minor": 101}),
        ("HELD", {"refunded_minor": 1}),
        ("RELEASED", {"paid_out_minor": 101}),
        ("CHARGED_BACK", {"charged_back_minor": 99}),
        (None, {"held_minor": 1}),
    ),
    *order_lies(
        "money_is_not_negative",
        ("HELD", {"held_minor": -1, "captured_minor": -1}),
        ("HELD", {"held_minor": 101, "refunded_minor": -1}),
        ("HELD", {"held_minor": 101, "paid_out_minor": -1}),
        ("HELD", {"held_minor": 101, "charged_back_minor": -1}),
        ("HELD", {"loss_minor": -1}),
        ("HELD", {"supplier_debt_minor": 1}),
        ("RELEASED", {"supplier_debt_minor": 101}),
        ("RELEASED", {"supplier_debt_minor": -1}),
    ),
    *order_lies(
        "status_fits_money",
        ("HELD", {"held_minor": 0, "captured_minor": 0}),
        ("HELD", OPEN),
        ("DISPUTED", {"request_id": None}),
        ("DISPUTED", {"held_minor": 0, "paid_out_minor": 100}),
        ("IN_MEDIATION", {"request_id": None}),
        ("IN_MEDIATION", {"held_minor": 0, "charged_back_minor": 100}),
        ("FROZEN", {"chargebacks_open": 0}),
        ("FROZEN", {"held_minor": 0, "charged_back_minor": 100}),
        ("RELEASED", {"held_minor": 1, "paid_out_minor": 99}),
        ("RELEASED", {"refunded_minor": 1, "paid_out_minor": 99}),
        ("RELEASED", {"charged_back_minor": 100, "paid_out_minor": 0, "supplier_debt_minor": 0}),
        ("REFUNDED", {"held_minor": 1, "refunded_minor": 99}),
        ("REFUNDED", {"paid_out_minor": 1, "refunded_minor": 99}),
        ("REFUNDED", {"charged_back_minor": 100, "refunded_minor": 0}),
        ("SPLIT", {"held_minor": 30, "refunded_minor": 0}),
        ("SPLIT", {"paid_out_minor": 0, "refunded_minor": 100}),
        ("SPLIT", {"paid_out_minor": 100, "refunded_minor": 0}),
        ("CHARGED_BACK", {"charged_back_minor": 90, "held_minor": 10}),
        ("CHARGED_BACK", {"charged_back_minor": 0, "captured_minor": 0}),
        ("NOT_PROTECTED", {"captured_minor": 100, "held_minor": 100}),
        (None, {"captured_minor": 100, "held_minor": 100}),
        (None, {"status": "OPEN"}),
        (None, {"status": ""}),
    ),
    *order_lies(
        "settled_by_someone",
        ("RELEASED", {"decided_by": None}),
        ("REFUNDED", {"decided_by": None}),
        ("SPLIT", {"decided_by": None}),
        ("CHARGED_BACK", {"decided_by": None}),
        ("CHARGED_BACK", {"decided_by": "buyer"}),
        ("HELD", {"decided_by": "buyer"}),
        (None, {"decided_by": "buyer"}),
    ),
    *order_lies(
        "frozen_from_where",
        ("FROZEN", {"frozen_from": None}),
        ("FROZEN", {"frozen_from": "RELEASED"}),
        ("FROZEN", {"frozen_from": "FROZEN"}),
        ("FROZEN", {"frozen_from": "DISPUTED"}),
        ("FROZEN", OPEN),
        ("HELD", {"frozen_from": "HELD"}),
        (None, {"frozen_from": "HELD"}),
    ),
    *order_lies(
        "offer_is_whole",
        ("DISPUTED", {"offer_id": None}),
        ("DISPUTED", {"offer_by": None}),
        ("DISPUTED", {"offer_minor": None}),
    ),
    *order_lies(
        "shipments_counted",
        ("HELD", {"shipments_known": 1, "shipments_failed": 2}),
        ("HELD", {"shipments_failed": -1}),
    ),
    *order_lies(
        "counts_not_negative", ("HELD", {"parked": -1}), ("HELD", {"chargebacks_open": -1})
    ),
    *lies("facts", "outcome", {"outcome": "duplicate"}, {"outcome": "dead_letter"}),
    *lies("resolutions", "outcome", {"outcome": "parked"}),
    *lies("shipments", "state", {"state": "stolen"}),
    *lies(
        "shipments",
        "cause_of_a_return",
        {"state": "lost", "cause": "undeliverable"},
        {"state": "returned"},
    ),
    *lies("offers", "amount_is_positive", {"amount_minor": 0}, {"amount_minor": -1}),
    *lies("offers", "by", {"by": "carrier"}),
    *lies("evidence", "by", {"by": "carrier"}),
    *lies("chargebacks", "amount_is_positive", {"amount_minor": 0}),
    *lies("chargebacks", "state", {"state": "closed"}),
    *lies("commands", "amount_is_positive", {"amount_minor": 0}, {"amount_minor": -5}),
    *lies(
        "commands",
        "attempts_counted",
        {"attempt": 0},
        {"attempt": 2},
        {"attempt": 1, "failures": -1},
    ),
    *lies("commands", "kind", {"kind": "gift"}),
    *lies("commands", "purpose", {"purpose": "settlement2"}),
    *lies("commands", "state", {"state": "SENT"}),
    *lies("postings", "moves_something", {"amount_minor": 0}, {"credit": "buyer_funds"}),
    *lies("postings", "debit", {"debit": "pocket"}),
    *lies("postings", "credit", {"credit": "pocket"}),
    *lies("silences", "kind", {"kind": "nobody"}),
    *lies("policies", "first_one_ships", {"version": 1}),
    *lies("instructions", "type", {"type": "command.reissued"}),
    *lies("sending_pauses", "scope", {"scope": "everything"}),
    *lies("sending_pauses", "why", {"why": "caprice"}),
    *lies("sending_holds", "why", {"why": "breaker"}),
    *lies("archived_orders", "a_run_of_decisions", {"from_no": 0}, {"from_no": 3}),
    *lies("consumer_positions", "offset_not_negative", {"next_offset": -1}),
    *lies(
        "batches",
        "one_outcome_a_record",
        {"applied": 2},
        {"next_offset": 9},
        {"applied": 2, "refused": 1, "parked": -1},
    ),
]

# The second row of a pair that cannot stand together; the primary keys follow by themselves.
SECONDS: Final = [
    Lie("commands", "uq_commands_settlement", {"command_id": "c2", "decision_no": 2}),
    Lie("evidence", "uq_evidence_order_id_by_sha256", {"evidence_id": "e2", "late": True}),
    Lie("payments", "pk_payments", {"order_id": "another"}),
    Lie("identities", "pk_identities", {"digest": b"other"}),
    *(Lie(table, f"pk_{table}", {}) for table in TRUE),
]
# What may stand beside the true row.
NEIGHBOURS: Final = [
    ("commands", {"command_id": "c2", "kind": "payout"}),
    ("commands", {"command_id": "c2", "purpose": "duplicate_payment"}),
    ("commands", {"order_id": "o2"}),
    ("evidence", {"evidence_id": "e2", "by": "supplier"}),
    ("evidence", {"evidence_id": "e2", "sha256": "bb"}),
]


@pytest.fixture(scope="module")
def module_engine(stack: Servers, migrated_template: str) -> Iterator[Engine]:
    """One database for all of these: every test takes back what it wrote."""
    name = f"{migrated_template}_sql"
    server = create_engine(stack.database_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{migrated_template}"'))
    engine = create_engine(server.url.set(database=name))
    yield engine
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    server.dispose()


@pytest.fixture
def connection(module_engine: Engine) -> Iterator[Connection]:
    with module_engine.connect() as made:
        yield made
        made.rollback()


def put(connection: Connection, table: str, row: Row) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    sql = f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})"
    connection.execute(text(sql), row)


def refused(connection: Connection, table: str, row: Row) -> str | None:
    """The name of the constraint that refuses this row."""
    with pytest.raises(IntegrityError) as caught:
        put(connection, table, row)
    assert isinstance(caught.value.orig, psycopg.Error)
    return caught.value.orig.diag.constraint_name


@pytest.mark.parametrize("lie", LIES, ids=str)
def test_a_lie_is_refused_when_written(connection: Connection, lie: Lie) -> None:
    assert refused(connection, lie.table, TRUE[lie.table] | lie.changes) == lie.name


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie.table == "escrows"], ids=str)
def test_a_true_order_cannot_become_a_lie(connection: Connection, lie: Lie) -> None:
    put(connection, "escrows", TRUE["escrows"])
    changes = {"status": "HELD"} | lie.changes
    sets = ", ".join(f"{name} = :{name}" for name in changes)
    with pytest.raises(IntegrityError) as caught:
        connection.execute(text(f"UPDATE escrows SET {sets}"), changes)
    assert isinstance(caught.value.orig, psycopg.Error)
    assert caught.value.orig.diag.constraint_name == lie.name


@pytest.mark.parametrize("second", SECONDS, ids=str)
def test_two_rows_that_cannot_both_be_true(connection: Connection, second: Lie) -> None:
    put(connection, second.table, TRUE[second.table])
    assert refused(connection, second.table, TRUE[second.table] | second.changes) == second.name


@pytest.mark.parametrize(("table", "changes"), NEIGHBOURS, ids=str)
def test_a_key_is_no_wider_than_it_must_be(
    connection: Connection, table: str, changes: Row
) -> None:
    put(connection, table, TRUE[table])
    put(connection, table, TRUE[table] | changes)


@pytest.mark.parametrize("status", STATUSES, ids=str)
def test_each_status_has_a_true_row(connection: Connection, status: str | None) -> None:
    put(connection, "escrows", TRUE["escrows"] | {"status": status} | STATUSES[status])


def test_every_constraint_is_lied_to() -> None:
    there = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint | UniqueConstraint | PrimaryKeyConstraint)
    } | {
        str(index.name)
        for table in metadata.tables.values()
        for index in table.indexes
        if index.unique
    }
    assert {lie.name for lie in (*LIES, *SECONDS)} == there


def test_no_required_column_takes_null(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        for name, column in table.columns.items():
            if not column.nullable and name in TRUE[table.name]:
                with pytest.raises(DBAPIError) as caught, connection.begin_nested():
                    put(connection, table.name, TRUE[table.name] | {name: None})
                assert isinstance(caught.value.orig, psycopg.errors.NotNullViolation), table.name


@pytest.mark.parametrize("table", [table.name for table in APPEND_ONLY])
@pytest.mark.parametrize("empty", [True, False], ids=["empty", "filled"])
def test_history_only_grows(connection: Connection, table: str, empty: bool) -> None:
    if not empty:
        put(connection, table, TRUE[table])
    column = list(TRUE[table])[-1]
    for statement in (
        f'UPDATE {table} SET "{column}" = "{column}"',
        f"UPDATE {table} SET {column} = {column} WHERE false",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
    ):
        with pytest.raises(DBAPIError, match=f"{table} is append-only"), connection.begin_nested():
            connection.execute(text(statement))


def test_the_work_tables_are_not_history(connection: Connection) -> None:
    """What rows leave, or what is counted down, must not have the guard."""
    sql = "SELECT c.relname FROM pg_trigger g JOIN pg_class c ON c.oid = tgrelid WHERE NOT tgisinternal"
    guarded = {row[0] for row in connection.execute(text(sql))}
    assert guarded == {table.name for table in APPEND_ONLY}


def test_a_second_migration_takes_no_guard_away(module_engine: Engine) -> None:
    upgrade(module_engine.url.render_as_string(hide_password=False))
    with module_engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
        connection.execute(text("DELETE FROM facts"))
