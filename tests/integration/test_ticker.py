"""The ticker on a real Kafka and a real PostgreSQL: its records are read back and decided."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from consumers.engine.admin import apply_topics
from consumers.engine.batch import Ending
from consumers.engine.config import Settings
from consumers.engine.publishing import make_publisher
from consumers.engine.ticker import SOURCE, TOPIC, Ticker, clock_of, run_ticker
from escrow.policy import CURRENT, DAY_MS, HOUR_MS
from escrow.schedule import deadline_id
from schemas.commands import PAYOUT_COMMANDS, command_id
from schemas.door import Record
from schemas.order_events import rfc3339
from storage import ticking, totals
from storage.engine import stage_engine
from storage.migrate import upgrade
from storage.positions import decided_until
from storage.ticking import LOST_AFTER_MS
from tests.builders import T0, a_record, sample
from tests.integration.sending import Stages, ends, ids, rows, run, sent_to

TEN_DAYS = CURRENT.mediation_after_ms
PARK_LIMIT = CURRENT.park_limit_ms
PATIENCE = CURRENT.gateway_patience_ms


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    upgrade(database_url)
    engine = stage_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(kafka: str, database_url: str) -> Settings:
    settings = Settings(kafka={"bootstrap_servers": kafka}, database={"url": database_url})
    apply_topics(settings)
    return settings


class World:
    """One order, the stages that decide about it, a ticker, and what that has sent so far."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine = engine
        self.kafka = settings.kafka.bootstrap_servers
        self.order_id = f"o-{uuid.uuid4().hex[:8]}"
        self.stages = Stages(engine)
        self.publisher = make_publisher(settings)
        self.now: int | None = None  # None: the largest t decided
        self.ticker = Ticker(
            stage_engine(settings.database.connection_url, name="escrow-ticker"),
            self.publisher,
            lambda connection: decided_until(connection) if self.now is None else self.now,
            look_again_seconds=0,
        )
        self._seen = ends(self.kafka, [TOPIC])

    def decide(self, type_name: str, t: int = T0, **data: Any) -> Ending:
        """One fact about the order, under an id of its own."""
        order_id = data.pop("order_id", self.order_id)
        record = a_record(type_name, sample(type_name, order_id, **data), id=uuid.uuid4().hex, t=t)
        (ending,) = self.stages.decide(record)
        return ending

    def disputed(self, t: int = T0, **data: Any) -> "World":
        assert self.decide("payment.captured", t) == ("applied", None)
        assert self.decide("refund.requested", t, **data) == ("applied", None)
        return self

    def at(self, now: int) -> "World":
        self.now = now
        return self

    def ticks(self) -> list[Record]:
        """One turn of the ticker; the records that have come out since the last look."""
        self.ticker.step()
        return self.out()

    def out(self) -> list[Record]:
        since, self._seen = self._seen, ends(self.kafka, [TOPIC])
        return sent_to(self.kafka, [TOPIC], since)

    def mediation_id(self, attempt: int, request_id: str = "r-1", t: int = T0) -> str:
        kind = "mediation_available"
        return deadline_id(self.order_id, kind, t + TEN_DAYS, request_id, attempt)

    def park_id(self, attempt: int, t: int = T0) -> str:
        return deadline_id(self.order_id, "park_limit", t + PARK_LIMIT, "", attempt)

    def told(self, type_name: str) -> int:
        """How many of these the outbox holds."""
        (row,) = rows(self.engine, "SELECT count(*) FROM outbox WHERE type = :t", t=type_name)
        return int(row[0])

    def close(self) -> None:
        self.ticker.close()
        self.ticker._engine.dispose()
        self.publisher.close()


@pytest.fixture
def world(engine: Engine, settings: Settings) -> Iterator[World]:
    world = World(engine, settings)
    yield world
    world.close()


@pytest.fixture
def another(settings: Settings, database_url: str) -> Iterator[Callable[[], Ticker]]:
    made: list[Ticker] = []

    def make() -> Ticker:
        ticker = Ticker(stage_engine(database_url), make_publisher(settings), decided_until)
        made.append(ticker)
        return ticker

    yield make
    for ticker in made:
        ticker.close()
        ticker._engine.dispose()
        ticker._publisher.close()


def test_a_deadline_is_announced_as_a_cloud_event_that_the_stage_takes(world: World) -> None:
    world.disputed()
    due_at = T0 + TEN_DAYS
    assert world.at(due_at - 1).ticks() == []
    (tick,) = world.at(due_at).ticks()
    assert dict(tick.headers) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_id": world.mediation_id(1).encode(),
        "ce_source": SOURCE.encode(),
        "ce_type": b"deadline.reached",
    }
    assert (tick.key, tick.timestamp_ms) == (world.order_id.encode(), due_at)
    assert json.loads(tick.value or b"") == {
        "order_id": world.order_id,
        "deadline_id": world.mediation_id(1),
        "kind": "mediation_available",
        "due_at": rfc3339(due_at),
    }
    assert world.stages.decide(tick) == [("applied", None)]
    assert world.told("mediation.available") == 1
    assert world.ticks() == []


def test_no_deadline_is_ticked_twice_without_a_decision(world: World) -> None:
    world.disputed().at(T0 + TEN_DAYS)
    assert len(world.ticks()) == 1
    assert [world.ticks() for _ in range(3)] == [[]] * 3


def test_an_early_tick_is_sent_again_with_the_next_attempt(world: World) -> None:
    """The broker's clock may be behind the ticker's: the record's own time decides."""
    world.disputed().at(T0 + TEN_DAYS)
    for attempt in (1, 2):
        (early,) = world.ticks()
        assert ids([early]) == [world.mediation_id(attempt)]
        early = early._replace(timestamp_ms=T0 + TEN_DAYS - 1)
        assert world.stages.decide(early) == [("applied", None)]
        assert world.told("mediation.available") == 0
        world.ticker.step()
    (third,) = world.out()
    assert ids([third]) == [world.mediation_id(3)]
    assert world.stages.decide(third) == [("applied", None)]
    assert world.told("mediation.available") == 1
    assert world.ticks() == []
    assert rows(world.engine, "SELECT * FROM deadlines") == []


def test_an_early_tick_decided_before_its_mark_is_sent_again_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.disputed().at(T0 + TEN_DAYS)
    announce = world.ticker.announce

    def decided_at_once(*args: Any) -> Any:
        acked = announce(*args)
        for tick in world.out():
            world.stages.decide(tick._replace(timestamp_ms=T0))
        return acked

    with monkeypatch.context() as patch:
        patch.setattr(world.ticker, "announce", decided_at_once)
        world.ticker.step()
    assert ids(world.ticks()) == [world.mediation_id(2)]


def test_killed_between_send_and_mark_sends_the_same_tick_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.disputed().at(T0 + TEN_DAYS)

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ticking, "mark_ticked", killed)
        with pytest.raises(KeyboardInterrupt):
            world.ticker.step()
    first, second = [*world.out(), *world.ticks()]
    assert ids([first, second]) == [world.mediation_id(1)] * 2
    assert world.stages.decide(first, second) == [("applied", None), ("duplicate", None)]
    assert world.told("mediation.available") == 1


@pytest.mark.parametrize(
    ("end", "data"),
    [
        ("refund.withdrawn", {}),
        ("refund.offer_accepted", {}),
        ("delivery.confirmed", {"withdraws_request_id": "r-1"}),
    ],
)
def test_a_deadline_that_lost_its_sense_vanishes(
    world: World, end: str, data: dict[str, str]
) -> None:
    world.disputed()
    assert world.decide(end, T0 + 1, **data) == ("applied", None)
    assert world.at(T0 + TEN_DAYS).ticks() == []
    assert rows(world.engine, "SELECT * FROM deadlines") == []


def test_a_tick_for_an_order_that_went_to_mediation_meanwhile_says_nothing(world: World) -> None:
    world.disputed().at(T0 + TEN_DAYS)
    (tick,) = world.ticks()
    assert world.decide("mediation.requested", T0 + TEN_DAYS) == ("applied", None)
    assert world.stages.decide(tick) == [("applied", None)]
    assert world.told("mediation.available") == 0
    assert world.ticks() == []


def test_each_new_request_schedules_its_own_deadline_ten_days_after_the_first(
    world: World,
) -> None:
    world.disputed()
    assert world.decide("refund.withdrawn", T0 + 1) == ("applied", None)
    assert world.decide("refund.requested", T0 + 5 * DAY_MS, request_id="r-2") == ("applied", None)
    (tick,) = world.at(T0 + TEN_DAYS).ticks()
    assert ids([tick]) == [world.mediation_id(1, "r-2")]
    assert world.stages.decide(tick) == [("applied", None)]
    assert world.told("mediation.available") == 1


def test_a_tick_that_finds_its_order_frozen_is_sent_again_after_the_chargeback(
    world: World,
) -> None:
    world.disputed()
    assert world.decide("payment.charged_back", T0 + 1) == ("applied", None)
    (tick,) = world.at(T0 + TEN_DAYS).ticks()
    assert world.stages.decide(tick) == [("applied", None)]
    assert [world.ticks() for _ in range(2)] == [[], []], "it waits for the chargeback's end"
    assert world.told("mediation.available") == 0
    closed = T0 + TEN_DAYS + 1
    assert world.decide("payment.chargeback_closed", closed) == ("applied", None)
    world.ticker.step()
    (again,) = [*world.out(), *world.ticks()]
    assert ids([again]) == [world.mediation_id(2)]
    assert world.stages.decide(again) == [("applied", None)]
    assert world.told("mediation.available") == 1


def test_a_tick_that_nobody_decides_for_an_hour_goes_out_again_under_its_id(world: World) -> None:
    world.disputed().at(T0 + TEN_DAYS)
    assert ids(world.ticks()) == [world.mediation_id(1)]
    assert world.at(T0 + TEN_DAYS + LOST_AFTER_MS - 1).ticks() == []
    world.at(T0 + TEN_DAYS + LOST_AFTER_MS)
    assert ids(world.ticks()) == [world.mediation_id(1)]


def test_parked_facts_expire_through_the_park_limit_tick(world: World) -> None:
    for n in range(3):
        assert world.decide("shipment.lost", T0, shipment_id=f"s-{n}")[0] == "parked"
    assert world.decide("delivery.confirmed", T0 + 1)[0] == "parked"
    assert world.ticks() == []
    elsewhere = {"order_id": f"{world.order_id}-x", "payment_id": "p-x"}
    assert world.decide("payment.captured", T0 + PARK_LIMIT, **elsewhere)[0] == "applied"
    (tick,) = world.ticks()
    assert ids([tick]) == [world.park_id(1)], "one for all that expire at one instant"
    assert tick.timestamp_ms == T0 + PARK_LIMIT, "the largest t decided, not the wall clock"
    assert world.stages.decide(tick) == [("applied", None)]
    letters = "SELECT code, type FROM dead_letters ORDER BY type"
    assert rows(world.engine, letters) == [("parked_too_long", "shipment.lost")] * 3
    assert world.told("fact.dead_lettered") == 3
    assert world.ticks() == []
    assert world.decide("payment.captured", T0 + PARK_LIMIT + 1, **elsewhere | {"payment_id": "y"})
    (tick,) = world.ticks()
    assert ids([tick]) == [world.park_id(1, T0 + 1)]
    world.stages.decide(tick)
    assert rows(world.engine, "SELECT * FROM parked") == []


def test_a_fact_that_parks_after_the_tick_of_its_instant_was_decided_gets_the_next_attempt(
    world: World,
) -> None:
    assert world.decide("shipment.lost", T0, shipment_id="s-1")[0] == "parked"
    (tick,) = world.at(T0 + PARK_LIMIT).ticks()
    assert world.stages.decide(tick) == [("applied", None)]
    assert world.decide("shipment.lost", T0, shipment_id="s-2")[0] == "parked"
    (tick,) = world.ticks()
    assert ids([tick]) == [world.park_id(2)]
    assert world.stages.decide(tick) == [("applied", None)]
    assert rows(world.engine, "SELECT * FROM parked") == []


def test_a_parked_ruling_is_never_ticked(world: World) -> None:
    assert world.decide("ruling.issued", T0)[0] == "parked"
    assert world.at(T0 + 10 * PARK_LIMIT).ticks() == []


def test_nothing_happens_before_anything_was_decided(world: World) -> None:
    assert world.ticks() == []
    assert world.ticker.counts == {}


def test_what_the_door_refuses_moves_no_clock(world: World) -> None:
    world.disputed()
    garbage = a_record("shipment.lost", {"order_id": world.order_id}, t=T0 + 2 * TEN_DAYS)
    assert world.stages.decide(garbage) == [("dead_letter", "invalid_data")]
    assert world.ticks() == []


def test_the_clock_is_the_brokers_or_the_facts_never_another(
    engine: Engine, settings: Settings
) -> None:
    local = clock_of(settings)
    stamped = clock_of(settings.model_copy(update={"timestamp_type": "LogAppendTime"}))
    Stages(engine).decide(a_record("payment.captured", t=T0))
    with engine.begin() as connection:
        assert local(connection) == T0
        assert abs(stamped(connection) - time.time() * 1000) < 1_000


class Paid:
    """A released order, whose payout the gateway does not answer."""

    def __init__(self, world: World) -> None:
        assert world.decide("payment.captured") == ("applied", None)
        assert world.decide("delivery.confirmed") == ("applied", None)
        self.command_id = command_id(world.order_id, "payout", 1)
        self._world = world

    def questions(self, now: int) -> list[tuple[int, str]]:
        """Time and topic of all questions so far, after a turn at `now`."""
        self._world.at(now).ticker.step()
        found = rows(
            self._world.engine,
            "SELECT t, topic, payload, key FROM outbox WHERE type = 'command.status_requested'"
            " ORDER BY id",
        )
        for _, _, payload, key in found:
            said = {"command_id": self.command_id, "order_id": self._world.order_id}
            assert json.loads(payload) == said
            assert key == self._world.order_id
        return [(t, topic) for t, topic, _, _ in found]


def test_a_silent_command_is_asked_about_once_in_every_interval_of_patience(world: World) -> None:
    paid = Paid(world)
    first, second = (T0 + PATIENCE, PAYOUT_COMMANDS), (T0 + 2 * PATIENCE + 7, PAYOUT_COMMANDS)
    assert paid.questions(T0 + PATIENCE - 1) == []
    assert paid.questions(T0 + PATIENCE) == [first]
    assert paid.questions(T0 + 2 * PATIENCE - 1) == [first]
    assert paid.questions(T0 + 2 * PATIENCE + 7) == [first, second]
    assert paid.questions(T0 + 2 * PATIENCE + 8) == [first, second]
    sent = rows(world.engine, "SELECT count(DISTINCT sent_id) FROM outbox")
    assert sent == [(5,)], "capture, confirmation, payout, and two questions"
    assert world.ticker.counts["asked"] == 2


def test_a_clock_that_was_ahead_for_a_while_silences_no_question(world: World) -> None:
    paid = Paid(world)
    ahead = T0 + 400 * DAY_MS
    assert len(paid.questions(ahead)) == 1
    assert len(paid.questions(T0 + PATIENCE)) == 1, "as if it was asked about just now"
    assert len(paid.questions(T0 + 2 * PATIENCE - 1)) == 1
    assert len(paid.questions(T0 + 2 * PATIENCE)) == 2


def test_an_accepted_command_can_fall_silent_too_and_a_final_one_cannot(world: World) -> None:
    paid = Paid(world)
    answer = {"command_id": paid.command_id}
    assert world.decide("gateway.accepted", T0 + 1, **answer) == ("applied", None)
    assert len(paid.questions(T0 + PATIENCE)) == 1
    assert world.decide("gateway.settled", T0 + PATIENCE, **answer) == ("applied", None)
    assert len(paid.questions(T0 + HOUR_MS)) == 1


def test_another_attempt_has_its_own_patience(world: World) -> None:
    paid = Paid(world)
    failed_at = T0 + PATIENCE // 2
    answer = {"command_id": paid.command_id, "retryable": True}
    assert world.decide("gateway.failed", failed_at, **answer) == ("applied", None)
    assert paid.questions(failed_at + PATIENCE - 1) == []
    assert len(paid.questions(failed_at + PATIENCE)) == 1


def test_only_one_ticker_is_active_and_the_next_takes_over(
    world: World, another: Callable[[], Ticker]
) -> None:
    world.disputed()
    world.ticker.step()
    second = another()
    assert world.decide("shipment.delivered", T0 + TEN_DAYS) == ("applied", None)
    assert second.step() == 0
    assert not second.is_active
    assert world.out() == []
    world.ticker.close()
    assert second.step() == 1
    assert world.ticker.step() == 0
    assert ids(world.out()) == [world.mediation_id(1)]


def test_totals_are_folded_and_stay_the_same(world: World) -> None:
    world.disputed()
    with world.engine.begin() as connection:
        before = totals.read(connection)
    assert [total["status"] for total in before] == ["DISPUTED"]
    world.ticker.step()
    with world.engine.begin() as connection:
        assert totals.read(connection) == before
    assert rows(world.engine, "SELECT * FROM total_deltas") == []


def test_a_ticker_whose_connection_is_ended_goes_on(
    world: World, engine: Engine, settings: Settings
) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=run_ticker, args=(settings, stop))
    thread.start()
    try:
        world.disputed()
        _until(lambda: rows(engine, "SELECT count(*) FROM total_deltas") == [(0,)])
        run(
            engine,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'escrow-ticker' AND datname = current_database()",
        )
        assert world.decide("shipment.delivered", T0 + TEN_DAYS) == ("applied", None)
        _until(lambda: ids(world.out()) == [world.mediation_id(1)])
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def _until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
