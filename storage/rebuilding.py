"""Two databases for one past: facts out of the first, rows into a second one that held nothing.

What was read where, and what operators did, follows from no fact: it is carried over as it is.
Nothing that is written here is ever sent.
"""

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from psycopg import Error as DriverError
from sqlalchemy import Connection, Table
from sqlalchemy.exc import SQLAlchemyError

from schemas.door import Fact, fact_digest
from storage import archived, migrate, totals
from storage.engine import driver, reading_engine, stage_engine
from storage.facts import FACT_COLUMNS, Known, fact_from_row
from storage.reading import DatabaseTrouble, Snapshot, explain_trouble
from storage.rows import column_names, execute, fetch
from storage.tables import (
    archived_counts,
    archived_orders,
    archives,
    batches,
    chargebacks,
    command_holds,
    commands,
    consumer_positions,
    dead_letter_actions,
    dead_letters,
    deadlines,
    erasures,
    escrows,
    evidence,
    fact_texts,
    facts,
    identities,
    instructions,
    lineages,
    metadata,
    offers,
    parked,
    payments,
    policies,
    position_moves,
    postings,
    promises,
    resolutions,
    restorals,
    sending_grants,
    sending_holds,
    sending_pauses,
    shipments,
    silences,
    supplier_reports,
)

ROWS_A_FETCH: Final = 2_000
CARRIED_OVER: Final = (
    batches,
    position_moves,
    dead_letters,
    dead_letter_actions,
    consumer_positions,
    policies,
    lineages,
    promises,
    instructions,
    sending_pauses,
    sending_holds,
    sending_grants,
    erasures,
    archives,
    archived_orders,
    archived_counts,
    restorals,
)
_NUMBERED: Final = {
    "position_moves": "move_no",
    "dead_letter_actions": "action_no",
    "lineages": "life",
    "erasures": "erasure_no",
    "archives": "archive_no",
    "archived_counts": "count_no",
    "restorals": "restoral_no",
}
# Tables that facts make, without what only the ticker knows: whom it has told, and asked.
_TICKER: Final = frozenset({"ticks", "ticked_at"})
MADE: Final[dict[Table, frozenset[str]]] = {
    escrows: frozenset(),
    facts: frozenset(),
    fact_texts: frozenset(),
    resolutions: frozenset(),
    identities: frozenset(),
    parked: _TICKER,
    payments: frozenset(),
    shipments: frozenset(),
    offers: frozenset(),
    evidence: frozenset(),
    chargebacks: frozenset(),
    commands: frozenset({"status_asked_at"}),
    command_holds: frozenset(),
    postings: frozenset(),
    deadlines: _TICKER,
    silences: _TICKER,
    supplier_reports: frozenset(),
}
# A row to lock, made for a fact of which nothing was decided (an id used before): it says nothing.
_SAYS_SOMETHING: Final = {escrows: " WHERE decision_no > 0"}
_ALWAYS_FILLED: Final = ("outbox_slices", "alembic_version")

_STREAM: Final = f"""
SELECT f.seq, x.salt, x.text, {", ".join(f'f."{name}"' for name in FACT_COLUMNS)}
FROM facts f LEFT JOIN fact_texts x USING (order_id, decision_no)
UNION ALL
SELECT r.seq, i.salt, r.text, NULL, r.source, r.id, 'supplier.reported', r.t, r.partition,
  r."offset", r.payload, i.text_digest, NULL
FROM supplier_reports r LEFT JOIN identities i ON i.identity
  = substr(sha256(convert_to(r.source || E'\\n' || r.id, 'UTF8')), 1, 16)
ORDER BY seq
"""  # noqa: S608  our own names
_TABLES_THERE: Final = """
SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
ORDER BY relname
"""
_MARK_SENT: Final = "UPDATE outbox SET sent_at = now() WHERE sent_at IS NULL"


class Stored(NamedTuple):
    """A fact as it was decided, its text and salt with it where they are not forgotten."""

    fact: Fact
    known: Known  # what its identity stands for


def stream(connection: Snapshot) -> Iterator[Stored]:
    """All facts and reports in their recorded order, those in files among them.

    Raises ValueError, LookupError or ArchiveTrouble.
    """
    left = ((fact.seq, None, None, *fact.columns) for fact in archived.facts_by_seq(connection))
    for _, salt, text, *columns in heapq.merge(_rows(connection), left, key=lambda row: row[0]):
        fact = fact_from_row(columns)
        digest = fact_digest(fact.type, fact.payload)[:16]
        known = Known(digest, salt, fact.text_digest)
        yield Stored(fact._replace(text=text, salt=salt), known)


def _rows(connection: Snapshot) -> Iterator[tuple[Any, ...]]:
    with driver(connection).cursor("rebuild", binary=True) as cursor:
        cursor.itersize = ROWS_A_FETCH
        cursor.execute(_STREAM.encode())
        yield from cursor


def let_go(target: Connection) -> None:
    """What is in files is not in the table: the copy stands on the same archive."""
    for archive in archived.archives(target):
        fetch(target, "SELECT let_facts_go(%(no)b)", no=archive.no)


def filled(connection: Connection) -> list[str]:
    """Tables that are not ours, and those of ours that hold a row."""
    there = [row[0] for row in fetch(connection, _TABLES_THERE)]
    found = []
    for name in there:
        if name in _ALWAYS_FILLED:
            continue
        if name not in metadata.tables:
            found.append(name)
            continue
        ((full,),) = fetch(connection, f"SELECT EXISTS (SELECT FROM {name})")  # noqa: S608  ours
        if full:
            found.append(name)
    return found


class Target:
    """The empty database, brought to our schema and written to a transaction at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine = stage_engine(url, name="escrow-rebuild")

    def filled(self) -> list[str]:
        """What it holds already. Raises DatabaseTrouble."""
        with self.begin() as connection:
            return filled(connection)

    def migrate(self) -> None:
        """Raises DatabaseTrouble."""
        try:
            migrate.upgrade(self._url)
        except (SQLAlchemyError, DriverError) as error:
            raise DatabaseTrouble(explain_trouble(error)) from None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction, committed at its end. Raises DatabaseTrouble."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, DriverError) as error:
            raise DatabaseTrouble(explain_trouble(error)) from None

    @contextmanager
    def begin_long(self) -> Iterator[Connection]:
        """The same for what may take minutes."""
        engine = reading_engine(self._url, name="escrow-rebuild")
        try:
            with engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, DriverError) as error:
            raise DatabaseTrouble(explain_trouble(error)) from None
        finally:
            engine.dispose()

    def close(self) -> None:
        self._engine.dispose()


def mark_sent(connection: Connection) -> None:
    """What was just put into the outbox was sent long ago, by another database's relay."""
    execute(connection, _MARK_SENT)


def carry_over(source: Snapshot, target: Connection) -> None:
    """Copy what follows from no fact, and let numbering go on after it."""
    for table in CARRIED_OVER:
        listed = ", ".join(f'"{name}"' for name in column_names(table))
        out = f"COPY {table.name} ({listed}) TO STDOUT (FORMAT BINARY)"
        into = f"COPY {table.name} ({listed}) FROM STDIN (FORMAT BINARY)"
        with (
            driver(source).cursor() as reading,
            driver(target).cursor() as writing,
            reading.copy(out.encode()) as rows,
            writing.copy(into.encode()) as copy,
        ):
            for piece in rows:
                copy.write(piece)
    for name, column in _NUMBERED.items():
        fetch(
            target,
            f"SELECT setval(pg_get_serial_sequence('{name}', '{column}'),"  # noqa: S608  our names
            f" (SELECT max({column}) FROM {name}))",
        )


def fingerprints(connection: Connection) -> dict[str, Any]:
    """What each table holds, in a few figures: equal for equal rows, whatever their place."""
    execute(connection, "SET LOCAL TIME ZONE 'UTC'")
    made: dict[str, Any] = {"totals": totals.read(connection)}
    for table, without in [*MADE.items(), *((table, frozenset[str]()) for table in CARRIED_OVER)]:
        columns = [
            "row_number() OVER (ORDER BY seq) AS seq" if name == "seq" else f'"{name}"'
            for name in column_names(table)
            if name not in without
        ]
        (row,) = fetch(
            connection,
            "SELECT count(*), coalesce(sum(('x' || substr(md5(r::text), 1, 16))::bit(64)::bigint"  # noqa: S608
            f"::numeric), 0)::text FROM (SELECT {', '.join(columns)} FROM {table.name}"
            f"{_SAYS_SOMETHING.get(table, '')}) r",
        )
        made[table.name] = row
    return made
