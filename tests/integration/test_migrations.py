"""The migrations make exactly the schema of `storage/tables.py`, whoever runs them and how often."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, NullPool, create_engine, text

from consumers.engine.config import load_settings
from storage.migrate import config, current, head, upgrade
from storage.outbox import SLICES
from storage.tables import metadata
from tests.integration.program import Program
from tests.servers import Servers

# Everything that a schema holds, as the server itself writes it down.
SCHEMA = """
SELECT 'column', format('%s.%s', c.relname, a.attname), format('%s %s %s %s %s',
    format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, co.collname,
    pg_get_expr(d.adbin, d.adrelid))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
LEFT JOIN pg_collation co ON co.oid = a.attcollation
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'storage', relname, reloptions::text FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'sequence', sequencename, format('%s %s %s', data_type, increment_by, cache_size)
FROM pg_sequences WHERE schemaname = 'public'
"""
GUARDS = (
    "SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
)
Database = Callable[[], str]


@pytest.fixture
def empty_database(stack: Servers) -> Iterator[Database]:
    """Makes databases without anything in them."""
    made: list[str] = []
    server = create_engine(stack.database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def make() -> str:
        made.append(f"test_{uuid.uuid4().hex}")
        with server.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{made[-1]}" TEMPLATE template0'))
        return server.url.set(database=made[-1]).render_as_string(hide_password=False)

    yield make
    with server.connect() as connection:
        for name in made:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))


def schema(url: str, *, version_table: bool = True) -> set[tuple[Any, ...]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        rows = {tuple(row) for row in connection.execute(text(SCHEMA))}
    return {row for row in rows if version_table or "alembic_version" not in row[1]}


def guards(url: str) -> set[tuple[Any, ...]]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return {tuple(row) for row in connection.execute(text(GUARDS))}


def with_engine(url: str) -> Engine:
    return create_engine(url, poolclass=NullPool)


def test_the_migrations_make_the_schema_of_the_tables(empty_database: Database) -> None:
    """Checked in the server's own words: types, defaults, collations, CHECKs, indexes, fillfactors."""
    migrated, declared = empty_database(), empty_database()
    upgrade(migrated)
    metadata.create_all(with_engine(declared))
    assert schema(migrated, version_table=False) == schema(declared)
    assert len(schema(declared)) > 200, "the question no longer finds the schema"


def test_nothing_is_left_to_generate(database_url: str) -> None:
    with with_engine(database_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_up_down_and_up_again(empty_database: Database) -> None:
    url = empty_database()
    assert upgrade(url) == head()
    first, guarded = schema(url), guards(url)
    assert guarded
    with with_engine(url).connect() as connection:
        made = config(url)
        made.attributes["connection"] = connection
        command.downgrade(made, "base")
        connection.commit()
    assert {row for row in schema(url) if "alembic_version" not in row[1]} == set()
    assert current(url) is None
    assert upgrade(url) == head()
    assert (schema(url), guards(url)) == (first, guarded)


def test_a_second_time_changes_nothing(database_url: str) -> None:
    before = schema(database_url)
    assert upgrade(database_url) == head()
    assert schema(database_url) == before
    engine = with_engine(database_url)
    with engine.connect() as connection:
        slices = connection.execute(text("SELECT slice FROM outbox_slices ORDER BY 1")).scalars()
        assert list(slices) == list(range(SLICES))


def test_four_migrators_at_once(empty_database: Database) -> None:
    """As when all containers start together: one of them does it, the others find it done."""
    url = empty_database()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(upgrade, [url] * 4)) == [head()] * 4
    with with_engine(url).connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM outbox_slices")).scalar() == SLICES
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 1
        locks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert connection.execute(locks).scalar() == 0


def test_a_migration_that_fails_leaves_nothing_and_no_lock(empty_database: Database) -> None:
    url = empty_database()
    engine = with_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE shipments (mine int)"))  # in the way of the first one
    before = schema(url)
    with pytest.raises(Exception, match='relation "shipments" already exists'):
        upgrade(url)
    assert {row for row in schema(url) if "alembic_version" not in row[1]} == before
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE shipments"))
    assert upgrade(url) == head()


def test_escrow_migrate_twice(
    empty_database: Database, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = empty_database()
    settings = load_settings(kafka={"bootstrap_servers": kafka}, database={"url": url})
    escrow = Program(settings, monkeypatch)
    assert f"none -> {head()}" in escrow("migrate", "--dry-run").stderr
    assert current(url) is None
    escrow("migrate", code=2)  # no terminal to ask at, and no --yes
    assert current(url) is None
    assert f"at revision {head()}" in escrow("migrate", "--yes").stderr
    assert f"at revision {head()} already" in escrow("migrate").stderr
