"""Which function answers a statement: a statement that is not booked here raises, nothing is guessed."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from psycopg import errors

from tests.simulation.database import Row, Server, Tx

Answer = tuple[list[tuple[Any, ...]], int]  # rows, and how many were touched
Statement = Callable[[Server, Tx, str, dict[str, Any]], Answer]
STATEMENTS: Final[dict[str, Statement]] = {}


def answers(*texts: str) -> Callable[[Statement], Statement]:
    def book(statement: Statement) -> Statement:
        STATEMENTS.update(dict.fromkeys(texts, statement))
        return statement

    return book


def rows_of(rows: list[tuple[Any, ...]]) -> Answer:
    return rows, len(rows)


def pick(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple([row[name] for name in names])


def delete(server: Server, tx: Tx, table: str, keys: Iterable[Any]) -> Answer:
    gone = 0
    for key in sorted(set(keys)):
        if server.get(tx, table, key) is not None:
            server.lock(tx, table, key)
            gone += server.get(tx, table, key) is not None
            server.put(tx, table, key, None)
    return [], gone


def refuse(sqlstate: str) -> Exception:
    """The error that a server raises with this SQLSTATE."""
    return errors.lookup(sqlstate)(f"planted {sqlstate}")
