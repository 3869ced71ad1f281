"""A database that goes back in time, and one that is killed while its replica goes on, on real servers.

Not part of `make test`: `make recovery`. Nothing is sent twice, nothing is lost. Where each commit
waits for the replica, nothing that was decided can be missing there.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.audit import run_audit
from ops.local.postgres import PostgresServer
from ops.local.postgres_programs import programs, run, run_as
from storage.migrate import upgrade
from tests.integration.test_restore import NAME, Line
from tests.integration.waiting import until

ORDERS = 60


@pytest.fixture
def room() -> Iterator[Path]:
    """Folders that PostgreSQL's user may write to: two servers' and the archive between them."""
    with tempfile.TemporaryDirectory(prefix="escrow-test-") as folder:
        Path(folder).chmod(0o755)
        for name in ("first", "second", "archive"):
            made = Path(folder, name)
            made.mkdir()
            if user := run_as():
                shutil.chown(made, user)
        yield Path(folder)


@contextmanager
def served(server: PostgresServer) -> Iterator[PostgresServer]:
    server.start()
    try:
        yield server
    finally:
        server.stop(immediate=True)


def archiving(room: Path) -> dict[str, str]:
    return {"archive_mode": "on", "archive_command": f"cp %p {room}/archive/%f"}


def back_in_time(room: Path) -> PostgresServer:
    """The base backup as a server of its own that recovers to the point named `then`."""
    restored = PostgresServer(
        room / "second",
        settings={
            "restore_command": f"cp {room}/archive/%f %p",
            "recovery_target_name": "then",
            "recovery_target_action": "promote",
        },
    )
    (room / "second/cluster/recovery.signal").touch()
    (room / "second/escrow.created").touch()  # the database is in the backup
    return restored


def test_a_restore_to_a_point_in_time_sends_nothing_twice_and_loses_nothing(
    kafka: str, room: Path
) -> None:
    with served(PostgresServer(room / "first", settings=archiving(room))) as server:
        upgrade(server.database_url)
        line = Line(kafka, server.database_url)
        line.begin_here()
        line.says(0, 20)
        line.settles(20)
        port = str(server.url("x").rsplit(":", 1)[1].split("/")[0])
        backup = ("-h", "127.0.0.1", "-p", port, "-U", "escrow", "-D", str(room / "second/cluster"))
        run(
            programs(), "pg_basebackup", *backup, "--checkpoint=fast", "-X", "stream", user=run_as()
        )
        line.says(20, 40)
        line.settles(40)  # in the archive alone
        line.says(40, 50)
        line.settles(50, relay=False)  # decided, and sent only after the restore point
        line.ask("SELECT pg_create_restore_point('then')")
        line.says(50, 60)
        line.settles(60)  # all that the restored database has forgotten
        last = line.ask("SELECT pg_walfile_name(pg_current_wal_lsn())")
        line.ask("SELECT pg_switch_wal()")
        until((room / "archive" / last).exists)
        before = line.told()
    assert len(before) == 60
    with served(back_in_time(room)) as server:
        line = Line(kafka, server.database_url)
        until(lambda: not line.ask("SELECT pg_is_in_recovery()"))
        assert line.ask("SELECT count(*) FROM escrows WHERE status = 'RELEASED'") == 50
        assert line.ask("SELECT count(*) FROM outbox WHERE sent_at IS NULL") > 0
        line.settles(60)
        assert line.told() == before
        found = "SELECT marked || ' ' || promised FROM lineages ORDER BY life DESC LIMIT 1"
        marked, promised = map(int, line.ask(found).split())
        assert (marked, promised >= 10) == (10, True)
        mine = f"SELECT count(*) FROM promises WHERE order_id LIKE '{NAME}%'"
        assert line.ask(mine) == 0, "what was promised was decided again"
        line.says(60, 65)
        line.settles(65)
        assert line.told().total() == before.total() + 5
        report = run_audit(line.settings, 0)
        assert report.clean, report.findings


def a_replica(server: PostgresServer, room: Path) -> PostgresServer:
    """A copy that follows; commits wait for it from now on."""
    port = server.database_url.rsplit(":", 1)[1].partition("/")[0]
    target = ("-D", str(room / "second/cluster"), "-R", "-X", "stream", "--checkpoint=fast")
    address = ("-h", "127.0.0.1", "-p", port, "-U", "escrow")
    run(programs(), "pg_basebackup", *address, *target, user=run_as())
    (room / "second/escrow.created").touch()  # the database comes with the copy
    return PostgresServer(room / "second")


def synchronous(line: Line) -> None:
    line.tell("ALTER SYSTEM SET synchronous_standby_names = '*'")
    line.ask("SELECT pg_reload_conf()")
    until(lambda: line.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"))


def test_a_failover_loses_nothing_and_sends_nothing_twice(kafka: str, room: Path) -> None:
    with served(PostgresServer(room / "first")) as first:
        upgrade(first.database_url)
        line = Line(kafka, first.database_url)
        line.begin_here()
        others = line.told()
        with served(a_replica(first, room)) as second:
            synchronous(line)
            line.says(200, 200 + ORDERS)
            released = "SELECT count(*) FROM escrows WHERE status = 'RELEASED'"
            line.works_until(lambda: line.ask(released) >= 5, relay=True)
            line.says(200 + ORDERS, 200 + 2 * ORDERS)
            seen: list[int] = []

            def killed() -> bool:
                """At work: some are decided, some are not, some are sent."""
                if first.running:
                    seen.append(line.ask(released))
                    if seen[-1] >= 5 + ORDERS // 2:
                        first.kill()
                return not first.running

            line.works_until(killed, relay=True)
            assert 5 <= seen[-1] <= 2 * ORDERS
            later = Line(kafka, second.database_url)
            later.ask("SELECT pg_promote()")
            until(lambda: not later.ask("SELECT pg_is_in_recovery()"))
            assert later.ask(released) >= seen[-1], "what was decided is on the replica"
            later.settles(2 * ORDERS)
            told = later.told() - others
            assert len(told) == 2 * ORDERS
            lives = "SELECT string_agg(timeline::text, ',' ORDER BY life) FROM lineages"
            assert later.ask(lives) == "1,2"
            mine = "SELECT count(*) FROM promises JOIN escrows USING (order_id)"
            assert later.ask(mine) == 0
            # what was sent and not yet marked is found on the topic, and not sent again
            assert set(told.values()) == {1}
            report = run_audit(later.settings, 0)
            assert report.clean, report.findings
