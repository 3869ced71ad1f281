"""The catalogue of roles names tables and columns that are there, and leaves no table without a writer."""

import re

from storage.roles import POLICIES, ROLES
from storage.tables import APPEND_ONLY, metadata

VERB = re.compile(r"(SELECT|INSERT|UPDATE|DELETE)(?: \((.+)\))?")


def test_every_table_and_column_that_is_named_exists() -> None:
    for role in ROLES:
        for name, privileges in role.cells.items():
            if name == "alembic_version":
                assert privileges == ("SELECT",)
                continue
            columns = set(metadata.tables[name].columns.keys())
            for privilege in privileges:
                said = VERB.fullmatch(privilege)
                assert said, f"{role.name}: {privilege}"
                named = {column.strip(' "') for column in (said[2] or "").split(",") if column}
                assert named <= columns, f"{role.name}: {name} {named - columns}"
    assert {policy.table for policy in POLICIES} <= metadata.tables.keys()


def test_every_table_is_written_by_some_program() -> None:
    """A new table needs its cells in storage/roles.py: for who writes it, and for who reads it."""
    written = {
        name
        for role in ROLES
        for name, privileges in role.cells.items()
        if any(privilege.startswith(("INSERT", "UPDATE")) for privilege in privileges)
    }
    assert metadata.tables.keys() - written == set()


def test_nobody_deletes_history_money_or_who_has_said_what() -> None:
    kept = {table.name for table in APPEND_ONLY}
    kept |= {"escrows", "commands", "command_holds", "identities", "payments", "dead_letters"}
    for role in ROLES:
        deletes = {name for name, privileges in role.cells.items() if "DELETE" in privileges}
        assert deletes & kept == set(), role.name
