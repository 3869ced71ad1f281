"""Could the tables be spread by order: every key and every statement of the money path, looked at as text."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import Index, PrimaryKeyConstraint, UniqueConstraint
from typer.testing import CliRunner

import storage
from ops.cli.main import app
from storage.distribution import (
    BY_ORDER,
    BY_THEIR_OWN_KEY,
    LOOKS_EVERYWHERE,
    ON_THE_COORDINATOR,
    OPEN,
    ddl,
)
from storage.tables import metadata

# Who works while money moves. All other modules answer people, who may look at all orders.
WORKING = ("decisions", "facts", "lineage", "orders", "outbox", "policies", "positions",
           "dead_letters", "batches", "relaying", "ticking", "totals")  # fmt: skip
_SQL = re.compile(r"\s*\(?\s*(?:WITH|SELECT|INSERT|UPDATE|DELETE)\b")
_ALIAS = r"(?:\s+(?:AS\s+)?(?!(?:SET|WHERE|ON|USING|ORDER|JOIN|LEFT|GROUP|CROSS|FOR|LIMIT)\b)([a-z]\w*))?"
_NAMED = re.compile(rf"\b(FROM|JOIN|UPDATE|USING)\s+({'|'.join(BY_ORDER)})\b{_ALIAS}")
_LOCKS = re.compile(r"FOR (?:NO KEY )?(?:UPDATE|SHARE)\b")


def statements() -> Iterator[tuple[str, str]]:
    """Module and name, and the text, of every statement that one of these modules keeps."""
    assert set(WORKING) <= {module.name for module in pkgutil.iter_modules(storage.__path__)}
    for name in WORKING:
        for constant, value in vars(importlib.import_module(f"storage.{name}")).items():
            texts = {constant: value}
            if isinstance(value, dict):
                texts = {
                    f"{constant}.{key}": part[0] if isinstance(part, tuple) else part
                    for key, part in value.items()
                }
            for key, text in texts.items():
                if isinstance(text, str) and _SQL.match(text):
                    yield f"{name}.{key}", text


def unkeyed(sql: str) -> list[str]:
    """Tables of orders in this statement whose rows are not found by order id alone."""
    found = []
    for _, table, alias in _NAMED.findall(sql):
        name = alias or table
        by_name = re.search(rf"\b{name}\.order_id\s*=|=\s*{name}\.order_id\b", sql)
        alone = re.search(r"(?<![.\w])order_id = (?:ANY\(|%)", sql)
        if not (by_name or alone):
            found.append(table)
    return found


def test_the_statements_of_the_money_path_are_found() -> None:
    there = dict(statements())
    assert len(there) > 40
    assert {"orders._LOCK", "decisions._LEAVE", "orders._NAMED.command"} <= there.keys()
    assert not LOOKS_EVERYWHERE.keys() - there.keys()


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT x FROM escrows WHERE status = 'HELD'", ["escrows"]),
        ("SELECT x FROM unnest(%(a)b) s JOIN parked p ON p.code = s.code", ["parked"]),
        ("DELETE FROM parked p USING unnest(%(a)b) s WHERE p.order_id = s.order_id", []),
        ("UPDATE escrows SET parked = 0 WHERE order_id = ANY(%(ids)b)", []),
    ],
)
def test_the_look_itself(sql: str, found: list[str]) -> None:
    assert unkeyed(sql) == found


def test_stages_and_relay_touch_orders_by_their_ids_alone() -> None:
    everywhere = {name for name, sql in statements() if unkeyed(sql)}
    assert everywhere == LOOKS_EVERYWHERE.keys()


def test_locks_on_rows_of_orders_are_known() -> None:
    """Those that stages and relay wait for: a cluster wants them one shard at a time."""
    waiting = {
        name
        for name, sql in statements()
        if _LOCKS.search(sql) and "SKIP LOCKED" not in sql and _NAMED.search(sql)
    }
    assert waiting == {name for name in OPEN if "." in name}


def test_every_key_of_a_spread_table_holds_the_column_it_is_spread_by() -> None:
    """Else no shard could know that a key is the only one."""
    columns = dict.fromkeys(BY_ORDER, "order_id") | BY_THEIR_OWN_KEY
    for name, column in columns.items():
        table = metadata.tables[name]
        keys = [
            c for c in table.constraints if isinstance(c, PrimaryKeyConstraint | UniqueConstraint)
        ]
        unique: list[PrimaryKeyConstraint | UniqueConstraint | Index] = [*keys]
        unique += [index for index in table.indexes if index.unique]
        assert unique
        for key in unique:
            assert column in [c.name for c in key.columns], f"{name}: {key.name}"


def test_every_table_has_its_place_and_no_two() -> None:
    assert {*BY_ORDER, *BY_THEIR_OWN_KEY, *ON_THE_COORDINATOR} == set(metadata.tables)
    assert len(metadata.tables) == len(BY_ORDER) + len(BY_THEIR_OWN_KEY) + len(ON_THE_COORDINATOR)
    with_orders = {
        name for name, table in metadata.tables.items() if "order_id" in table.primary_key
    }
    beside_the_outbox = {"command_holds", "sending_holds", "sending_grants"}
    assert with_orders - set(BY_ORDER) == beside_the_outbox


def test_the_ddl_spreads_each_table_once_and_puts_the_guards_back() -> None:
    made = list(ddl())
    for name in (*BY_ORDER, *BY_THEIR_OWN_KEY):
        assert sum(f"create_distributed_table('{name}'" in line for line in made) == 1
    dropped = {line.split()[-1] for line in made if line.startswith("DROP TRIGGER")}
    assert dropped == {"facts", "resolutions", "postings"}
    for name in dropped:
        assert any(line.startswith(f"SELECT run_command_on_shards('{name}'") for line in made)


def test_the_command_prints_what_would_be_run_and_what_is_open() -> None:
    answer = CliRunner().invoke(app, ["db", "distribution"])
    assert answer.exit_code == 0
    assert all(f"-- open: {name}: " in answer.stdout for name in OPEN)
    assert all(statement in answer.stdout for statement in ddl())
