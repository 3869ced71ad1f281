"""What the database does to its clients: locks, old snapshots, ended backends, no room, no rights."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Final

import psycopg

from tests.chaos.faults.hand import Fault, Nemesis
from tests.chaos.servers import PROGRAM_ROLE

DEAD_ROWS: Final = 100_000


def _terminate(nemesis: Nemesis) -> bool:
    """All backends of the programs at once, three times."""
    touched = 0
    for _ in range(3):
        touched += nemesis.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'escrow-%' AND pid <> pg_backend_pid()"
        )
        time.sleep(nemesis.rng.uniform(0.05, 0.4))
    return touched > 0


def _cancel(nemesis: Nemesis) -> bool:
    """Statements cancelled under the programs (SQLSTATE 57014), a storm of them."""
    touched = 0
    for _ in range(40):
        touched += nemesis.sql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'escrow-%' AND state = 'active'"
        )
        time.sleep(0.02)
    return touched > 0


def _hold(statement: str, seconds: tuple[float, float]) -> Fault:
    """Someone else's transaction that keeps locks, or an old snapshot, while work goes on."""

    def fault(nemesis: Nemesis) -> bool:
        with psycopg.connect(nemesis.database) as connection:
            connection.execute(statement.encode())
            nemesis.feed.burst(4)
            time.sleep(nemesis.rng.uniform(*seconds))
            connection.rollback()
        return True

    return fault


def _invert(nemesis: Nemesis) -> bool:
    """A lower id of the outbox commits after higher ones; counts where it was seen to.

    Nobody can write the last table of a batch until some wait there with their ids taken; the
    first of them is then frozen in its backend while the others commit.
    """
    with psycopg.connect(nemesis.database, autocommit=True) as watcher:
        last = _one(watcher, "SELECT coalesce(max(id), 0) FROM outbox")
        with psycopg.connect(nemesis.database) as blocker:
            blocker.execute(b"LOCK TABLE batches IN SHARE MODE")
            nemesis.feed.burst(8)
            time.sleep(1.5)
            first = watcher.execute(_WAITING).fetchone()
            if first is None:
                return False
            os.kill(first[0], signal.SIGSTOP)
        try:
            return _comes_late(watcher, last, lambda: os.kill(first[0], signal.SIGCONT))
        finally:
            with suppress(ProcessLookupError):
                os.kill(first[0], signal.SIGCONT)


_WAITING: Final = b"""
SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l USING (pid)
WHERE NOT l.granted AND l.relation = 'batches'::regclass AND a.application_name LIKE 'escrow-%'
ORDER BY a.xact_start LIMIT 1
"""


def _comes_late(
    watcher: psycopg.Connection, last: int, wake: Callable[[], None], seconds: float = 3.0
) -> bool:
    """Whether an id appears below another one that was there before it."""
    seen: set[int] = set()
    highest, began, woken = last, time.monotonic(), False
    while (passed := time.monotonic() - began) < seconds:
        if passed > seconds / 2 and not woken:
            wake()
            woken = True
        rows = watcher.execute("SELECT id FROM outbox WHERE id > %s", (last,)).fetchall()
        new = {row[0] for row in rows} - seen
        if any(id_ < highest for id_ in new):
            return True
        seen |= new
        highest = max(seen, default=last)
        time.sleep(0.03)
    return False


def _one(connection: psycopg.Connection, statement: str) -> int:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return int(row[0])


def _dead_rows(nemesis: Nemesis) -> bool:
    """A hundred thousand row versions that an old snapshot keeps from being tidied away."""
    with psycopg.connect(nemesis.database) as old:
        old.execute(b"SELECT count(*) FROM outbox")
        made = 0
        with psycopg.connect(nemesis.database, autocommit=True) as connection:
            until = time.monotonic() + 20
            while made < DEAD_ROWS and time.monotonic() < until:
                made += connection.execute(
                    b"UPDATE outbox SET sent_at = sent_at WHERE id IN"
                    b" (SELECT id FROM outbox WHERE sent_at IS NOT NULL ORDER BY id DESC LIMIT 2000"
                    b" FOR UPDATE SKIP LOCKED)"
                ).rowcount
        nemesis.feed.burst(4)
        time.sleep(1)
        old.rollback()
    return made >= DEAD_ROWS


def _no_connection_left(nemesis: Nemesis) -> bool:
    """Strangers take every connection, those of the programs are ended: who wants back must wait."""
    with ExitStack() as taken, psycopg.connect(nemesis.database, autocommit=True) as ours:
        refused = 0
        until = time.monotonic() + nemesis.rng.uniform(2, 4)
        while time.monotonic() < until:
            ours.execute(
                b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                b" WHERE application_name LIKE 'escrow-%'"
            )
            with suppress(psycopg.OperationalError):
                while True:
                    taken.enter_context(psycopg.connect(nemesis.database, connect_timeout=2))
            refused += 1
            nemesis.feed.burst(1)
        return refused > 0


def _shut_out(nemesis: Nemesis) -> bool:
    """The programs' role may not log in for a while, and what is open is ended."""
    with psycopg.connect(nemesis.database, autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {PROGRAM_ROLE} NOLOGIN".encode())
        try:
            ended = connection.execute(
                b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                b" WHERE application_name LIKE 'escrow-%'"
            ).rowcount
            nemesis.feed.burst(4)
            time.sleep(nemesis.rng.uniform(1, 4))
        finally:
            connection.execute(f"ALTER ROLE {PROGRAM_ROLE} LOGIN".encode())
    return ended > 0


def _revoked(nemesis: Nemesis) -> bool:
    """No right to write facts: a stage must halt and say why, and go on once it is granted again."""
    with psycopg.connect(nemesis.database, autocommit=True) as connection:
        connection.execute(f"REVOKE INSERT ON facts FROM {PROGRAM_ROLE}".encode())
        try:
            halted: set[str] = set()
            until = time.monotonic() + 10
            while time.monotonic() < until and len(halted) < 2:
                nemesis.feed.burst(2)
                time.sleep(0.3)
                halted |= nemesis.line.halted("the database refused a batch")
        finally:
            connection.execute(f"GRANT INSERT ON facts TO {PROGRAM_ROLE}".encode())
    time.sleep(1)  # who was refused a moment ago halts, too
    halted |= nemesis.line.halted("the database refused a batch")
    return bool(halted)


FAULTS: Final[dict[str, Fault]] = {
    "backends terminated": _terminate,
    "statements cancelled": _cancel,
    "orders locked by another": _hold("SELECT 1 FROM escrows FOR UPDATE", (0.5, 4.0)),
    "positions locked by another": _hold("SELECT 1 FROM consumer_positions FOR UPDATE", (0.5, 4.0)),
    "outbox locked by another": _hold("SELECT 1 FROM outbox_slices FOR UPDATE", (0.5, 4.0)),
    "old snapshot kept": _hold("SELECT count(*) FROM facts", (2.0, 5.0)),
    "a lower id of the outbox commits later": _invert,
    "a hundred thousand dead rows": _dead_rows,
    "no connection left": _no_connection_left,
    "role shut out and let in": _shut_out,
    "right revoked and granted again": _revoked,
}
