"""The database's owner puts the catalogue of roles into force: exactly it, in one transaction, as often as wanted.

Run it after each migration, while everything works: what is in force already takes no lock on a table.
"""

from collections.abc import Iterator
from typing import Final

from psycopg import sql
from sqlalchemy import Connection, create_engine

from storage.engine import driver
from storage.migrate import LOCK_KEY
from storage.reading import in_plain_words
from storage.roles import POLICIES, ROLES, Role
from storage.rows import execute, fetch

_MAKE_ROLE: Final = """
DO $$ BEGIN CREATE ROLE {name} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$
"""
# The definition that a policy was made with is kept beside it.
_POLICIES: Final = """
SELECT c.relname::text, p.polname::text, coalesce(obj_description(p.oid, 'pg_policy'), '')
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = 'public'::regnamespace
"""
_GUARDED: Final = """
SELECT relname::text FROM pg_class
WHERE relrowsecurity AND relnamespace = 'public'::regnamespace
"""


def grant(url: str) -> list[str]:
    """Make the roles and give each exactly its cells. Returns what was said. Raises DatabaseTrouble."""
    with in_plain_words():
        engine = create_engine(url, hide_parameters=True)
        try:
            with engine.begin() as connection:
                execute(connection, "SET LOCAL lock_timeout = 5000")
                fetch(connection, "SELECT pg_advisory_xact_lock(%(key)b::int8)", key=LOCK_KEY)
                said = list(statements(connection))
                for statement in said:
                    execute(connection, statement)
                return said
        finally:
            engine.dispose()


def planned(url: str) -> list[str]:
    """What `grant` would say. Raises DatabaseTrouble."""
    with in_plain_words():
        engine = create_engine(url, hide_parameters=True)
        try:
            with engine.begin() as connection:
                return list(statements(connection))
        finally:
            engine.dispose()


def statements(connection: Connection) -> Iterator[str]:
    """Everything, in order. Grants are taken away and given anew; nobody sees the state between."""
    ((database,),) = fetch(connection, "SELECT current_database()::text")
    here = sql.Identifier(database).as_string(driver(connection))
    yield f"REVOKE ALL ON DATABASE {here} FROM PUBLIC"  # no temporary tables either
    yield "REVOKE ALL ON SCHEMA public FROM PUBLIC"
    for role in ROLES:
        yield _MAKE_ROLE.format(name=role.name).strip()
        yield from _given(role, here)
    yield from _policies(connection)


def make_login(url: str, login: str, role: str, password: str) -> None:
    """A user who may do what this role may; known already, it gets this password.

    The server hears no password, only what it needs to check one. Raises DatabaseTrouble.
    """
    with in_plain_words():
        engine = create_engine(url, hide_parameters=True)
        try:
            with engine.begin() as connection:
                raw = driver(connection)
                name = sql.Identifier(login)
                verifier = raw.pgconn.encrypt_password(
                    password.encode(), login.encode(), b"scram-sha-256"
                )
                known = fetch(
                    connection, "SELECT FROM pg_roles WHERE rolname = %(name)b", name=login
                )
                verb = sql.SQL("ALTER" if known else "CREATE")
                raw.execute(
                    sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, name, verifier.decode())
                )
                raw.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
        finally:
            engine.dispose()


def _given(role: Role, database: str) -> Iterator[str]:
    yield f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role.name}"
    yield f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {role.name}"
    yield f"GRANT CONNECT ON DATABASE {database} TO {role.name}"
    yield f"GRANT USAGE ON SCHEMA public TO {role.name}"
    for table, privileges in role.cells.items():
        yield f"GRANT {', '.join(privileges)} ON {table} TO {role.name}"
    if role.draws_numbers:
        yield f"GRANT USAGE ON SEQUENCE fact_seq TO {role.name}"
    yield f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM {role.name}"
    for function in role.calls:
        yield f"GRANT EXECUTE ON FUNCTION {function} TO {role.name}"


def _policies(connection: Connection) -> Iterator[str]:
    """Only what differs: making a policy waits for all who use the table."""
    there = {(table, name): text for table, name, text in fetch(connection, _POLICIES)}
    wanted = {(policy.table, policy.name): policy.sql for policy in POLICIES}
    for (table, name), text in there.items():
        if wanted.get((table, name)) != text:
            yield f"DROP POLICY {name} ON {table}"
    for (table, name), text in wanted.items():
        if there.get((table, name)) != text:
            yield text
            quoted = text.replace("'", "''")
            yield f"COMMENT ON POLICY {name} ON {table} IS '{quoted}'"
    guarded = {table for (table,) in fetch(connection, _GUARDED)}
    for table in sorted({policy.table for policy in POLICIES} - guarded):
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
