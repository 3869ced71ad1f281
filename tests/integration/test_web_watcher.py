"""The console's eyes on a real database: what they see is what is stored, and looking stays cheap."""

from collections.abc import Iterator

import pytest
from sqlalchemy import NullPool, create_engine
from starlette.testclient import TestClient

from consumers.engine.config import Settings, load_settings
from ops.web.app import create_app
from ops.web.verdict import judge
from ops.web.watcher import Watcher
from storage.figures import figures
from storage.reading import snapshot
from storage.totals import Total
from tests.integration.filled import Filler, corrupt
from tests.integration.small_world import a_small_world
from tests.integration.test_statements import counted
from tests.integration.waiting import until


@pytest.fixture
def watcher(database_url: str, settings: Settings) -> Iterator[Watcher]:
    Filler(database_url).records(a_small_world())
    watcher = Watcher(settings)
    yield watcher
    watcher.stop()


def test_it_sees_what_is_stored(watcher: Watcher, settings: Settings) -> None:
    watcher.look_at_books()
    seen = watcher.seen
    assert seen.figures is not None
    assert seen.counts is not None
    assert seen.figures.money == [
        Total("HELD", "EUR", 1, 1000, 1000, 0, 0, 0, 0, 0),
        Total("RELEASED", "EUR", 1, 1000, 0, 0, 1000, 0, 0, 0),
        Total("SPLIT", "EUR", 1, 1000, 0, 300, 700, 0, 0, 0),
    ]
    assert [money.imbalance for money in seen.figures.money] == [0, 0, 0]
    counts = seen.counts.counted
    assert [(held.status, held.age, held.orders, held.held) for held in counts.held] == [
        ("HELD", 0, 1, 1000)
    ]
    assert {(end.status, end.decided_by, end.disputed): end.orders for end in counts.endings} == {
        ("HELD", None, True): 1,
        ("RELEASED", "buyer", False): 1,
        ("SPLIT", "agreement", True): 1,
    }
    with snapshot(settings.database.connection_url) as connection:
        assert counts.rows == figures(connection, seen.figures.rules_now)  # what gauges show
    assert counts.rows.dead_letters.keys() == {"invalid_data"}
    assert counts.silent == 0


def test_the_cheap_look_costs_the_same_few_statements_whatever_is_stored(
    watcher: Watcher, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher.look_at_books()

    def statements() -> int:
        with counted(monkeypatch) as seen:
            watcher.look_at_books()
        return len(seen)

    few = statements()
    assert few <= 5
    corrupt(
        database_url,
        "INSERT INTO escrows (order_id, status, currency, captured_minor, held_minor, payment_id)"
        " SELECT 'x' || n, 'HELD', 'EUR', 1, 1, 'p' || n FROM generate_series(1, 20000) n",
    )
    assert statements() == few


def test_a_count_is_not_made_again_at_once(
    watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher.look_at_books()
    counts = watcher.seen.counts
    watcher.look_at_books()
    assert watcher.seen.counts is counts


def test_a_database_that_is_away_is_said_and_comes_back(
    watcher: Watcher, database_url: str, settings: Settings
) -> None:
    name = database_url.rpartition("/")[2]
    server = create_engine(
        database_url.replace(name, "postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool
    )

    def sql(statement: str) -> None:
        with server.connect() as connection:
            connection.exec_driver_sql(statement)

    client = TestClient(create_app(settings, watcher), base_url="http://127.0.0.1")
    watcher.start()
    until(lambda: watcher.seen.counts is not None)
    sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    until(lambda: "books" in watcher.seen.troubles)
    page = client.get("/").text
    assert "escrow doctor" in page  # whatever else is wrong with the topics of this session
    assert judge(watcher.seen).level in ("unknown", "bad")
    assert "10.00" in page  # what was seen last stays
    sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    until(lambda: not watcher.seen.troubles)
    assert "escrow doctor" not in client.get("/").text


def test_without_servers_it_says_so_and_lives() -> None:
    nowhere = load_settings(
        kafka={"bootstrap_servers": "127.0.0.1:1"},
        database={"url": "postgresql+psycopg://escrow:secret@127.0.0.1:1/escrow"},
    )
    watcher = Watcher(nowhere)
    watcher.start()
    until(lambda: len(watcher.seen.troubles) == 2)
    page = TestClient(create_app(nowhere, watcher), base_url="http://127.0.0.1").get("/").text
    watcher.stop()
    assert "the database does not answer" in page
    assert "secret" not in page
