"""Connections on which nothing can wait for ever, and what each database error asks of a stage.

The server ends what takes too long. Where the network has swallowed its answer (a half-open
connection), only our own clock can tell: then the connection is given up, and its outcome looked up.

`fsync` and `synchronous_commit` stay on: what is committed stays committed.
"""

from enum import Enum
from typing import Any, Final

from psycopg import Connection as DriverConnection
from psycopg import DatabaseError as DriverDatabaseError
from psycopg import DataError as DriverDataError
from psycopg import Error as DriverError
from psycopg import OperationalError as DriverOperationalError
from psycopg.errors import IdleInTransactionSessionTimeout, LockNotAvailable
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

# The types that others pass around without speaking SQL come from here, too.
__all__ = [
    "CONNECTION_LOST",
    "Connection",
    "DatabaseError",
    "Engine",
    "LockNotAvailable",
    "Remedy",
    "driver",
    "reading_engine",
    "remedy",
    "said",
    "stage_engine",
]

LOCK_TIMEOUT_MS: Final = 4_000
STATEMENT_TIMEOUT_MS: Final = 10_000
IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 5_000
ANSWER_SECONDS: Final = STATEMENT_TIMEOUT_MS / 1_000 + 5  # the server would have said something

# The server's own would notice after two hours that a stage's machine has gone, and its locks stay.
# Where an answer was on its way there are no probes, and it would send it for a quarter of an hour.
_GONE: Final = {  # within 25 seconds
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}

_LOOK_SECONDS: Final = 0.1  # the driver's own: how often it looks for an interrupt

# Every statement of a stage is a look-up by key. Plans made while tables were small must not
# turn into scans of big ones, so scans and hash joins are priced out.
_SESSION: Final = (
    f"SET lock_timeout = {LOCK_TIMEOUT_MS}",
    f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}",
    f"SET idle_in_transaction_session_timeout = {IDLE_IN_TRANSACTION_TIMEOUT_MS}",
    "SET jit = off",
    *(f"SET {name} = {value}" for name, value in _GONE.items()),
)
_KEY_LOOKUPS_ONLY: Final = (
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
)


class _Patient(DriverConnection[Any]):
    """Waits so long for an answer, then closes the connection; what became of it is unknown.

    So it is where the answer cannot be understood: what comes next may answer an earlier question.
    """

    def wait(  # type: ignore[explicit-override]
        self, gen: Any, interval: float = _LOOK_SECONDS, timeout: float | None = None
    ) -> Any:
        try:
            return super().wait(gen, interval, ANSWER_SECONDS if timeout is None else timeout)
        except DriverOperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise
        except DriverDatabaseError as error:
            # of this very class: neither a server that refuses nor a driver that cannot write a value
            if type(error) is not DriverDatabaseError or error.sqlstate is not None:
                raise
            self.pgconn.finish()
            raise DriverOperationalError(f"not understood: {error}") from error


def stage_engine(url: str, *, name: str = "escrow") -> Engine:
    """An engine for one stage, relay or ticker: one connection, short timeouts, key look-ups."""
    engine = _engine(url, name, (*_SESSION, *_KEY_LOOKUPS_ONLY), pool_size=1)

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, arguments: Any, named: Any) -> _Patient:
        return _Patient.connect(*arguments, **named)

    return engine


def reading_engine(url: str, *, name: str = "escrow-read") -> Engine:
    """An engine for people's questions: pages, reports, audit. Planner as it comes, no timeouts."""
    return _engine(url, name, ("SET jit = off",), pool_size=4)


def _engine(url: str, name: str, settings: tuple[str, ...], pool_size: int) -> Engine:
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,  # no one's data in a traceback
        connect_args={"application_name": name, "connect_timeout": 5},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: DriverConnection[Any], _record: Any) -> None:
        with connection.cursor() as cursor:
            for setting in settings:
                cursor.execute(setting.encode())
        connection.commit()

    return engine


def driver(connection: Connection) -> DriverConnection[Any]:
    """The psycopg connection under a SQLAlchemy one, in the same transaction: for COPY."""
    raw: DriverConnection[Any] | None = connection.connection.driver_connection
    assert raw is not None, "the connection is closed"
    return raw


# What the database can say, through SQLAlchemy or from the driver under it.
DatabaseError: Final = (DriverError, DBAPIError)
# What a lost connection raises outside a batch: the caller connects anew.
CONNECTION_LOST: Final = (DriverOperationalError, IdleInTransactionSessionTimeout, DBAPIError)


class Remedy(Enum):
    """What a database error asks for (DESIGN 3)."""

    RETRY = "retry"  # the whole transaction, as it was
    HALVE = "halve"  # it took too long: the same with half the batch
    BISECT = "bisect"  # a value that cannot be stored: find it, make it a dead letter
    UNKNOWN = "unknown"  # the connection went: whether it committed must be looked up
    STOP = "stop"  # our own bug, or something only a person can mend


_RACES: Final = ("pk_identities", "pk_payments", "pk_supplier_reports")


# Ended by the server: 25P03, our own pause inside a transaction was too long; 57P0x, shutdowns.
_CONNECTION_ENDED: Final = ("25P03", "57P01", "57P02", "57P03")


def remedy(error: Exception) -> Remedy:
    """Choose by SQLSTATE; whatever is not named stops the stage."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    sqlstate = getattr(cause, "sqlstate", None)
    if sqlstate is None and isinstance(cause, DriverDataError):
        return Remedy.BISECT  # the driver could not write a value: nothing was sent
    if sqlstate is None or sqlstate.startswith("08") or sqlstate in _CONNECTION_ENDED:
        return Remedy.UNKNOWN
    if sqlstate == "57014":
        return Remedy.HALVE
    if sqlstate == "55P03" or sqlstate[:2] in ("40", "53", "57", "58"):
        return Remedy.RETRY
    if sqlstate[:2] in ("22", "54"):
        return Remedy.BISECT
    diagnostics = getattr(cause, "diag", None)
    if sqlstate == "23505" and getattr(diagnostics, "constraint_name", None) in _RACES:
        return Remedy.RETRY
    return Remedy.STOP


def said(error: Exception) -> str:
    """SQLSTATE and the server's first line: never parameters, never rows."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    diagnostics = getattr(cause, "diag", None)
    message = getattr(diagnostics, "message_primary", None) or type(cause).__name__
    return f"{getattr(cause, 'sqlstate', None) or 'no SQLSTATE'}: {message}"
