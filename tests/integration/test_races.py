"""Races between stages on real PostgreSQL, held at the worst moment by a third party's lock.

`Gate` holds a row that a batch needs, so that two batches can be lined up inside each other.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text

from consumers.engine.batch import Fenced, Job, run_batch
from consumers.engine.processing import Processor, Unknown
from consumers.engine.records import Chunk
from schemas.door import Record
from schemas.facts import FACT_TYPES
from storage.engine import stage_engine
from storage.positions import Position, take_epoch
from storage.rows import copy_rows, update_rows
from storage.tables import deadlines

CLUSTER = "test-cluster"
WAIT_SECONDS = 20.0


def record(
    type_name: str, id_: str, value: str, *, key: str, t: int = 1, offset: int = 0
) -> Record:
    headers = (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", id_.encode()),
        ("ce_source", b"/test"),
        ("ce_type", type_name.encode()),
    )
    topic = FACT_TYPES[type_name].topic
    return Record(topic, 0, offset, t, key.encode(), value.encode(), headers)


def captured(order: str, payment: str, id_: str) -> Record:
    value = (
        f'{{"order_id":"{order}","payment_id":"{payment}","buyer_id":"b","supplier_id":"s",'
        '"amount_minor":100,"currency":"EUR","method":"visa","paid_through":"escrow",'
        '"agreement_accepted":true}'
    )
    return record("payment.captured", id_, value, key=order)


def lost(order: str, id_: str) -> Record:
    value = f'{{"order_id":"{order}","shipment_id":"s1"}}'
    return record("shipment.lost", id_, value, key=order)


def confirmed(order: str, id_: str) -> Record:
    return record("delivery.confirmed", id_, f'{{"order_id":"{order}","buyer_id":"b"}}', key=order)


class Worker:
    """One stage's hands: a connection, an epoch, and a thread for one batch."""

    def __init__(self, url: str, stage: str, records: list[Record]) -> None:
        self.engine = stage_engine(url, name=f"race-{stage}")
        self.connection = self.engine.connect()
        self.stage = stage
        topic = records[0].topic
        self.where = (topic, 0)
        with self.connection.begin():
            self.position = take_epoch(self.connection, stage, topic, 0, CLUSTER)
        placed = [
            r._replace(topic=topic, offset=self.position.next_offset + n)
            for n, r in enumerate(records)
        ]
        self.chunk = Chunk(placed, {self.where: placed[-1].offset + 1})
        self.positions: dict[tuple[str, int], Position] = {self.where: self.position}

    def process(self) -> None:
        """As a stage would: every remedy included."""
        job = Job(self.stage, CLUSTER)
        Processor(self.connection, job, self.positions, time.sleep).process(self.chunk)

    def once(self) -> None:
        """One try."""
        run_batch(self.connection, Job(self.stage, CLUSTER), self.positions, self.chunk)

    @property
    def pid(self) -> int:
        return int(self.connection.connection.driver_connection.info.backend_pid)  # type: ignore[union-attr]

    def close(self) -> None:
        self.connection.close()
        self.engine.dispose()


@pytest.fixture
def db(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


Hire = Callable[[str, list[Record]], Worker]


@pytest.fixture
def hire(database_url: str) -> Iterator[Hire]:
    """Makes workers, and sends them home at the end."""
    hired: list[Worker] = []

    def make(stage: str, records: list[Record]) -> Worker:
        hired.append(Worker(database_url, stage, records))
        return hired[-1]

    yield make
    for worker in hired:
        worker.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=10) as made:
        yield made


@contextmanager
def gate(db: Engine, statement: str) -> Iterator[Connection]:
    """Hold what `statement` locks or inserts; let go of it at the end, leaving nothing."""
    with db.connect() as connection:
        connection.execute(text(statement))
        yield connection
        connection.rollback()


def until_waiting(db: Engine, *pids: int) -> None:
    """Until each of these backends waits for a lock."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        with db.begin() as connection:
            waiting = connection.execute(
                text(
                    "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid = ANY(:p)"
                ),
                {"p": list(pids)},
            ).scalar()
        if waiting == len(pids):
            return
        time.sleep(0.01)
    raise TimeoutError(f"{pids} do not wait")


def ask(db: Engine, sql: str) -> list[Any]:
    with db.begin() as connection:
        rows = connection.execute(text(sql)).all()
    return [row[0] if len(row) == 1 else tuple(row) for row in rows]


def test_parking_before_a_capture_that_waits_for_the_lock_is_woken(
    hire: Hire, db: Engine, pool: ThreadPoolExecutor
) -> None:
    """DESIGN 3, step 4: read after the lock is held, or the wake-up is lost."""
    ask(db, "INSERT INTO escrows (order_id) VALUES ('o') RETURNING 1")
    parking = hire("shipments", [lost("o", "l")])
    capturing = hire("payments", [captured("o", "p", "c")])
    with gate(db, "SELECT 1 FROM escrows WHERE order_id = 'o' FOR UPDATE"):
        first = pool.submit(parking.once)
        until_waiting(db, parking.pid)
        second = pool.submit(capturing.once)
        until_waiting(db, parking.pid, capturing.pid)
    first.result(WAIT_SECONDS)
    second.result(WAIT_SECONDS)
    assert ask(db, "SELECT outcome FROM facts ORDER BY decision_no") == ["parked", "applied"]
    assert ask(db, "SELECT outcome FROM resolutions") == ["applied"]
    assert ask(db, "SELECT count(*) FROM parked") == [0]
    assert ask(db, "SELECT state FROM shipments") == ["lost"]


def test_two_captures_of_one_payment_for_two_orders(
    hire: Hire, db: Engine, pool: ThreadPoolExecutor
) -> None:
    """The second one has probed before the first committed: it must find out, and be refused."""
    one = hire("payments", [captured("a", "p", "c1")])
    two = hire("payments_too", [captured("b", "p", "c2")])
    identity = "decode(substr(encode(sha256(E'/test\\nc1'), 'hex'), 1, 32), 'hex')"
    hold = f"INSERT INTO identities (identity, digest) VALUES ({identity}, '')"
    with gate(db, hold):
        first = pool.submit(one.process)
        until_waiting(db, one.pid)  # it has claimed the payment, and waits at the identities
        second = pool.submit(two.process)
        until_waiting(db, one.pid, two.pid)  # it waits at the payment id
    first.result(WAIT_SECONDS)
    second.result(WAIT_SECONDS)
    assert ask(db, "SELECT order_id FROM payments") == ["a"]
    assert ask(db, "SELECT order_id, status FROM escrows ORDER BY 1") == [
        ("a", "HELD"),
        ("b", None),
    ]
    assert ask(db, "SELECT code FROM facts WHERE order_id = 'b'") == ["payment_reused"]
    assert ask(db, "SELECT count(*) FROM outbox WHERE type = 'alarm.raised'") == [1]


@pytest.mark.parametrize("same", [True, False])
def test_one_identity_on_two_topics_at_once(
    hire: Hire, db: Engine, pool: ThreadPoolExecutor, same: bool
) -> None:
    """Whoever commits first has said it; the other is a duplicate, or a conflict."""
    one = hire("shipments", [lost("a", "i")])
    second_record = lost("a", "i") if same else confirmed("b", "i")
    two = hire("shipments_too" if same else "refund_requests", [second_record])
    hold = (
        "INSERT INTO batches (stage, topic, partition, epoch, first_offset, next_offset, applied,"
        " refused, parked, duplicate, dead_letter)"
        " VALUES ('shipments', 'escrow.shipments.v1', 0, 1, 0, 0, 0, 0, 0, 0, 0)"
    )
    with gate(db, hold):
        first = pool.submit(one.process)
        until_waiting(db, one.pid)  # everything is written but the record of the batch
        second = pool.submit(two.process)
        until_waiting(db, one.pid, two.pid)
    first.result(WAIT_SECONDS)
    second.result(WAIT_SECONDS)
    assert ask(db, "SELECT count(*) FROM facts") == [1]
    letters = ask(db, "SELECT code FROM dead_letters")
    alarms = ask(db, "SELECT count(*) FROM outbox WHERE type = 'alarm.raised'")
    assert (letters, alarms) == (([], [0]) if same else (["id_conflict"], [1]))


def test_two_stages_make_the_same_lock_row(
    hire: Hire, db: Engine, pool: ThreadPoolExecutor
) -> None:
    orders = [f"o{n}" for n in range(300)]
    one = hire("payments", [captured(o, f"p-{o}", f"c-{o}") for o in orders])
    two = hire("shipments", [lost(o, f"l-{o}") for o in reversed(orders)])
    for future in [pool.submit(one.process), pool.submit(two.process)]:
        future.result(WAIT_SECONDS)
    assert ask(db, "SELECT count(*) FROM escrows WHERE status = 'HELD'") == [300]
    assert ask(db, "SELECT count(*) FROM shipments") == [300]
    assert ask(db, "SELECT count(*) FROM parked") == [0]


def test_a_stale_epoch_writes_nothing(hire: Hire, db: Engine) -> None:
    stale = hire("payments", [captured("o", "p", "c")])
    fresh = hire("payments", [captured("o", "p", "c")])
    with pytest.raises(Fenced):
        stale.once()
    assert ask(db, "SELECT count(*) FROM escrows") == [0]
    fresh.once()
    assert ask(db, "SELECT epoch, next_offset FROM consumer_positions") == [(2, 1)]


def test_the_same_batch_a_second_time_is_fenced(hire: Hire, db: Engine) -> None:
    """A COMMIT whose reply was lost, tried again blindly: the position says no."""
    worker = hire("payments", [captured("o", "p", "c")])
    worker.once()
    with pytest.raises(Fenced):
        worker.once()
    assert ask(db, "SELECT count(*) FROM facts") == [1]
    assert ask(db, "SELECT sum(applied + duplicate) FROM batches") == [1]


def test_a_new_epoch_waits_for_the_open_transaction_of_the_old_one(
    hire: Hire, db: Engine, pool: ThreadPoolExecutor
) -> None:
    """What the old worker commits last is seen by the new one: nothing is read twice or skipped."""
    old = hire("payments", [captured("o", "p", "c")])
    hold = (
        "INSERT INTO batches (stage, topic, partition, epoch, first_offset, next_offset, applied,"
        " refused, parked, duplicate, dead_letter)"
        " VALUES ('payments', 'escrow.payments.v1', 0, 1, 0, 0, 0, 0, 0, 0, 0)"
    )
    new = hire("bystander", [captured("x", "y", "z")])

    def take() -> Position:
        with new.connection.begin():
            return take_epoch(new.connection, "payments", "escrow.payments.v1", 0, CLUSTER)

    with gate(db, hold):
        running = pool.submit(old.once)
        until_waiting(db, old.pid)
        taken = pool.submit(take)
        until_waiting(db, old.pid, new.pid)
    running.result(WAIT_SECONDS)
    assert taken.result(WAIT_SECONDS).next_offset == 1


def test_a_backend_that_is_ended_leaves_the_outcome_to_be_looked_up(
    hire: Hire, db: Engine, pool: ThreadPoolExecutor
) -> None:
    worker = hire("payments", [captured("o", "p", "c")])
    hold = (
        "INSERT INTO batches (stage, topic, partition, epoch, first_offset, next_offset, applied,"
        " refused, parked, duplicate, dead_letter)"
        " VALUES ('payments', 'escrow.payments.v1', 0, 1, 0, 0, 0, 0, 0, 0, 0)"
    )
    with gate(db, hold):
        running = pool.submit(worker.process)
        until_waiting(db, worker.pid)
        ask(db, f"SELECT pg_terminate_backend({worker.pid})")
        with pytest.raises(Unknown):
            running.result(WAIT_SECONDS)
    assert ask(db, "SELECT count(*) FROM facts") == [0]
    again = hire("payments", [captured("o", "p", "c")])
    again.process()
    assert ask(db, "SELECT epoch, next_offset FROM consumer_positions") == [(2, 1)]
    assert ask(db, "SELECT count(*) FROM facts") == [1]


def test_eight_writers_on_five_hot_orders(
    hire: Hire, db: Engine, pool: ThreadPoolExecutor, rng: random.Random
) -> None:
    """Whatever deadlocks or waits, each record ends once, and no order is wrong."""
    kinds: list[Callable[[str, str], Record]] = [
        lost,
        confirmed,
        lambda o, i: captured(o, f"p-{i}", i),
    ]
    stages = {lost: "shipments", confirmed: "refund_requests", kinds[2]: "payments"}
    jobs = []
    for writer in range(8):
        make = kinds[writer % 3]
        for batch in range(12):
            records = [make(f"hot-{rng.randrange(5)}", f"w{writer}-{batch}-{n}") for n in range(40)]
            jobs.append((f"{stages[make]}-{writer}", records))
    by_stage: dict[str, list[list[Record]]] = {}
    for stage, records in jobs:
        by_stage.setdefault(stage, []).append(records)

    def work(stage: str) -> None:
        for records in by_stage[stage]:
            hire(stage, records).process()

    for future in [pool.submit(work, stage) for stage in by_stage]:
        future.result(90)
    assert ask(db, "SELECT count(*) FROM facts") == [8 * 12 * 40]
    assert ask(db, "SELECT sum(applied + refused + parked) FROM batches") == [8 * 12 * 40]
    assert set(ask(db, "SELECT status FROM escrows")) <= {"HELD", "RELEASED"}
    assert ask(db, "SELECT count(*) FROM parked") == [0]
    numbers = "SELECT order_id FROM facts GROUP BY 1 HAVING count(*) <> count(DISTINCT decision_no)"
    assert ask(db, numbers) == []


def test_an_update_over_arrays_passes_over_no_row_that_another_has_just_changed(
    database_url: str,
) -> None:
    """PostgreSQL 18.1 did: a stage met it when the ticker had asked about its commands."""
    engine, other = create_engine(database_url), create_engine(database_url)
    rows = [(f"o-{n:03}", f"r-{n}", 1) for n in range(250)]
    with engine.begin() as connection:
        copy_rows(connection, deadlines, ("order_id", "request_id", "due_at"), rows)

    stage = stage_engine(database_url)
    pids: list[int] = []

    def update() -> None:
        changed = [(*row[:2], 2) for row in rows]
        with stage.begin() as connection:
            pids.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
            update_rows(connection, deadlines, ("order_id", "request_id", "due_at"), changed)

    with ThreadPoolExecutor(1) as pool, other.connect() as ticker:
        ticker.execute(text("UPDATE deadlines SET ticks = 1 WHERE order_id < 'o-101'"))
        updating = pool.submit(update)
        while not pids:
            time.sleep(0.01)
        until_waiting(engine, *pids)
        ticker.commit()
        updating.result(WAIT_SECONDS)
    with engine.connect() as connection:
        sums = connection.execute(text("SELECT sum(due_at), sum(ticks) FROM deadlines")).one()
    assert tuple(sums) == (500, 101)
    for used in (engine, other, stage):
        used.dispose()
