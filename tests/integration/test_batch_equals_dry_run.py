"""The batch, however it is cut, leaves the rows that the dry run says; reading again changes nothing.

Files come from the independent model's generator: friendly and hostile, every code in them.
"""

import random
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from consumers.engine.batch import Job, run_batch
from consumers.engine.records import Chunk
from ops.record_lines import read_records
from ops.simulate import simulate
from schemas.door import Record
from schemas.facts import STAGE_TOPICS
from storage.engine import stage_engine
from storage.positions import take_epoch
from tests.conftest import SEED
from tests.integration.filled import Filler
from tests.integration.small_world import said
from tests.model.generator import CROWD_EVERY, generate

CLUSTER = "test-cluster"
STAGE_OF = {topic: stage for stage, topic in STAGE_TOPICS.items()}
ORDERS_SQL = """
SELECT order_id, status, currency, captured_minor, held_minor, refunded_minor, paid_out_minor,
  charged_back_minor, supplier_debt_minor, loss_minor FROM escrows WHERE status IS NOT NULL
"""
COMMANDS_SQL = """
SELECT order_id, kind, purpose, payment_id, amount_minor, currency, command_id, state
FROM commands ORDER BY order_id, decision_no, n
"""
OUTCOMES_SQL = """
SELECT f.type, f.source, f.id, coalesce(r.outcome, f.outcome) AS outcome,
  CASE WHEN r.outcome IS NOT NULL THEN r.code ELSE coalesce(p.code, f.code) END AS code
FROM facts f
LEFT JOIN resolutions r ON r.order_id = f.order_id AND r.parked_no = f.decision_no
LEFT JOIN parked p ON p.order_id = f.order_id AND p.decision_no = f.decision_no
UNION ALL SELECT 'supplier.reported', source, id, 'applied', NULL FROM supplier_reports
"""
EVERYTHING = (
    "escrows", "facts", "fact_texts", "resolutions", "identities", "parked", "payments",
    "shipments", "offers", "evidence", "chargebacks", "commands", "command_holds", "postings",
    "totals", "total_deltas", "outbox", "dead_letters", "deadlines", "supplier_reports",
)  # fmt: skip


def feed(url: str, records: list[Record], rng: random.Random, batch_max: int) -> None:
    """Decide records in file order; a batch is a run of one topic, of random length."""
    engine = stage_engine(url)
    offsets: Counter[str] = Counter()
    with engine.connect() as connection:
        at = 0
        while at < len(records):
            topic = records[at].topic
            size, end = rng.randint(1, batch_max), at
            while end < len(records) and records[end].topic == topic and end - at < size:
                end += 1
            run = [r._replace(offset=offsets[topic] + n) for n, r in enumerate(records[at:end])]
            with connection.begin():
                position = take_epoch(connection, STAGE_OF[topic], topic, 0, CLUSTER)
            assert position.next_offset == offsets[topic]
            offsets[topic] += len(run)
            job = Job(STAGE_OF[topic], CLUSTER)
            chunk = Chunk(run, {(topic, 0): offsets[topic]})
            run_batch(connection, job, {(topic, 0): position}, chunk)
            at = end
    engine.dispose()


def orders_of(engine: Engine) -> list[dict[str, Any]]:
    """The rows in the form of ORDERS (RULES 5)."""
    with engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.execute(text(ORDERS_SQL))]
        by_order: dict[str, list[dict[str, Any]]] = {row["order_id"]: [] for row in rows}
        for command in connection.execute(text(COMMANDS_SQL)):
            made = dict(command._mapping)
            by_order[made.pop("order_id")].append(made)
    for row in rows:
        row["loss_minor"] = int(row["loss_minor"])
        row["commands"] = by_order[row["order_id"]]
    return sorted(rows, key=lambda row: row["order_id"].encode())


def outcomes_of(engine: Engine) -> Counter[tuple[str, str | None]]:
    """How often each final (outcome, code) stands in the rows; duplicates from the batches."""
    with engine.connect() as connection:
        counted = Counter(
            (row.outcome, row.code)
            for row in connection.execute(text(OUTCOMES_SQL))
            if row.outcome != "dead_letter"  # those stand in their own table
        )
        for code, count in connection.execute(
            text("SELECT code, count(*) FROM dead_letters GROUP BY code")
        ):
            counted["dead_letter", code] += count
        duplicates = connection.execute(text("SELECT sum(duplicate) FROM batches")).scalar()
        if duplicates:
            counted["duplicate", None] = duplicates
    return counted


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    with engine.connect() as connection:
        return {
            name: sorted(
                (tuple(row) for row in connection.execute(text(f"TABLE {name}"))), key=repr
            )
            for name in EVERYTHING
        }


def known(content: bytes) -> list[Record]:
    """The file's records, but for those on topics that no stage reads."""
    return [r for r in read_records(content.split(b"\n")) if r.topic in STAGE_OF]


@pytest.mark.parametrize("batch_max", [1, 7, 500])
@pytest.mark.parametrize("number", range(6))
def test_rows_equal_the_dry_run(database_url: str, number: int, batch_max: int) -> None:
    seed = SEED % 1_000_000 + 10 * number
    content, _ = generate(seed, orders=5, facts_per_order=24, hostility=(number % 3) * 0.3)
    records = known(content)
    feed(database_url, records, random.Random(seed), batch_max)
    lines = [line for line in content.split(b"\n") if line.strip(b" \t\r")]
    kept = [line for line, r in zip(lines, read_records(lines), strict=True) if r.topic in STAGE_OF]
    outcomes, orders = simulate(kept)
    engine = create_engine(database_url)
    assert orders_of(engine) == orders, f"seed {seed}, batches of up to {batch_max}"
    said = Counter((row["outcome"], row["code"]) for row in outcomes)
    assert outcomes_of(engine) == said, f"seed {seed}, batches of up to {batch_max}"
    engine.dispose()


def test_reading_all_again_changes_nothing(database_url: str) -> None:
    seed = SEED % 1_000_000 + 3
    seed += seed % CROWD_EVERY == 0  # what found no room is looked at afresh: decisions/0006
    content, _ = generate(seed, orders=6, facts_per_order=30, hostility=0.4)
    records = known(content)
    feed(database_url, records, random.Random(seed), 50)
    engine = create_engine(database_url)
    before = contents(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE consumer_positions SET next_offset = 0, epoch = epoch + 1"))
    feed(database_url, records, random.Random(seed + 1), 50)
    assert contents(engine) == before, f"seed {seed}"
    engine.dispose()


def test_losses_old_and_new_fit_into_one_batch(database_url: str) -> None:
    """A row without a loss and one that has some must write the same kind of number."""
    orders = ("o-1", "o-2")
    taken = [
        said(
            "payment.charged_back", order_id, 1 + n, chargeback_id=f"cb-{n}",
            payment_id=f"p-{order_id}", amount_minor=1500 * n,
        )
        for order_id in orders
        for n in (1, 2)
    ]  # fmt: skip
    lost = [
        said(
            "payment.chargeback_closed", order_id, 3 + n, chargeback_id=f"cb-{n}", outcome="lost"
        )
        for order_id in orders
        for n in (1, 2)
    ]  # fmt: skip
    filler = Filler(database_url)
    filler.records([said("payment.captured", order_id, 1) for order_id in orders] + taken)
    filler.records(lost[:1])
    filler.records(lost[1:])
    engine = create_engine(database_url)
    losses = {row["order_id"]: row["loss_minor"] for row in orders_of(engine)}
    engine.dispose()
    assert losses == {"o-1": 3500, "o-2": 3500}
