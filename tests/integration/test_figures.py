"""The figures that gauges show are what the rows say, whatever the deltas that are not folded yet."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import pytest
from sqlalchemy import Connection, create_engine, text

from schemas.commands import command_id
from storage import checks, totals
from storage.engine import stage_engine
from storage.figures import Figures, Group, Money, figures
from storage.reading import Reader
from tests.builders import T0
from tests.integration.filled import Filler, corrupt
from tests.integration.small_world import a_small_world, said

NOW: Final = T0 + 60_000


class World:
    def __init__(self, url: str) -> None:
        self.url = url
        self._filler = Filler(url)
        self._reader = Reader(url)

    def records(self, *records: Any) -> None:
        self._filler.records(records)

    def now(self, now: int = NOW) -> Figures:
        with self._reader.snapshot() as connection:
            return figures(connection, now)

    def snapshot(self) -> AbstractContextManager[Connection]:
        return self._reader.snapshot()

    def close(self) -> None:
        self._reader.close()


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


def test_an_empty_line_has_no_figures(world: World) -> None:
    nothing = Group(0, None)
    assert world.now() == Figures({}, {}, {}, {}, {}, {}, 0, nothing, {}, {}, 0)


def test_a_small_world(world: World) -> None:
    world.records(*a_small_world())
    seen = world.now()
    (money,) = seen.money.values()
    engine = create_engine(world.url)
    with engine.connect() as connection:
        sums = connection.execute(
            text(
                "SELECT sum(captured_minor), sum(held_minor), sum(refunded_minor),"
                " sum(paid_out_minor), sum(charged_back_minor), sum(supplier_debt_minor),"
                " sum(loss_minor) FROM escrows"
            )
        ).one()
        unsent = connection.execute(text("SELECT count(*), min(t) FROM outbox")).one()
    engine.dispose()
    assert money == Money(*map(int, sums))
    assert money.imbalance == 0
    assert money.held > 0
    assert seen.orders == {"RELEASED": 1, "SPLIT": 1, "HELD": 1}
    assert seen.commands == {
        ("payout", "SETTLED"): 1,
        ("payout", "PENDING"): 1,
        ("refund", "PENDING"): 1,
    }
    assert seen.open_minor == {("refund", "EUR"): 300, ("payout", "EUR"): money.paid_out - 1_000}
    assert seen.silent == {"refund": Group(1, T0 + 5), "payout": Group(1, T0 + 5)}
    assert seen.unsent == Group(*unsent)
    assert {code: group.number for code, group in seen.dead_letters.items()} == {"invalid_data": 1}
    assert seen.parked == {"awaiting_payment": Group(1, T0 + 2)}
    assert (seen.unresolved, seen.held_back, seen.overdue) == ({}, 0, 0)


def test_folding_changes_no_figure(world: World) -> None:
    world.records(*a_small_world())
    before = world.now()
    engine = stage_engine(world.url)
    with engine.begin() as connection:
        assert totals.fold(connection) > 0
    engine.dispose()
    assert world.now() == before


def test_a_failed_command_is_unresolved_until_it_is_reissued_and_then_held(world: World) -> None:
    order = "o-failed"
    payout = command_id(order, "payout", 1)
    world.records(
        said("payment.captured", order, 1),
        said("delivery.confirmed", order, 2),
        said("gateway.failed", order, 3, command_id=payout),
    )
    assert world.now().unresolved == {"payout": 1}
    assert world.now().silent == {}
    world.records(said("command.reissued", order, 4, command_id=payout))
    assert world.now().unresolved == {}
    assert world.now().silent == {"payout": Group(1, T0 + 4)}
    world.records(said("gateway.settled", order, 5, command_id=payout))
    held = world.now()
    assert (held.held_back, held.silent) == (1, {"payout": Group(0, None)})


def test_a_deadline_is_overdue_once_its_instant_has_passed(world: World) -> None:
    day = 86_400_000
    world.records(said("payment.captured", "o", 1), said("refund.requested", "o", 2))
    assert world.now(T0 + 2 + 10 * day - 1).overdue == 0
    assert world.now(T0 + 2 + 10 * day).overdue == 1


def test_a_cent_that_is_not_accounted_for_is_seen(world: World) -> None:
    world.records(*a_small_world())
    corrupt(world.url, "UPDATE total_deltas SET held = held - 1 WHERE status = 'HELD'")
    (money,) = world.now().money.values()
    assert money.imbalance > 0


def test_money_of_a_status_without_orders_is_seen_as_well(world: World) -> None:
    """It was left out of the sums, and of the audit's."""
    world.records(*a_small_world())
    corrupt(
        world.url,
        "INSERT INTO total_deltas"
        " (status, currency, orders, captured, held, refunded, paid_out, charged_back, debt, loss)"
        " VALUES ('FROZEN', 'EUR', 0, 1, 0, 0, 0, 0, 0, 0)",
    )
    assert world.now().money["EUR"].imbalance == 1
    with world.snapshot() as connection:
        assert checks.wrong_totals(connection) == [("FROZEN EUR", "in the totals only")]
