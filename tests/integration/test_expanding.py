"""Two versions work on one database: a migration takes nothing away from the version before it.

The order of a release is: migrate, then replace processes one by one. So the older version works on
the newer schema for a while, with statements that know nothing of what was added.
"""

from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import text

from consumers.engine.config import load_settings
from ops.audit import run_audit
from storage.migrate import config, upgrade
from tests.integration.filled import Filler
from tests.integration.small_world import a_small_world, said
from tests.integration.test_migrations import Database, empty_database, guards, schema, with_engine

__all__ = ["empty_database"]
# A revision that takes something away, and the release before it that no longer used it.
CONTRACTS: dict[str, str] = {}
_SCRIPTS = ScriptDirectory.from_config(config(""))
PAIRS = [
    (revision.down_revision, revision.revision)
    for revision in _SCRIPTS.walk_revisions()
    if isinstance(revision.down_revision, str)
]
NEW_COLUMNS = """
SELECT c.relname, a.attname, a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""


def columns(url: str) -> dict[tuple[str, str], bool]:
    """(table, column) → must a statement that inserts name it."""
    with with_engine(url).connect() as connection:
        return {(row[0], row[1]): row[2] for row in connection.execute(text(NEW_COLUMNS))}


def tables_of(found: dict[tuple[str, str], bool]) -> set[str]:
    return {table for table, _ in found}


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_migration_only_adds_what_an_older_version_need_not_know(
    empty_database: Database, before: str, after: str
) -> None:
    if after in CONTRACTS:
        assert CONTRACTS[after]
        return
    url = empty_database()
    upgrade(url, before)
    old, old_columns, old_guards = schema(url, version_table=False), columns(url), guards(url)
    upgrade(url, after)
    new, new_columns, new_guards = schema(url, version_table=False), columns(url), guards(url)
    taken = {row for row in old - new if row[0] != "storage"}  # how rows lie is nobody's contract
    assert taken == set(), "something was taken away or changed"
    added = new_columns.keys() - old_columns.keys()
    there = tables_of(old_columns)
    must_be_named = {c for c in added if c[0] in there and new_columns[c]}
    assert must_be_named == set(), "an older version's inserts would be refused"
    rules = {row for row in new - old if row[0] == "constraint" and _is_on(row, there)}
    assert rules == set(), "an older version's rows may be refused"
    assert {guard for guard in new_guards - old_guards if guard[0] in there} == set()


def _is_on(row: tuple[Any, ...], tables: set[str]) -> bool:
    """By our naming convention: ck_, pk_ or uq_, then the table. What must not be null is asked of columns."""
    if row[2].startswith("NOT NULL"):
        return False
    name = row[1].partition("_")[2]
    return any(name == table or name.startswith(f"{table}_") for table in tables)


def test_there_is_one_line_of_revisions() -> None:
    assert len(_SCRIPTS.get_heads()) == 1
    assert len(PAIRS) >= 2


def test_rows_of_the_version_before_are_worked_on_after_the_migration(
    empty_database: Database, kafka: str
) -> None:
    url = empty_database()
    settings = load_settings(kafka={"bootstrap_servers": kafka}, database={"url": url})
    Filler(url).records(a_small_world())
    with with_engine(url).connect() as connection:  # what the first version would have left
        made = config(url)
        made.attributes["connection"] = connection
        command.downgrade(made, "0001")
        connection.commit()
    upgrade(url)
    offsets = {"escrow.payments.v1": 100, "escrow.refund-requests.v1": 100}
    with with_engine(url).begin() as connection:
        connection.execute(text("UPDATE consumer_positions SET next_offset = 100"))
    Filler(url, offsets).records(
        [said("payment.captured", "o-new", 50), said("delivery.confirmed", "o-held", 51)]
    )
    found = run_audit(settings, 0).found
    assert {check: number for check, number in found.items() if number and check != "batches"} == {}
