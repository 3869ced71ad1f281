"""`escrow positions`: where stages read on, and moving that, with a running worker that must follow."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kafka import TopicPartition
from sqlalchemy import Engine, create_engine, text

from consumers.engine.admin import apply_topics, spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import cluster_id_of, make_admin
from consumers.engine.worker import run_stage
from consumers.stages import STAGES
from ops.local.traffic import publish
from schemas.facts import INPUT_TOPICS, STAGE_TOPICS
from storage.positions import Move, put, take_epoch
from tests.builders import a_record, sample
from tests.integration.program import Program
from tests.integration.waiting import until

STAGE = "supplier_reports"
TOPIC = STAGE_TOPICS[STAGE]
WHY = ("--operator", "op-7", "--reason", "restored from a copy", "--yes")


@pytest.fixture
def db(settings: Settings) -> Iterator[Engine]:
    """All positions at the ends of the logs: what was there before is not this test's."""
    apply_topics(settings)
    cluster = cluster_id_of(settings)
    stages = {topic: stage for stage, topic in STAGE_TOPICS.items()}
    engine = create_engine(settings.database.connection_url)
    with engine.begin() as connection:
        for where, span in spans(settings, INPUT_TOPICS).items():
            take_epoch(connection, stages[where[0]], *where, cluster, span.end)
    yield engine
    engine.dispose()


@pytest.fixture
def escrow(settings: Settings, db: Engine, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(settings, monkeypatch)


def reports(name: str, count: int) -> list[Any]:
    """All in one partition: one supplier's."""
    data = [sample("supplier.reported", report_id=f"{name}-{n}") for n in range(count)]
    return [a_record("supplier.reported", fact, id=f"{name}-{n}") for n, fact in enumerate(data)]


def ask(db: Engine, sql: str) -> list[Any]:
    with db.begin() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def busiest(escrow: Program, code: int = 0) -> dict[str, Any]:
    """The partition that the one supplier's reports are in."""
    found = escrow.json("positions", "show", "--stage", STAGE, code=code)["positions"]
    row: dict[str, Any] = max(found, key=lambda row: row["log_end"])
    return row


def put_there(escrow: Program, row: dict[str, Any], offset: int, *more: str, code: int = 0) -> str:
    where = ("--stage", STAGE, "--topic", TOPIC, "--partition", str(row["partition"]))
    result = escrow("positions", "set", *where, "--offset", str(offset), *(more or WHY), code=code)
    return " ".join(result.stderr.split())


def test_every_stage_and_partition_is_shown(escrow: Program, settings: Settings) -> None:
    found = escrow.json("positions", "show")
    assert found["cluster_id"] == cluster_id_of(settings)
    logs = spans(settings, INPUT_TOPICS)
    shown = {(row["topic"], row["partition"]): row for row in found["positions"]}
    assert shown.keys() == logs.keys()
    for where, row in shown.items():
        assert (row["log_begin"], row["log_end"]) == logs[where]
        assert (row["next_offset"], row["epoch"], row["trouble"]) == (logs[where].end, 1, None)
    page = escrow("positions", "show", "--stage", STAGE).stdout
    assert TOPIC in page
    assert "payments" not in page
    escrow("positions", "show", "--stage", "refunds", code=2)


def test_nothing_moves_without_a_yes_or_with_a_dry_run(escrow: Program, db: Engine) -> None:
    row = busiest(escrow)
    before = ask(db, "SELECT * FROM consumer_positions ORDER BY 1, 2, 3")
    words = WHY[:-1]
    assert "dry run" in put_there(escrow, row, row["log_begin"], *words, "--dry-run")
    put_there(escrow, row, row["log_begin"], *words, code=2)
    assert ask(db, "SELECT * FROM consumer_positions ORDER BY 1, 2, 3") == before
    assert ask(db, "SELECT * FROM position_moves") == []


def test_only_where_the_log_can_be_read_on(escrow: Program, db: Engine) -> None:
    row = busiest(escrow)
    assert "is not in it" in put_there(escrow, row, row["log_end"] + 1, code=1)
    assert "no such partition" in put_there(escrow, row | {"partition": 99}, 0, code=1)
    assert ask(db, "SELECT * FROM position_moves") == []


def test_a_running_worker_reads_again_from_where_it_is_told(
    escrow: Program, settings: Settings, db: Engine
) -> None:
    stop = threading.Event()
    worker = threading.Thread(target=run_stage, args=(settings, STAGES[STAGE], stop), daemon=True)
    worker.start()
    try:
        publish(reports("again", 20), settings)
        until(lambda: ask(db, "SELECT count(*) FROM supplier_reports") == [(20,)])
        row = busiest(escrow)
        said = put_there(escrow, row, row["next_offset"] - 5)
        assert "5 offsets are read again, their facts are duplicates" in said
        publish(reports("later", 1), settings)
        until(lambda: ask(db, "SELECT sum(duplicate) FROM batches") == [(5,)])
        until(lambda: ask(db, "SELECT count(*) FROM supplier_reports") == [(21,)])
    finally:
        stop.set()
        worker.join(30)
    assert not worker.is_alive()
    end = row["next_offset"]
    moves = "SELECT from_offset, to_offset, operator_id, reason FROM position_moves"
    assert ask(db, moves) == [(end, end - 5, "op-7", "restored from a copy")]
    assert "by op-7: restored from a copy" in escrow("positions", "show").stdout.replace("\n", " ")


def test_the_way_out_once_retention_has_passed_a_stage(
    escrow: Program, settings: Settings, db: Engine
) -> None:
    """As docs/runbook.md says: skip what is gone, by name and with a reason."""
    publish(reports("gone", 10), settings)
    row = busiest(escrow)
    admin = make_admin(settings)
    admin.delete_records({TopicPartition(TOPIC, row["partition"]): row["log_end"] - 3})
    admin.close()
    stuck = busiest(escrow, code=1)
    assert stuck["trouble"] == "retention passed us"
    said = put_there(escrow, stuck, stuck["log_begin"])
    assert f"{stuck['log_begin'] - stuck['next_offset']} offsets are SKIPPED" in said
    assert busiest(escrow)["trouble"] is None
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(run_stage, settings, STAGES[STAGE], stop)
        until(lambda: ask(db, "SELECT count(*) FROM supplier_reports") == [(3,)])
        stop.set()
        working.result(30)


def test_the_way_out_of_another_cluster(escrow: Program, db: Engine) -> None:
    with db.begin() as connection:
        connection.execute(
            text("UPDATE consumer_positions SET cluster_id = 'old', last_offset = 1")
        )
    row = busiest(escrow, code=1)
    assert row["trouble"] == "another cluster"
    put_there(escrow, row, row["log_end"])
    after = busiest(escrow, code=1)  # the other partitions are still the old cluster's
    assert (after["trouble"], after["epoch"]) == (None, row["epoch"] + 1)
    last = f"SELECT last_offset FROM consumer_positions WHERE partition = {row['partition']}"
    assert ask(db, f"{last} AND stage = '{STAGE}'") == [(None,)]


def test_a_position_that_was_never_there_begins_where_the_operator_says(
    escrow: Program, db: Engine
) -> None:
    with db.begin() as connection:
        connection.execute(text(f"DELETE FROM consumer_positions WHERE stage = '{STAGE}'"))
    row = busiest(escrow)
    assert row["next_offset"] is None
    assert "it begins to read at" in put_there(escrow, row, row["log_end"])
    assert busiest(escrow)["next_offset"] == row["log_end"]
    assert ask(db, "SELECT from_offset FROM position_moves") == [(None,)]


def test_a_move_waits_for_the_batch_that_runs(settings: Settings, db: Engine) -> None:
    """Its note then says from where the position really was moved."""
    cluster = cluster_id_of(settings)
    move = Move(STAGE, TOPIC, 0, cluster, 0, "op-7", "why")

    def moved() -> None:
        with db.begin() as connection:
            put(connection, move)

    with ThreadPoolExecutor(1) as pool, db.connect() as batch:
        sql = "UPDATE consumer_positions SET next_offset = 777 WHERE stage = :s AND partition = 0"
        batch.execute(text(sql), {"s": STAGE})
        moving = pool.submit(moved)
        until(lambda: ask(db, "SELECT 1 FROM pg_locks WHERE NOT granted"))
        batch.commit()
        moving.result(30)
    assert ask(db, "SELECT from_offset, to_offset FROM position_moves") == [(777, 0)]
