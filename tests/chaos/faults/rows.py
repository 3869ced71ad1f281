"""What the database does to its clients: locks, old snapshots, ended backends, no room, no rights."""

import time
from typing import Final

import psycopg

from tests.chaos.faults.hand import Fault, Nemesis


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


FAULTS: Final[dict[str, Fault]] = {
    "backends terminated": _terminate,
    "statements cancelled": _cancel,
    "orders locked by another": _hold("SELECT 1 FROM escrows FOR UPDATE", (0.5, 4.0)),
    "positions locked by another": _hold("SELECT 1 FROM consumer_positions FOR UPDATE", (0.5, 4.0)),
    "outbox locked by another": _hold("SELECT 1 FROM outbox_slices FOR UPDATE", (0.5, 4.0)),
    "old snapshot kept": _hold("SELECT count(*) FROM facts", (2.0, 5.0)),
}
