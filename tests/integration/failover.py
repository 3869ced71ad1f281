"""Two PostgreSQL servers, one the replica of the other; the first is killed at work, the second goes on.

Not part of `make test`: `make failover`. Each commit waits for the replica, so nothing that was
decided, or that a gateway was told, can be missing there.
"""

from pathlib import Path

from ops.audit import run_audit
from ops.local.postgres import PostgresServer
from ops.local.postgres_programs import programs, run, run_as
from storage.migrate import upgrade
from tests.integration.test_restore import NAME, Line, room, served
from tests.integration.waiting import until

__all__ = ["room"]
ORDERS = 60


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
            mine = f"SELECT count(*) FROM promises WHERE order_id LIKE '{NAME}%'"
            assert later.ask(mine) == 0
            # what was sent and not yet marked is found on the topic, and not sent again
            assert set(told.values()) == {1}
            report = run_audit(later.settings, 0)
            assert report.clean, report.findings
