"""Many rows in one statement: COPY for new ones, one UPDATE over arrays for changed ones.

The number of statements never depends on the number of rows; nothing here is a record at a time.
Names and types come from the Core tables.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from storage.engine import driver

_TYPES: Final[dict[type, str]] = {
    Text: "text",
    BigInteger: "int8",
    Integer: "int4",
    SmallInteger: "int2",
    LargeBinary: "bytea",
    Boolean: "bool",
    Numeric: "numeric",
    JSON: "json",
    JSONB: "jsonb",
}
Row = Sequence[Any]


def copy_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Row]
) -> None:
    """Insert new rows. Rows hold values in the order of `columns`; a doubled key raises."""
    names = tuple(columns)
    _copy(connection, _copy_sql(table.name, names), _pg_types(table, names), rows)


def update_rows(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[Row]
) -> None:
    """Update rows by primary key. `columns` begins with the key's columns, in the key's order.

    Raises LookupError unless each row was there: a missing one is a bug, never ignored.
    """
    if not rows:
        return
    names = tuple(columns)
    values = (list(column) for column in zip(*rows, strict=True))
    parameters = dict(zip(names, values, strict=True))
    there = execute(connection, _update_sql(table, names), **parameters)
    if there != len(rows):
        raise LookupError(f"{table.name}: {len(rows)} rows to update, {there} there")


def fetch(connection: Connection, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """Rows of one statement, binary both ways. Parameters are written `%(name)b` in the SQL."""
    with driver(connection).cursor(binary=True) as cursor:
        cursor.execute(sql.encode(), parameters)
        return cursor.fetchall()


def execute(connection: Connection, sql: str, **parameters: Any) -> int:
    """Run one statement over arrays; returns the number of rows it touched."""
    with driver(connection).cursor() as cursor:
        cursor.execute(sql.encode(), parameters)
        return cursor.rowcount


def column_names(table: Table, without: Callable[[Column[Any]], bool] | None = None) -> list[str]:
    """The table's column names in order."""
    return [column.name for column in table.columns if without is None or not without(column)]


def _copy(connection: Connection, sql: str, types: list[str], rows: Iterable[Row]) -> None:
    with driver(connection).cursor() as cursor, cursor.copy(sql.encode()) as copy:
        copy.set_types(types)
        write = copy.write_row
        for row in rows:
            write(row)


@cache
def _copy_sql(target: str, names: tuple[str, ...]) -> str:
    return f"COPY {target} ({_listed(names)}) FROM STDIN (FORMAT BINARY)"


@cache
def _update_sql(table: Table, names: tuple[str, ...]) -> str:
    keys = [column.name for column in table.primary_key.columns]
    assert list(names[: len(keys)]) == keys, f"{table.name}: the key's columns come first"
    sets = ", ".join(f'"{name}" = s."{name}"' for name in names[len(keys) :])
    joins = " AND ".join(f't."{key}" = s."{key}"' for key in keys)
    types = zip(names, _pg_types(table, names), strict=True)
    given = ", ".join(f"%({name})b::{kind}[]" for name, kind in types)
    rows = f"unnest({given}) AS s({_listed(names)})"
    return f"UPDATE {table.name} t SET {sets} FROM {rows} WHERE {joins}"  # noqa: S608  our own names


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


@cache
def _pg_types(table: Table, names: tuple[str, ...]) -> list[str]:
    return [_TYPES[type(table.columns[name].type)] for name in names]
