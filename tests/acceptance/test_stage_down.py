"""Each stage fails alone, comes back, and is scaled by starting more of it; real processes, real signals."""

import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from sqlalchemy import Engine, create_engine, text

from consumers.engine.admin import groups, spans
from ops.audit import run_audit
from ops.lag import compare
from ops.lag_watch import take_sample
from ops.local.pipeline import Pipeline
from ops.local.traffic import plain, publish
from schemas.door import Record
from schemas.facts import STAGE_TOPICS
from tests.integration.waiting import until

ORDERS: Final = 40
HANDOVER_SECONDS: Final = (
    5.0  # a silent member is given up after six at the earliest, eight at the latest
)


class Line:
    """The whole line, and what can be seen of it from outside."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.settings = pipeline.settings
        self._db: Engine = create_engine(self.settings.database.connection_url)

    def ask(self, sql: str, **parameters: Any) -> list[Any]:
        with self._db.begin() as connection:
            rows = connection.execute(text(sql), parameters).all()
        return [row[0] if len(row) == 1 else tuple(row) for row in rows]

    def statuses(self, prefix: str) -> dict[str | None, int]:
        sql = "SELECT status, count(*) FROM escrows WHERE order_id LIKE :like GROUP BY 1"
        return dict(self.ask(sql, like=f"{prefix}-%"))

    def command_states(self, prefix: str) -> dict[str, int]:
        sql = "SELECT state, count(*) FROM commands WHERE order_id LIKE :like GROUP BY 1"
        return dict(self.ask(sql, like=f"{prefix}-%"))

    def parked(self, prefix: str) -> dict[str, int]:
        sql = "SELECT code, count(*) FROM parked WHERE order_id LIKE :like GROUP BY 1"
        return dict(self.ask(sql, like=f"{prefix}-%"))

    def at_the_end(self, *stages: str) -> bool:
        """Whether these stages have read all that there is."""
        ends = spans(self.settings, [STAGE_TOPICS[stage] for stage in stages])
        sql = "SELECT topic, partition, next_offset FROM consumer_positions WHERE stage = ANY(:s)"
        reached = {(row[0], row[1]): row[2] for row in self.ask(sql, s=list(stages))}
        return all(reached.get(where, 0) == span.end for where, span in ends.items())

    def verdicts(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        report = compare(None, take_sample(self.settings), self.settings)
        for row in report.partitions:
            found.setdefault(row.stage, set()).add(row.verdict)
        return found

    def members(self, stage: str) -> int:
        group = self.settings.kafka.group(stage)
        return groups(self.settings, [group])[group].members

    def epochs(self, stage: str) -> dict[int, int]:
        sql = "SELECT partition, epoch FROM consumer_positions WHERE stage = :s"
        return dict(self.ask(sql, s=stage))

    def taken_over(self, stage: str, since: dict[int, int]) -> bool:
        return all(epoch > since[partition] for partition, epoch in self.epochs(stage).items())

    def assert_sound(self) -> None:
        """Every batch begins where the one before it ended, and every cent is accounted for."""
        report = run_audit(self.settings, time.time_ns() // 1_000_000)
        assert report.clean, report.found

    def close(self) -> None:
        self._db.dispose()


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    with Pipeline() as pipeline:
        made = Line(pipeline)
        yield made
        made.close()


def some_orders(prefix: str, count: int = ORDERS) -> list[Record]:
    """Four facts each, from payment to confirmation; none of them meets a trick of the gateway."""
    return list(plain(count, prefix=prefix, window=1))


def test_without_payments_all_else_waits_for_them_and_then_completes(line: Line) -> None:
    line.pipeline.stop_program("payments")
    publish(some_orders("unpaid"), line.settings)
    until(lambda: line.at_the_end("shipments", "refund_requests"))
    assert line.parked("unpaid") == {"awaiting_payment": 3 * ORDERS}
    assert line.statuses("unpaid") == {None: ORDERS}
    until(lambda: line.verdicts()["payments"] == {"no-members"})
    assert line.verdicts()["shipments"] == {"ok"}
    line.pipeline.start_program("payments")
    until(lambda: line.command_states("unpaid") == {"SETTLED": ORDERS})
    assert line.statuses("unpaid") == {"RELEASED": ORDERS}
    assert line.parked("unpaid") == {}
    line.assert_sound()


def test_without_refund_requests_money_is_held_and_parcels_are_followed(line: Line) -> None:
    line.pipeline.stop_program("refund_requests")
    publish(some_orders("unconfirmed"), line.settings)
    until(lambda: line.statuses("unconfirmed") == {"HELD": ORDERS})
    sql = "SELECT state, count(*) FROM shipments WHERE order_id LIKE 'unconfirmed-%' GROUP BY 1"
    until(lambda: line.ask(sql) == [("delivered", ORDERS)])
    assert line.command_states("unconfirmed") == {}
    line.pipeline.start_program("refund_requests")
    until(lambda: line.command_states("unconfirmed") == {"SETTLED": ORDERS})
    line.assert_sound()


def test_without_gateway_results_orders_end_and_commands_wait(line: Line) -> None:
    line.pipeline.stop_program("gateway_results")
    publish(some_orders("unanswered"), line.settings)
    until(lambda: line.statuses("unanswered") == {"RELEASED": ORDERS})
    until(lambda: not line.at_the_end("gateway_results"))  # the gateway has answered already
    assert line.command_states("unanswered") == {"PENDING": ORDERS}
    line.pipeline.start_program("gateway_results")
    until(lambda: line.command_states("unanswered") == {"SETTLED": ORDERS})
    line.assert_sound()


def test_without_the_relay_decisions_go_on_and_are_told_later(line: Line) -> None:
    line.pipeline.stop_program("relay")
    publish(some_orders("untold"), line.settings)
    until(lambda: line.statuses("untold") == {"RELEASED": ORDERS})
    unsent = "SELECT count(*) FROM outbox WHERE sent_at IS NULL AND key LIKE 'untold-%'"
    assert line.ask(unsent) == [3 * ORDERS]  # held, released, the payout
    line.pipeline.start_program("relay")
    until(lambda: line.command_states("untold") == {"SETTLED": ORDERS})
    line.assert_sound()


def test_a_worker_that_is_asked_to_stop_hands_over_at_once(line: Line) -> None:
    """It leaves its group itself: nobody waits for the session to run out."""
    since = line.epochs("shipments")
    line.pipeline.workers("shipments", 2)
    until(lambda: line.members("shipments") == 2 and line.taken_over("shipments", since))
    publish(some_orders("handed"), line.settings)
    since = line.epochs("shipments")
    line.pipeline.stop_program("shipments-2")
    seconds = until(lambda: line.taken_over("shipments", since))
    assert seconds < HANDOVER_SECONDS, f"{seconds:.1f} s without a reader"
    assert line.members("shipments") == 1
    line.pipeline.wait_idle()
    assert line.statuses("handed") == {"RELEASED": ORDERS}


def test_two_and_three_workers_share_a_stage_while_records_flow(line: Line) -> None:
    count = 1_500
    sender = threading.Thread(target=publish, args=(some_orders("shared", count), line.settings))
    sender.start()
    for workers in (2, 3, 1, 2):
        since = line.epochs("payments")
        line.pipeline.workers("payments", workers)
        until(lambda: line.taken_over("payments", since))  # noqa: B023 -- called in this round
        until(lambda: line.members("payments") == workers)  # noqa: B023
    sender.join()
    line.pipeline.wait_idle(90)
    assert line.statuses("shared") == {"RELEASED": count}
    assert line.command_states("shared") == {"SETTLED": count}
    for name in ("payments", "payments-2", "payments-3"):
        log = (line.pipeline.log_dir / f"{name}.log").read_text()
        assert "reading" in log, f"{name} never had a partition"
    line.assert_sound()


def test_a_worker_that_is_killed_is_replaced_by_its_neighbour(line: Line) -> None:
    """Nobody says goodbye: the group notices once the session has run out."""
    line.pipeline.workers("refund_requests", 2)
    until(lambda: line.members("refund_requests") == 2)
    since = line.epochs("refund_requests")
    line.pipeline.kill("refund_requests", stays_down=True)
    publish(some_orders("orphaned"), line.settings)
    until(lambda: line.taken_over("refund_requests", since))
    until(lambda: line.command_states("orphaned") == {"SETTLED": ORDERS})
    assert line.statuses("orphaned") == {"RELEASED": ORDERS}
    line.assert_sound()
