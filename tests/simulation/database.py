"""What of PostgreSQL the write path leans on: transactions, row locks, unique keys, read committed.

A statement sees what is committed when it begins, and its own transaction's rows. One that has waited
for a lock goes on with the newest version of the locked row, and with the old view of all else.
Sequences do not roll back, so a lower id can commit later. Nothing here knows a rule of the escrow.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self

from psycopg import OperationalError, errors

from tests.simulation.scheduler import Actor, Killed, Scheduler

LOCK_SECONDS: Final = 4.0  # storage.engine's lock_timeout
IDLE_IN_TRANSACTION_SECONDS: Final = 5.0
SHARE: Final = "share"
EXCLUSIVE: Final = "exclusive"
Key = tuple[Any, ...]
Row = dict[str, Any]
Place = tuple[str, Key]  # table, key


class _Diagnostics:
    def __init__(self, constraint: str) -> None:
        self.constraint_name = constraint
        self.message_primary = f"violates {constraint}"


class UniqueViolation(errors.UniqueViolation):
    """23505, with the name of the constraint."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self._diagnostics = _Diagnostics(constraint)

    @property
    def diag(self) -> Any:  # type: ignore[explicit-override]
        return self._diagnostics


class CheckViolation(errors.CheckViolation):
    """23514: our own bug speaking through a constraint."""


class Table:
    """Committed rows by key."""

    __slots__ = ("keys", "name", "rows")

    def __init__(self, name: str, keys: tuple[str, ...]) -> None:
        self.name, self.keys = name, keys
        self.rows: dict[Key, Row] = {}


class Session:
    """One backend, and the client's end of it."""

    def __init__(self, server: "Server", actor: Actor) -> None:
        self.server, self.actor = server, actor
        self.tx: Tx | None = None
        self.ended: Exception | None = None  # what the client hears at its next word
        self.is_open = True
        self.noticed = False  # the client knows that it has ended

    def end(self, why: Exception) -> None:
        """The server's end goes; what was open is rolled back."""
        if self.ended is None:
            self.ended = why
            self.server.finish(self)
            self.server.advisory = {k: s for k, s in self.server.advisory.items() if s is not self}
            if self.tx is not None and self.tx.waits_for:
                self.server.scheduler.wake(self.actor)


class Tx:
    """An open transaction: what it wrote, and what it holds."""

    __slots__ = ("held", "session", "view", "waits_for", "writes")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.writes: dict[str, dict[Key, Row | None]] = {}
        self.held: list[Place] = []
        self.waits_for: set[Tx] = set()
        self.view = 0  # number of commits that the present statement sees


class Server:
    """All tables, and who holds what."""

    def __init__(self, scheduler: Scheduler, tables: Mapping[str, tuple[str, ...]]) -> None:
        self.scheduler = scheduler
        self.tables = {name: Table(name, keys) for name, keys in tables.items()}
        self.locks: dict[Place, dict[Tx, str]] = {}
        self.open: dict[Tx, None] = {}  # in the order of their beginning
        self.sequences = {"fact_seq": 0, "outbox": 0, "total_deltas": 0, "batches": 0}
        self.advisory: dict[int, Session] = {}
        self.commits = 0
        self.past: list[tuple[int, str, Key, Row | None]] = []  # what commits replaced
        self.on_statement: Callable[[Session, str], None] | None = None
        self.on_commit: Callable[[Tx], None] | None = None
        self.commit_fate: Callable[[Session], str | None] | None = None
        self.waits = 0
        self.deadlocks = 0

    # transactions

    def begin(self, session: Session) -> None:
        session.tx = Tx(session)
        self.open[session.tx] = None

    def statement(self, session: Session, sql: str) -> Tx:
        """The client sends one more statement; raises what it hears instead of an answer."""
        self.scheduler.pause()
        self.hear(session)
        if self.on_statement is not None:
            self.on_statement(session, sql)
            self.hear(session)
        tx = session.tx
        assert tx is not None, f"a statement outside a transaction: {sql}"
        tx.view = self.commits
        return tx

    def commit(self, session: Session) -> None:
        """COMMIT as the client sees it: it may never hear whether it happened."""
        self.scheduler.pause()
        self.hear(session)
        fate = self.commit_fate(session) if self.commit_fate is not None else None
        if fate == "request lost":
            session.end(OperationalError("connection lost before COMMIT"))
            self.hear(session)
        tx = session.tx
        assert tx is not None
        self.apply(tx)
        self.finish(session)
        if fate == "reply lost":
            session.end(OperationalError("connection lost after COMMIT"))
            self.hear(session)
        self.scheduler.pause()

    def apply(self, tx: Tx) -> None:
        self.commits += 1
        keep = any(other.waits_for for other in self.open)  # they are within a statement
        for name, rows in tx.writes.items():
            committed = self.tables[name].rows
            for key, row in rows.items():
                if keep:
                    self.past.append((self.commits, name, key, committed.get(key)))
                if row is None:
                    committed.pop(key, None)
                else:
                    committed[key] = row
        if tx.writes and self.on_commit is not None:
            self.on_commit(tx)

    def finish(self, session: Session) -> None:
        """The end of a transaction, either way: locks go, waiters wake."""
        tx, session.tx = session.tx, None
        if tx is None:
            return
        self.open.pop(tx, None)
        locks = self.locks
        for place in tx.held:
            holders = locks.get(place)
            if holders is not None:
                holders.pop(tx, None)
                if not holders:
                    del locks[place]
        for other in self.open:
            if tx in other.waits_for:
                other.waits_for.discard(tx)
                if not other.waits_for:
                    self.scheduler.wake(other.session.actor)
        if not self.open:
            self.past.clear()

    def hear(self, session: Session) -> None:
        """Raises what has become of this connection."""
        if session.ended is not None:
            session.noticed = True
            raise session.ended
        if session.actor.dead:
            raise Killed

    # rows

    def get(self, tx: Tx, table: str, key: Key) -> Row | None:
        """The newest version: what a statement sees of a row that it locks, or that nobody changes."""
        writes = tx.writes.get(table)
        if writes is not None and key in writes:
            return writes[key]
        return self.tables[table].rows.get(key)

    def seen(self, tx: Tx, table: str) -> dict[Key, Row]:
        """A table as this statement sees it."""
        rows = self.tables[table].rows
        writes = tx.writes.get(table)
        stale = self.commits != tx.view and any(
            number > tx.view and name == table for number, name, _, _ in self.past
        )
        if not stale and not writes:
            return rows
        rows = dict(rows)
        if stale:
            for number, name, key, row in reversed(self.past):
                if number > tx.view and name == table:
                    if row is None:
                        rows.pop(key, None)
                    else:
                        rows[key] = row
        for key, written in (writes or {}).items():
            if written is None:
                rows.pop(key, None)
            else:
                rows[key] = written
        return rows

    def put(self, tx: Tx, table: str, key: Key, row: Row | None) -> None:
        writes = tx.writes.get(table)
        if writes is None:
            writes = tx.writes[table] = {}
        writes[key] = row

    def insert(self, tx: Tx, table: str, key: Key, row: Row) -> bool:
        """False if the key is there: after waiting for one who is just inserting it."""
        self.lock(tx, table, key)
        if self.get(tx, table, key) is not None:
            return False
        self.put(tx, table, key, row)
        return True

    # locks

    def lock(
        self, tx: Tx, table: str, key: Key, mode: str = EXCLUSIVE, *, skip: bool = False
    ) -> bool:
        """Take a row's lock, waiting for others; with `skip`, False instead of a wait."""
        place = table, key
        while True:
            holders = self.locks.get(place)
            if holders is None:
                self.locks[place] = {tx: mode}
                tx.held.append(place)
                return True
            mine = holders.get(tx)
            if mine in (EXCLUSIVE, mode):
                return True
            others = {t for t, m in holders.items() if t is not tx and EXCLUSIVE in (m, mode)}
            if not others:
                holders[tx] = mode
                tx.held.append(place)
                return True
            if skip:
                return False
            self._wait(tx, others)

    def _wait(self, tx: Tx, others: set[Tx]) -> None:
        session = tx.session
        self.waits += 1
        tx.waits_for = set(others)
        if self._circle(tx):
            self.deadlocks += 1
            tx.waits_for = set()
            raise errors.DeadlockDetected("deadlock detected")
        until = self.scheduler.now + LOCK_SECONDS
        while tx.waits_for:
            if self.scheduler.now >= until:
                tx.waits_for = set()
                raise errors.LockNotAvailable("canceling statement due to lock timeout")
            self.scheduler.sleep(until - self.scheduler.now)
            self.hear(session)

    def _circle(self, tx: Tx) -> bool:
        seen: set[Tx] = set()
        waiting = list(tx.waits_for)
        while waiting:
            other = waiting.pop()
            if other is tx:
                return True
            if other not in seen:
                seen.add(other)
                waiting.extend(other.waits_for)
        return False


class Connection:
    """As much of SQLAlchemy's connection as the product uses."""

    def __init__(self, server: Server, session: Session) -> None:
        self.server, self.session = server, session

    @contextmanager
    def begin(self) -> Iterator[None]:
        server, session = self.server, self.session
        server.hear(session)
        server.begin(session)
        try:
            yield
        except BaseException:
            server.finish(session)
            raise
        server.commit(session)

    def invalidate(self) -> None:
        self.session.end(OperationalError("invalidated"))

    def close(self) -> None:
        self.session.is_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Engine:
    """One pooled connection: the same backend again, until one has noticed that it went away."""

    def __init__(self, server: Server, actor: Actor) -> None:
        self._server, self._actor = server, actor
        self._session: Session | None = None

    def connect(self) -> Connection:
        session = self._session
        if session is None or session.noticed:
            session = Session(self._server, self._actor)
            self._actor.sessions.append(session)
            self._session = session
        session.is_open = True
        return Connection(self._server, session)

    def dispose(self) -> None:
        if self._session is not None:
            self._session.end(OperationalError("disposed"))


def keyed(table: Table, rows: Iterable[Row]) -> Iterator[tuple[Key, Row]]:
    """Rows with their primary keys."""
    names = table.keys
    if len(names) == 1:
        (name,) = names
        for row in rows:
            yield (row[name],), row
    else:
        for row in rows:
            yield tuple([row[name] for name in names]), row
