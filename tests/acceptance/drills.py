"""`make drills`: the alerts that take minutes, each made true on a real line, mended as its runbook section says, and gone.

Prometheus' rules wait a second here instead of minutes; their thresholds are the real ones.
"""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Final

import pytest
from confluent_kafka.admin import AdminClient
from sqlalchemy import create_engine, make_url

from ops.local.observed import TARGETS
from ops.local.pipeline import Pipeline
from ops.local.processes import escrow
from ops.local.traffic import publish
from schemas.facts import SUPPLIER_REPORTS
from tests.acceptance.console_line import many_parcels
from tests.acceptance.prometheus import Prometheus, beside
from tests.acceptance.test_prometheus import NOT_DRILLED, Line, until_empty
from tests.integration.waiting import until

pytestmark = pytest.mark.timeout(600)
CONTROLS: Final = {"ESCROW_SENDING__OPERATOR_CONTROLS": "true"}
OLGA: Final = {"ESCROW_OPERATOR": "olga"}
BROKEN: Final = """
CREATE FUNCTION drill_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'a foreign trigger' USING ERRCODE = '22023'; END $$;
CREATE TRIGGER drill_refuse BEFORE INSERT ON facts FOR EACH ROW
  WHEN (NEW.order_id = 'order-drill') EXECUTE FUNCTION drill_refuse();
"""
MENDED: Final = "DROP TRIGGER drill_refuse ON facts; DROP FUNCTION drill_refuse();"
ENDED: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name LIKE 'escrow-payments%' AND datname = current_database()"
)


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Pipeline(gateway=False, metrics=True, env=CONTROLS) as pipeline:
        made = Line(pipeline)
        yield made
        made.db.dispose()


@pytest.fixture(scope="module")
def prometheus(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with beside(line.pipeline, tmp_path_factory.mktemp("prometheus")) as made:
        until(lambda: made.query("escrow_exporter_look_age_seconds"))
        yield made


class Drill:
    """One alert: how long after the fault it fires, and how long after the mending it is gone."""

    def __init__(self, prometheus: Prometheus, alert: str) -> None:
        self.prometheus, self.alert = prometheus, alert
        self.fired_seconds = 0.0

    @property
    def fires(self) -> bool:
        return self.alert in self.prometheus.firing

    def awaits(self, seconds: float = 90) -> None:
        self.fired_seconds = until(lambda: self.fires, seconds)


@pytest.fixture
def drill(
    request: pytest.FixtureRequest,
    line: Line,
    prometheus: Prometheus,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Drill]:
    """Whatever was drilled, at its end it fires no more, all is decided, and the books are right.

    What else a busy machine lets fire, where rules wait a second, is waited for and told.
    """
    until_empty(lambda: prometheus.firing)
    made = Drill(prometheus, _alert_of(request.node.name))
    until(lambda: not made.fires)
    yield made
    assert made.fired_seconds > 0
    gone = until(lambda: not made.fires, 120)
    line.pipeline.wait_idle()
    typed(line, "audit")
    others = until_empty(lambda: prometheus.firing)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{made.alert}: fires after {made.fired_seconds:.0f} s, gone after {gone:.0f} s"
            f"{'; others fire: ' + ', '.join(sorted(others)) if others else ''}\n"
        )


def typed(line: Line, *arguments: str, code: int | None = 0) -> str:
    """What a person types, and what it says; its exit code is `code`, if that is known."""
    done = subprocess.run(
        escrow(*arguments),
        env={**os.environ, **line.pipeline.stack.environment, **CONTROLS, **OLGA},
        capture_output=True,
        text=True,
        check=False,
    )
    assert code in (None, done.returncode), done.stdout + done.stderr
    return done.stdout + done.stderr


def _alert_of(test: str) -> str:
    """`test_escrow_blind` → `EscrowBlind`."""
    return "".join(word.title() for word in test.split("_")[1:])


def test_all_that_the_quick_drill_leaves_out_is_here() -> None:
    drilled = {_alert_of(name) for name in globals() if name.startswith("test_escrow_")}
    assert drilled == NOT_DRILLED.keys()


def test_escrow_sending_paused(line: Line, drill: Drill) -> None:
    typed(line, "send", "pause", "--note", "a drill", "--yes")
    drill.awaits()
    assert "a drill" in typed(line, "send", "status", code=1)
    typed(line, "send", "resume", "--note", "looked at", "--yes")
    until(lambda: "nothing is stopped" in typed(line, "send", "status", code=None))


def test_escrow_topic_missing(line: Line, drill: Drill) -> None:
    """Deleted and made again: the stage halts on its old position, and is put at the beginning."""
    for n in range(8):
        line.tell("supplier.reported", f"o-{n}", report_id=f"report-{n}")
    line.pipeline.wait_idle()
    admin = AdminClient({"bootstrap.servers": line.pipeline.stack.bootstrap_servers})
    for future in admin.delete_topics([SUPPLIER_REPORTS]).values():
        future.result(20)
    drill.awaits()
    assert SUPPLIER_REPORTS in typed(line, "topics", "plan", code=1)
    typed(line, "topics", "apply", "--yes")
    until(lambda: "supplier_reports" in line.pipeline.halted)
    assert "`the log is shorter`" in line.pipeline.halted["supplier_reports"]
    for partition in range(4):
        where = ("--stage", "supplier_reports", "--topic", SUPPLIER_REPORTS)
        at = ("--partition", str(partition), "--offset", "0", "--reason", "topic made again")
        typed(line, "positions", "set", *where, *at, "--yes", code=None)
    line.pipeline.start_program("supplier_reports")


def test_escrow_dead_letter_of_ours(line: Line, drill: Drill) -> None:
    """Somebody has added a trigger that refuses one order's facts."""
    with line.db.begin() as connection:
        connection.exec_driver_sql(BROKEN)
    line.tell("payment.captured", "order-drill")
    drill.awaits()
    assert "not_storable" in typed(line, "dlq", "list", "--code", "not_storable")
    with line.db.begin() as connection:
        connection.exec_driver_sql(MENDED)
    typed(line, "dlq", "replay", "--code", "not_storable", "--reason", "mended", "--yes")
    until(lambda: "HELD" in typed(line, "order", "explain", "order-drill", "--json", code=None))


def test_escrow_consumers_restart(line: Line, drill: Drill) -> None:
    """The sessions of a stage are ended again and again, as by a pooler that does not like them."""
    began = time.monotonic()
    while not drill.fires:
        assert time.monotonic() - began < 120
        line.run(ENDED)
        line.tell(
            "payment.captured", f"order-{uuid.uuid4().hex}"
        )  # who has nothing to do does not notice
        time.sleep(0.5)
    drill.fired_seconds = time.monotonic() - began


def test_escrow_program_hangs(line: Line, drill: Drill) -> None:
    """Nobody reads its log any more, so that its next line is never written."""
    pipeline = line.pipeline
    pipeline.stop_program("shipments")
    targets = pipeline.stack.data_dir / TARGETS
    served = {"ESCROW_METRICS_PORT": "0", "ESCROW_METRICS_TARGETS": str(targets)}
    hung = subprocess.Popen(
        escrow("consume", "shipments"),
        env={
            **os.environ,
            **pipeline.stack.environment,
            **served,
            "ESCROW_LOG__LEVEL": "debug",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        publish(many_parcels(2_000, "hung"), pipeline.settings)
        drill.awaits(300)
        assert hung.poll() is None
        (target,) = targets.glob(f"shipments-{hung.pid}.json")
    finally:
        hung.kill()  # as the runbook says: safe at any point
        hung.communicate()
    pipeline.start_program("shipments")
    until(lambda: not target.exists())  # the next one that starts takes it away


def test_escrow_program_not_ready(line: Line, drill: Drill) -> None:
    """The database lets nobody in."""
    url = make_url(line.pipeline.settings.database.connection_url)
    name = url.database
    server = create_engine(url.set(database="template1"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        connection.exec_driver_sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        drill.awaits()
        assert "database" in typed(line, "doctor", code=None)
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    server.dispose()
    until(lambda: _lets_in(line))
    line.tell("payment.captured", "order-after")


def _lets_in(line: Line) -> bool:
    try:
        line.run("SELECT 1")
    except Exception:  # noqa: BLE001  whatever the driver makes of it
        return False
    return True
