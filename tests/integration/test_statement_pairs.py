"""Two batches on real PostgreSQL, one held before each of its statements while the other one is held before
each of its own: whoever goes first, all ends as if one had come after the other.

In-process fakes cannot show what a lock of the server really does; this does.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

import storage.rows
from consumers.engine import batch
from consumers.engine.batch import Job
from consumers.engine.processing import Processor
from consumers.engine.records import Chunk
from schemas.door import Record
from storage.engine import stage_engine
from storage.positions import take_epoch
from tests.integration.test_races import ask, captured, confirmed, lost
from tests.simulation.ports import storage_modules

WAIT_SECONDS = 30.0
STEPS = 20  # no batch of one record has as many statements
SHARE = 0.3  # of the pairs, drawn anew in each run; the locks that matter are met in all of them
CLUSTER = "test-cluster"
Pair = Callable[[str], tuple[Record, Record]]


class Held(threading.local):
    """Which hand the present thread is, if any."""

    hand: "Hand | None" = None


HELD = Held()


class Hand:
    """One stage's worker in a thread of its own, held before the statement of a number."""

    def __init__(self, url: str, stage: str) -> None:
        self.stage = stage
        self.engine = stage_engine(url, name=f"pairs-{stage}")
        self.connection = self.engine.connect()
        raw: Any = self.connection.connection.driver_connection
        self.pid = int(raw.info.backend_pid)
        self.offset = 0
        self.where = ("", 0)
        self._stop_at = self._passed = 0
        self._go, self._arrived = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def start(self, record: Record, stop_at: int) -> None:
        self.where = (record.topic, 0)
        with self.connection.begin():
            position = take_epoch(self.connection, self.stage, record.topic, 0, CLUSTER)
        placed = record._replace(offset=position.next_offset)
        chunk = Chunk([placed], {self.where: position.next_offset + 1})
        self._stop_at, self._passed = stop_at, 0
        self._go.clear()
        self._arrived.clear()
        self._thread = threading.Thread(target=self._work, args=(chunk, position), daemon=True)
        self._thread.start()

    def _work(self, chunk: Chunk, position: Any) -> None:
        HELD.hand = self
        processor = Processor(
            self.connection, Job(self.stage, CLUSTER), {self.where: position}, time.sleep
        )
        try:
            processor.process(chunk)
        except Exception as error:  # noqa: BLE001 -- shown by `end`
            self.error = error

    def pass_by(self) -> None:
        """Before each statement, and before COMMIT."""
        self._passed += 1
        if self._passed == self._stop_at:
            self._arrived.set()
            assert self._go.wait(WAIT_SECONDS)

    def go(self) -> None:
        self._arrived.clear()
        self._go.set()

    def stands(self, watch: Connection) -> bool:
        """Until it is held, has ended, or waits for a lock; True if it waits."""
        until = time.monotonic() + WAIT_SECONDS
        while self._thread.is_alive() and not self._arrived.wait(0.002):
            assert time.monotonic() < until, "it neither goes on nor waits"
            waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = :pid")
            if watch.execute(waits, {"pid": self.pid}).scalar():
                return True
        return False

    def end(self) -> None:
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error


def held(function: Callable[..., Any]) -> Callable[..., Any]:
    def pass_by(*arguments: Any, **named: Any) -> Any:
        if HELD.hand is not None:
            HELD.hand.pass_by()
        return function(*arguments, **named)

    return pass_by


@pytest.fixture
def hands(database_url: str) -> Iterator[tuple[Hand, Hand]]:
    with ExitStack() as stack:
        for module in storage_modules():
            for name in ("fetch", "execute", "copy_rows", "update_rows"):
                if getattr(module, name, None) is getattr(storage.rows, name):
                    stack.enter_context(
                        patch.object(module, name, held(getattr(storage.rows, name)))
                    )

        def before_commit(place: str) -> None:
            if HELD.hand is not None and place == "batch.committing":
                HELD.hand.pass_by()

        stack.enter_context(patch.object(batch, "crash_point", before_commit))
        made = Hand(database_url, "first"), Hand(database_url, "second")
        yield made
        for hand in made:
            hand.connection.close()
            hand.engine.dispose()


@pytest.fixture
def db(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def step_all(
    db: Engine, hands: tuple[Hand, Hand], make: Pair, rng: random.Random
) -> tuple[list[str], int]:
    """Every pair of places, one order name each; returns the names, and how often one waited."""
    first, second = hands
    names: list[str] = []
    waited = 0
    with db.connect().execution_options(isolation_level="AUTOCOMMIT") as watch:
        for i in range(1, STEPS):
            for j in range(1, STEPS):
                if rng.random() > SHARE:
                    continue
                name = f"{make.__name__}-{i}-{j}"
                names.append(name)
                one, two = make(name)
                first.start(one, i)
                first.stands(watch)
                second.start(two, j)
                waited += second.stands(watch)
                first.go()
                first.stands(watch)
                second.go()
                first.end()
                second.end()
                if first._passed < i:
                    break  # it has fewer statements than that
                if second._passed < j:
                    break
            if first._passed < i:
                break
    return names, waited


def capture_and_confirmation(name: str) -> tuple[Record, Record]:
    return captured(name, f"p-{name}", f"c-{name}"), confirmed(name, f"d-{name}")


def confirmation_and_capture(name: str) -> tuple[Record, Record]:
    return confirmed(name, f"d-{name}"), captured(name, f"p-{name}", f"c-{name}")


def one_payment_for_two(name: str) -> tuple[Record, Record]:
    return captured(f"{name}-a", f"p-{name}", f"c1-{name}"), captured(
        f"{name}-b", f"p-{name}", f"c2-{name}"
    )


def one_identity_on_two_topics(name: str) -> tuple[Record, Record]:
    return lost(f"{name}-a", f"i-{name}"), confirmed(f"{name}-b", f"i-{name}")


@pytest.mark.parametrize("make", [capture_and_confirmation, confirmation_and_capture])
def test_an_order_is_released_whoever_comes_first(
    db: Engine, hands: tuple[Hand, Hand], rng: random.Random, make: Pair
) -> None:
    names, waited = step_all(db, hands, make, rng)
    assert len(names) > 20
    assert waited > 0
    count = len(names)
    assert ask(db, "SELECT status, count(*) FROM escrows GROUP BY 1") == [("RELEASED", count)]
    assert ask(db, "SELECT kind, count(*) FROM commands GROUP BY 1") == [("payout", count)]
    assert ask(db, "SELECT count(*) FROM facts") == [2 * count]
    assert ask(db, "SELECT count(*) FROM parked") == [0]
    parked, woken = "outcome = 'parked'", "SELECT order_id FROM resolutions ORDER BY 1"
    assert ask(db, f"SELECT order_id FROM facts WHERE {parked} ORDER BY 1") == ask(db, woken)


def test_a_payment_pays_for_one_order(
    db: Engine, hands: tuple[Hand, Hand], rng: random.Random
) -> None:
    names, waited = step_all(db, hands, one_payment_for_two, rng)
    count = len(names)
    assert waited > 0
    assert ask(db, "SELECT count(*) FROM escrows WHERE status = 'HELD'") == [count]
    assert ask(db, "SELECT count(*) FROM escrows WHERE status IS NULL") == [count]
    assert ask(db, "SELECT count(*) FROM facts WHERE code = 'payment_reused'") == [count]
    assert ask(db, "SELECT count(*) FROM payments") == [count]


def test_an_identity_is_used_once(db: Engine, hands: tuple[Hand, Hand], rng: random.Random) -> None:
    names, waited = step_all(db, hands, one_identity_on_two_topics, rng)
    count = len(names)
    assert waited > 0
    assert ask(db, "SELECT count(*) FROM facts") == [count]
    assert ask(db, "SELECT code, count(*) FROM dead_letters GROUP BY 1") == [("id_conflict", count)]
    assert ask(db, "SELECT count(*) FROM identities") == [count]
