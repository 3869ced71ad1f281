"""A real Prometheus scrapes the real line: dashboards show something, alerts fire when it is true, and clear."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import pytest
import yaml
from sqlalchemy import Engine, NullPool, create_engine, text

from consumers.engine.catalogue import CATALOGUE
from ops.dashboards import DASHBOARDS
from ops.local.observed import RULES
from ops.local.pipeline import Pipeline
from ops.local.traffic import plain, publish
from schemas.commands import command_id
from schemas.door import Record
from tests.acceptance.prometheus import Prometheus, beside
from tests.integration.small_world import said
from tests.integration.waiting import until

pytestmark = pytest.mark.timeout(400)
DAY_MS: Final = 86_400_000
BEGIN: Final = time.time_ns() // 1_000_000 - 20 * DAY_MS  # the rules' clock begins here
ALERTS: Final = {
    rule["alert"]
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
}
# Not made true here, and why: `make drills` does, and each is tried by promtool.
NOT_DRILLED: Final = {
    "EscrowTopicMissing": "a deleted topic costs the line its stage",
    "EscrowDeadLetterOfOurs": "needs a schema that is broken on purpose",
    "EscrowConsumersRestart": "a matter of minutes",
    "EscrowProgramHangs": "a matter of minutes",
    "EscrowProgramNotReady": "a matter of half a minute without an answer",
    "EscrowSendingPaused": "needs operators' controls, which are off on a line like this one",
}
# Not there at all while all is well.
EMPTY_AT_FIRST: Final = {
    "escrow_batch_retries_total",
    "escrow_consumer_restarts_total",
    "escrow_commands_open_amount_minor",
}


class Line:
    """The line without a gateway: the test answers in its place."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.db: Engine = create_engine(
            pipeline.settings.database.connection_url, poolclass=NullPool
        )

    def tell(self, type_name: str, order: str, day: float = 0, **data: Any) -> None:
        publish([self.record(type_name, order, day, **data)], self.pipeline.settings)

    def record(self, type_name: str, order: str, day: float = 0, **data: Any) -> Record:
        at = BEGIN + int(day * DAY_MS)
        number = uuid.uuid4().int % 1_000_000_000
        return said(type_name, order, number, **data)._replace(timestamp_ms=at)

    def run(self, sql: str) -> None:
        with self.db.begin() as connection:
            connection.execute(text(sql))

    def open_commands(self) -> list[tuple[str, str, int, str]]:
        sql = (
            "SELECT order_id, command_id, amount_minor, currency FROM commands c"
            " WHERE state IN ('PENDING', 'ACCEPTED') AND NOT EXISTS"
            " (SELECT FROM command_holds h WHERE h.command_id = c.command_id)"
        )
        with self.db.connect() as connection:
            return [(row[0], row[1], row[2], row[3]) for row in connection.execute(text(sql))]

    def settle_all(self, day: float) -> None:
        """Answer every open command, as a gateway would."""
        answers = [
            self.record(
                "gateway.settled",
                order,
                day,
                command_id=id_,
                amount_minor=amount,
                currency=currency,
            )
            for order, id_, amount, currency in self.open_commands()
        ]
        publish(answers, self.pipeline.settings)

    @contextmanager
    def locked(self, *stages: str) -> Iterator[None]:
        """Somebody holds the positions of these stages in a transaction that does not end."""
        with self.db.connect() as connection, connection.begin():
            connection.execute(
                text("SELECT 1 FROM consumer_positions WHERE stage = ANY(:stages) FOR UPDATE"),
                {"stages": list(stages)},
            )
            yield


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Pipeline(gateway=False, metrics=True) as pipeline:
        made = Line(pipeline)
        yield made
        made.db.dispose()


@pytest.fixture(scope="module")
def prometheus(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with beside(line.pipeline, tmp_path_factory.mktemp("prometheus")) as made:
        publish(
            [
                record._replace(timestamp_ms=BEGIN + n)
                for n, record in enumerate(plain(40, prefix="quiet", window=1))
            ],
            line.pipeline.settings,
        )
        line.tell("shipment.lost", "o-bad", note=1)
        until(lambda: len(line.open_commands()) == 40)
        line.settle_all(0.01)
        until(lambda: line.open_commands() == [])
        yield made


Found = TypeVar("Found", list[str], set[str])


def until_empty(look: Callable[[], Found], seconds: float = 30.0) -> Found:
    """What is still found after so long; empty as soon as nothing is."""
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def test_every_metric_of_the_catalogue_is_scraped(prometheus: Prometheus) -> None:
    def missing() -> set[str]:
        names = {
            f"{metric.name}_count" if metric.kind == "histogram" else metric.name
            for metric in CATALOGUE
        }
        return {name for name in names - EMPTY_AT_FIRST if not prometheus.query(name)}

    assert until_empty(missing) == set()


def test_every_expression_of_the_dashboards_is_answered(prometheus: Prometheus) -> None:
    """Those that ask for what should not be have no answer; all others have one."""
    expressions = [
        expression
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for expression in panel.answers.values()
    ]
    assert len(expressions) > 30

    def unanswered() -> list[str]:
        return [
            expression
            for expression in expressions
            if not prometheus.query(expression)
            and not expression.endswith(("> 0", "== 0"))
            and not any(name in expression for name in EMPTY_AT_FIRST)
        ]

    assert until_empty(unanswered) == []


def test_what_is_shown_is_what_is_true(line: Line, prometheus: Prometheus) -> None:
    until(lambda: prometheus.query("escrow_orders") == {(("status", "RELEASED"),): 40})
    held = prometheus.query("sum(escrow_held_amount_minor)")
    assert list(held.values()) == [0]
    settled = prometheus.query('escrow_commands{kind="payout", state="SETTLED"}')
    assert list(settled.values()) == [40]
    decided = 'sum(escrow_facts_total{stage="payments", outcome="applied"})'
    until(lambda: list(prometheus.query(decided).values()) == [40])
    assert until_empty(lambda: prometheus.firing) == set()


def test_every_alert_fires_when_it_is_true_and_clears(line: Line, prometheus: Prometheus) -> None:
    """One bad day: everything at once, then everything is mended."""
    drilled = ALERTS - NOT_DRILLED.keys()
    blind = {"EscrowBlind"}
    seen: set[str] = set()

    def silent(wanted: set[str]) -> set[str]:
        seen.update(prometheus.firing)
        return wanted - seen

    late = {"EscrowCommandHeld"}
    _prepare(line)
    with line.locked("payments", "supplier_reports"):
        _break(line)
        assert until_empty(lambda: silent(drilled - blind - late), 60) == set()
        _hold_a_command(line)
        assert until_empty(lambda: silent(drilled - blind)) == set()
    _mend(line)
    assert until_empty(lambda: prometheus.firing, 60) == set()
    line.pipeline.stop_program("metrics")
    assert until_empty(lambda: blind - prometheus.firing, 60) == set()
    line.pipeline.start_program("metrics")
    assert until_empty(lambda: blind & prometheus.firing, 60) == set()
    assert seen <= ALERTS - blind


def _prepare(line: Line) -> None:
    """Two orders whose payouts will fail, one with a refund asked for, one whose payout will be silent."""
    for order in ("held", "failed", "silent", "asked"):
        line.tell("payment.captured", order, 0.02)
    until(lambda: _statuses(line, "HELD") == 4)
    for order in ("held", "failed", "silent"):
        line.tell("delivery.confirmed", order, 0.03)
    line.tell("refund.requested", "asked", 0.03)
    until(lambda: _statuses(line, "DISPUTED") == 1 and len(line.open_commands()) == 3)
    for order in ("held", "failed"):
        payout = command_id(order, "payout", 1)
        line.tell("gateway.failed", order, 0.04, command_id=payout)
    until(lambda: len(line.open_commands()) == 1)


def _statuses(line: Line, status: str) -> int:
    sql = text("SELECT count(*) FROM escrows WHERE status = :status")
    with line.db.connect() as connection:
        return int(connection.execute(sql, {"status": status}).scalar_one())


def _break(line: Line) -> None:
    for name in ("relay", "ticker", "shipments"):
        line.pipeline.stop_program(name)
    line.pipeline.kill("mediation_rulings", stays_down=True)
    line.run(
        "INSERT INTO total_deltas"
        " (status, currency, orders, captured, held, refunded, paid_out, charged_back, debt, loss)"
        " VALUES ('RELEASED', 'EUR', 0, 1, 0, 0, 0, 0, 0, 0)"
    )
    line.tell("shipment.lost", "asked", -40)  # unread, and older than half of what topics keep
    line.tell("payment.captured", "late", 0.05)  # this stage is locked out
    line.tell("supplier.reported", "o", 0.05)
    same = line.record("evidence.submitted", "asked", 0.05)
    other = line.record("evidence.submitted", "asked", 0.05, evidence_id="e-2")
    publish([same, other._replace(headers=same.headers)], line.pipeline.settings)
    garbage = [line.record("delivery.confirmed", "late", 0.05, buyer_id=n) for n in range(20)]
    publish(garbage, line.pipeline.settings)
    line.tell("delivery.confirmed", "late", 0.06)  # waits for its payment, and eleven days pass
    line.tell("refund.requested", "silent", 11)


def _hold_a_command(line: Line) -> None:
    payout = command_id("held", "payout", 1)
    line.tell("command.reissued", "held", 11, command_id=payout)
    until(lambda: len(line.open_commands()) == 2)
    line.tell("gateway.settled", "held", 11, command_id=payout)


def _mend(line: Line) -> None:
    for name in ("relay", "ticker", "shipments", "mediation_rulings"):
        line.pipeline.start_program(name)
    line.run(
        "INSERT INTO total_deltas"
        " (status, currency, orders, captured, held, refunded, paid_out, charged_back, debt, loss)"
        " VALUES ('RELEASED', 'EUR', 0, -1, 0, 0, 0, 0, 0, 0)"
    )
    line.tell("command.reissued", "failed", 11, command_id=command_id("failed", "payout", 1))
    # the reissue, the silent one, and that of the late order, which its payment has woken
    until(lambda: len(line.open_commands()) == 3)
    line.settle_all(11)
