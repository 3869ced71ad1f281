"""The same past, decided again into an empty database: every table equal, every command, nothing sent."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from consumers.engine.config import Settings
from ops.audit import run_audit
from ops.rebuild import CannotRebuild, rebuild
from storage.rebuilding import CARRIED_OVER, MADE
from storage.rows import column_names
from storage.tables import metadata
from tests.builders import T0
from tests.conftest import SEED
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.small_world import HELD, a_small_world, said
from tests.model.generator import generate

# what only relay and ticker write, and sums of deltas: compared in another way, or not made again
ELSEWHERE = {"outbox", "outbox_slices", "total_deltas", "totals"}
SENT = "SELECT topic, key, type, sent_id, t, payload FROM outbox WHERE {where} ORDER BY id"
OF_DECISIONS = (
    "topic <> 'escrow.dead-letters.v1' AND payload NOT LIKE '%\"alarm\":\"id_conflict\"%'"
)


@pytest.fixture
def empty(database_url: str) -> Iterator[str]:
    """A database with nothing in it, not even a table."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    server = create_engine(database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with server.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield server.url.set(database=name).render_as_string(hide_password=False)
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def rows_of(url: str, table: Any) -> list[str]:
    """All rows as text, without what only the ticker knows; recorded numbers as their order."""
    columns = [
        "rank() OVER (ORDER BY seq)" if name == "seq" else f'"{name}"'
        for name in column_names(table)
        if name not in MADE.get(table, ())
    ]
    listed = ", ".join(columns)
    rows = ask(url, f"SELECT r::text FROM (SELECT {listed} FROM {table.name}) r ORDER BY 1")
    return [row[0] for row in rows]


def assert_every_table_equal(source: str, target: str, note: str) -> None:
    tables = {*MADE, *CARRIED_OVER}
    assert {table.name for table in tables} | ELSEWHERE == set(metadata.tables)
    for table in sorted(tables, key=lambda table: table.name):
        assert rows_of(target, table) == rows_of(source, table), f"{table.name}, {note}"
    sent = SENT.format(where=OF_DECISIONS)
    assert ask(target, sent.replace("%", "%%")) == ask(source, sent.replace("%", "%%")), note
    assert ask(target, "SELECT count(*) FROM outbox WHERE sent_at IS NULL") == [(0,)]


def test_the_small_world_comes_out_equal_and_the_audit_of_the_copy_is_clean(
    database_url: str, empty: str, settings: Settings
) -> None:
    Filler(database_url).records(a_small_world())
    rebuilt = rebuild(database_url, empty)
    assert (rebuilt.facts, rebuilt.differing) == (16, [])
    assert rebuilt.unsent > 0
    assert_every_table_equal(database_url, empty, "the small world")
    database = settings.database.model_copy(update={"url": type(settings.database.url)(empty)})
    report = run_audit(settings.model_copy(update={"database": database}), T0)
    assert report.findings == []


@pytest.mark.parametrize("number", range(3))
def test_whatever_came_it_comes_out_equal(
    database_url: str, empty: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.rebuild.FACTS_A_BATCH", 7)
    seed = SEED % 1_000_000 + 10 * number + 3
    content, _ = generate(seed, orders=5, facts_per_order=24, hostility=(number % 3) * 0.3)
    Filler(database_url).lines(content)
    assert rebuild(database_url, empty).differing == [], f"seed {seed}"
    corrupt(database_url, "DELETE FROM escrows WHERE decision_no = 0")  # locked, and nothing more
    assert_every_table_equal(database_url, empty, f"seed {seed}")


def test_forgotten_texts_stay_forgotten(database_url: str, empty: str) -> None:
    Filler(database_url).records(a_small_world())
    corrupt(database_url, "DELETE FROM fact_texts", "UPDATE identities SET salt = NULL")
    assert rebuild(database_url, empty).differing == []


def test_a_copy_goes_on_as_the_original_would(database_url: str, empty: str) -> None:
    world = a_small_world()
    filler = Filler(database_url)
    filler.records(world)
    rebuild(database_url, empty)
    more = [said("delivery.confirmed", HELD, 20)]
    at = {"escrow.refund-requests.v1": filler._offsets["escrow.refund-requests.v1"]}
    for url in (database_url, empty):
        Filler(url, at).records(more)
    rows = f"SELECT * FROM escrows WHERE order_id = '{HELD}'"
    assert ask(empty, rows) == ask(database_url, rows)
    unsent = "SELECT sent_id FROM outbox WHERE sent_at IS NULL AND type = 'order.changed'"
    assert len(ask(empty, unsent)) == 1


def test_a_row_that_facts_do_not_make_is_named(database_url: str, empty: str) -> None:
    Filler(database_url).records(a_small_world())
    corrupt(database_url, "UPDATE commands SET party_id = 'thief' WHERE kind = 'refund'")
    assert rebuild(database_url, empty).differing == ["commands"]


def test_only_into_an_empty_database(database_url: str, empty: str) -> None:
    with pytest.raises(CannotRebuild, match="no facts"):
        rebuild(database_url, empty)
    Filler(database_url).records(a_small_world())
    with pytest.raises(CannotRebuild, match="not empty: batches"):
        rebuild(database_url, database_url)
    corrupt(empty, "CREATE TABLE of_others (n int)")
    with pytest.raises(CannotRebuild, match="of_others"):
        rebuild(database_url, empty)
    corrupt(empty, "DROP TABLE of_others")
    assert rebuild(database_url, empty).differing == []
    with pytest.raises(CannotRebuild, match="not empty"):
        rebuild(database_url, empty)


def test_the_command_says_so_and_asks_first(
    database_url: str, empty: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    Filler(database_url).records(a_small_world())
    escrow = Program(settings, monkeypatch)
    assert "add --yes" in escrow("rebuild", "--into", empty, code=2).stderr
    monkeypatch.setenv("ESCROW_REBUILD_URL", empty)
    result = escrow("rebuild", "--yes")
    assert "16 facts decided again" in result.stdout
    assert "all equal" in result.stdout
    assert "they count as sent" in result.stderr
    assert "not empty" in escrow("rebuild", "--yes", code=2).stderr


def test_a_row_that_was_only_locked_need_not_come_back(database_url: str, empty: str) -> None:
    """Its one fact bore an id that was used before: a dead letter, and nothing of it in the order."""
    used_before = said("payment.captured", "o-other", 1)
    headers = [(n, b"o-1.1" if n == "ce_id" else value) for n, value in used_before.headers]
    Filler(database_url).records(
        [said("payment.captured", "o-1", 1), used_before._replace(headers=headers)]
    )
    assert rebuild(database_url, empty).differing == []
