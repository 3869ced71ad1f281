"""People's questions are answered from one snapshot, which sees no half of anything and blocks nobody.

Nothing here writes, but for what an operator does by `change`. What goes wrong comes out as one
sentence that says what to do.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, NamedTuple

from psycopg import Error as DriverError
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from storage import migrate
from storage.engine import reading_engine, stage_engine
from storage.policies import learn_if_there, learn_policies

Snapshot = Connection  # a connection inside one read-only transaction
Snapshots = Callable[[], AbstractContextManager[Snapshot]]

_UNDEFINED: Final = ("42P01", "42703")  # a table, or a column, that is not there


class DatabaseTrouble(Exception):
    """The database cannot answer; the text says why and what to do."""


@contextmanager
def snapshot(url: str) -> Iterator[Snapshot]:
    """One REPEATABLE READ READ ONLY transaction. Raises DatabaseTrouble, never a driver's error."""
    reader = Reader(url)
    try:
        with reader.snapshot() as connection:
            yield connection
    finally:
        reader.close()


class Reader:
    """Snapshots one after another, or a few at a time, over connections that stay open between."""

    def __init__(self, url: str, *, name: str = "escrow-read") -> None:
        """Raises DatabaseTrouble where the URL is not one; connects when first asked."""
        self._has_policies = False  # for all we know
        try:
            self._engine = reading_engine(url, name=name)
        except (SQLAlchemyError, ValueError, ImportError) as error:
            text = f"the database URL is not usable: {_first_line(error)}"
            raise DatabaseTrouble(text) from None

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """One REPEATABLE READ READ ONLY transaction; a connection that died is not used again."""
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                with connection.begin():
                    if self._has_policies:
                        learn_policies(connection)
                    else:
                        self._has_policies = learn_if_there(connection)
                    yield connection
        except (SQLAlchemyError, DriverError) as error:
            self._engine.dispose()  # the other connections may have died with it
            raise DatabaseTrouble(explain_trouble(error)) from None

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


@contextmanager
def change(url: str) -> Iterator[Connection]:
    """One transaction of an operator's, committed at its end. Raises DatabaseTrouble."""
    engine = stage_engine(url, name="escrow-operator")
    try:
        with engine.begin() as connection:
            yield connection
    except (SQLAlchemyError, DriverError) as error:
        raise DatabaseTrouble(explain_trouble(error)) from None
    finally:
        engine.dispose()


def explain_trouble(error: Exception) -> str:
    """One sentence about a database error, with its remedy; never holds a value or a password."""
    cause = getattr(error, "orig", None) or error
    sqlstate = getattr(cause, "sqlstate", None)
    if sqlstate in _UNDEFINED:
        return "the database lacks our tables: run `escrow migrate`"
    if sqlstate is not None and sqlstate.startswith("28"):
        return "the database refuses this user: check the name and password of ESCROW_DATABASE__URL"
    if sqlstate == "42501":
        return f"the database refuses this user: {_first_line(cause)}; see `escrow db roles`"
    if sqlstate == "3D000":
        return "the database of ESCROW_DATABASE__URL does not exist: create it first"
    if sqlstate is None or sqlstate.startswith(("08", "57P")):
        return (
            f"the database does not answer ({_first_line(cause)}): "
            "is it running, and is ESCROW_DATABASE__URL right?"
        )
    return f"the database says {sqlstate}: {_first_line(cause)}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


class DatabaseFacts(NamedTuple):
    """What a doctor looks at."""

    version: str
    clock_seconds: float  # since 1970, the database's
    unsafe: list[str]  # settings that must be on and are not
    clusters: set[str]  # Kafka clusters that positions belong to; empty without a schema


def database_facts(url: str) -> DatabaseFacts:
    """Version, clock and settings of the database. Raises DatabaseTrouble."""
    with snapshot(url) as connection:
        version = connection.scalar(text("SHOW server_version"))
        clock = connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())"))
        unsafe = [
            name
            for name in ("fsync", "synchronous_commit", "full_page_writes")
            if connection.scalar(text(f"SHOW {name}")) == "off"
        ]
        clusters: set[str] = set()
        if connection.scalar(text("SELECT to_regclass('consumer_positions') IS NOT NULL")):
            found = connection.execute(text("SELECT DISTINCT cluster_id FROM consumer_positions"))
            clusters = {row[0] for row in found}
    return DatabaseFacts(str(version).split()[0], float(clock or 0), unsafe, clusters)


def revision(url: str) -> tuple[str | None, str | None]:
    """The schema revision that the database has, and the one we expect. Raises DatabaseTrouble."""
    with in_plain_words():
        return migrate.current(url), migrate.head()


def upgrade_schema(url: str) -> str | None:
    """Migrate to the revision we expect. Raises DatabaseTrouble."""
    with in_plain_words():
        return migrate.upgrade(url)


@contextmanager
def in_plain_words() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, DriverError) as error:
        raise DatabaseTrouble(explain_trouble(error)) from None
