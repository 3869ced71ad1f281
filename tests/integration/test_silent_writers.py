"""A client that falls silent inside a COPY keeps no locks for ever: its successor, or the kernel, ends it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from psycopg import OperationalError
from sqlalchemy import Connection

from consumers.engine.assignment import adopt
from storage import silent_writers
from storage.engine import LockNotAvailable, driver, stage_engine
from storage.positions import take_epoch
from storage.rows import execute, fetch
from storage.silent_writers import end_silent
from tests.integration.waiting import until

WHERE = ("escrow.payments.v1", 0)
Opened = Callable[[str], Connection]


class EmptyLog:
    """As much of a consumer as is asked about a partition without records."""

    def beginning_offsets(self, partitions: Any) -> dict[Any, int]:
        return dict.fromkeys(partitions, 0)

    end_offsets = beginning_offsets


@pytest.fixture
def opened(database_url: str) -> Iterator[Opened]:
    """Connections of programs of that name; given up at the end, whatever became of them."""
    with ExitStack() as stack:

        def connect(name: str) -> Connection:
            engine = stage_engine(database_url, name=name)
            stack.callback(engine.dispose)
            connection = engine.connect()
            stack.callback(connection.invalidate)
            return connection

        yield connect


def backend_of(connection: Connection) -> int:
    with connection.begin():
        ((pid,),) = fetch(connection, "SELECT pg_backend_pid()")
    return int(pid)


def falls_silent(connection: Connection, watch: Connection) -> int:
    """Take a partition, begin a COPY, and say no more; the server's process that waits for us."""
    pid = backend_of(connection)
    connection.begin()
    take_epoch(connection, "payments", *WHERE, "c")
    driver(connection).pgconn.exec_(b"COPY payments (payment_id, order_id) FROM STDIN")
    until(lambda: pid in waiting_in_copy(watch))
    return pid


def waiting_in_copy(watch: Connection) -> set[int]:
    with watch.begin():
        rows = fetch(
            watch,
            "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND wait_event = 'ClientRead'",
        )
    return {pid for (pid,) in rows}


def test_who_takes_a_partition_over_ends_a_silent_predecessor(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silent_writers, "SILENT_MS", 0)
    watch = opened("watch")
    silent = falls_silent(opened("escrow-payments"), watch)
    successor = opened("escrow-payments")
    with successor.begin():
        execute(successor, "SET lock_timeout = 200")
    with pytest.raises(LockNotAvailable):
        adopt(successor, EmptyLog(), "payments", WHERE, "c")
    until(lambda: silent not in waiting_in_copy(watch))
    adoption = adopt(successor, EmptyLog(), "payments", WHERE, "c")
    assert adoption.position.epoch == 1  # the silent one's was rolled back


def test_nobody_else_is_ended(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a COPY that has just begun, nor one of another program, nor who waits outside of a COPY."""
    watch, successor = opened("watch"), opened("escrow-payments")
    idle = opened("escrow-payments")
    idle_pid = backend_of(idle)
    silent = falls_silent(opened("escrow-shipments"), watch)
    with watch.begin():
        assert end_silent(watch) == []
    monkeypatch.setattr(silent_writers, "SILENT_MS", 0)
    with successor.begin():
        assert end_silent(successor) == []
    assert silent in waiting_in_copy(watch)
    assert backend_of(idle) == idle_pid


def test_a_machine_that_has_gone_is_noticed_within_half_a_minute(opened: Opened) -> None:
    """The rest is the kernel's: it probes, and closes what does not answer, or does not take an answer.

    `make namespaces` pulls the cable.
    """
    connection = opened("escrow-payments")
    with connection.begin():
        names = ("idle", "interval", "count")
        idle, interval, count = (
            int(fetch(connection, f"SHOW tcp_keepalives_{name}")[0][0]) for name in names
        )
        (unheard,) = fetch(
            connection, "SELECT setting FROM pg_settings WHERE name = 'tcp_user_timeout'"
        )
    assert 0 < idle + interval * count <= 30
    assert 0 < int(unheard[0]) <= 30_000


def test_what_is_ended_says_so_to_its_client(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only was slow finds its connection closed, and connects anew."""
    monkeypatch.setattr(silent_writers, "SILENT_MS", 0)
    slow, watch = opened("escrow-payments"), opened("escrow-payments")
    silent = falls_silent(slow, watch)
    with watch.begin():
        assert end_silent(watch) == [silent]
    until(lambda: silent not in waiting_in_copy(watch))
    with suppress(OperationalError):
        driver(slow).pgconn.put_copy_end()
    with pytest.raises(OperationalError):
        driver(slow).execute("SELECT 1")
