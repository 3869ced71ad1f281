"""Each role tries each table and each way to touch it: what the catalogue names is open, all else refused."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from psycopg import Connection, connect
from psycopg.errors import Error, InsufficientPrivilege
from sqlalchemy import create_engine, make_url

from consumers.engine.admin import apply_topics
from consumers.engine.batch import Job, run_batch
from consumers.engine.config import Settings, load_settings
from consumers.engine.publishing import make_publisher
from consumers.engine.records import Chunk
from consumers.engine.relay import Relay
from consumers.engine.safeguards import SendingSettings
from consumers.engine.ticker import Ticker
from escrow.policy import DAY_MS
from ops.archive import archive, move, restore, verify
from ops.audit import run_audit
from ops.lag_watch import LagWatch
from ops.record_lines import read_records
from ops.simulate import simulate
from schemas.facts import PAYMENTS, STAGE_TOPICS
from schemas.instructions import INSTRUCTION_TYPES
from storage import archiving, overview, positions
from storage.dead_letter_reading import letters, record_action
from storage.dossiers import read_order
from storage.engine import stage_engine
from storage.figures import figures
from storage.forgetting import forget
from storage.granting import grant, planned
from storage.migrate import upgrade
from storage.outbox import SLICES
from storage.positions import Move, take_epoch
from storage.reading import DatabaseTrouble, change, snapshot
from storage.roles import POLICIES, ROLES, Role
from storage.tables import APPEND_ONLY, metadata
from tests.builders import T0
from tests.conftest import SEED
from tests.integration.filled import Filler
from tests.integration.program import Program
from tests.integration.roles import logins
from tests.integration.sending import Stages
from tests.integration.small_world import HELD, PARKED, RELEASED, SPLIT, a_small_world, said
from tests.integration.test_batch_equals_dry_run import STAGE_OF, known, orders_of
from tests.integration.test_sending_control import Recorder, instruction
from tests.model.generator import generate

CLUSTER: Final = "test-cluster"
TABLES: Final = (*metadata.tables, "alembic_version")
LATER: Final = T0 + 400 * DAY_MS
BY_PROCESS: Final = {role.process: role for role in ROLES}


@pytest.fixture
def urls(database_url: str) -> Iterator[dict[str, str]]:
    with logins(database_url) as made:
        yield made


def connected(url: str) -> Connection[Any]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return connect(plain, autocommit=True)


def refusal(connection: Connection[Any], statement: str) -> str:
    """How the server says that this user may not; empty where it does not say so."""
    try:
        connection.execute(statement.encode())
    except InsufficientPrivilege as error:
        return str(error)
    except Error:  # the question who may comes before all others
        return ""
    return ""


def refused(connection: Connection[Any], statement: str) -> bool:
    return bool(refusal(connection, statement))


def attempts(table: str, columns: list[str]) -> dict[tuple[str, str], str]:
    """(privilege, column) → a statement that needs just that, and changes nothing."""
    tried = {
        ("INSERT", ""): f"INSERT INTO {table} DEFAULT VALUES",
        ("DELETE", ""): f"DELETE FROM {table} WHERE false",
        ("TRUNCATE", ""): f"TRUNCATE {table}",
    }
    for column in columns:
        tried["SELECT", column] = f'SELECT "{column}" FROM {table} WHERE false'
        tried["UPDATE", column] = f'UPDATE {table} SET "{column}" = DEFAULT WHERE false'
    return tried


def open_cells(role: Role, table: str, columns: list[str]) -> set[tuple[str, str]]:
    """What the catalogue opens, column by column."""
    cells: set[tuple[str, str]] = set()
    for privilege in role.cells.get(table, ()):
        verb, _, listed = privilege.partition(" ")
        named = [name.strip(' "') for name in listed.strip("()").split(",")] if listed else columns
        per_column = verb in ("SELECT", "UPDATE")
        cells |= {(verb, name) for name in named} if per_column else {(verb, "")}
    return cells


def columns_of(connection: Connection[Any]) -> dict[str, list[str]]:
    rows = connection.execute(
        "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
        " WHERE table_schema = 'public' GROUP BY 1"
    )
    return dict(rows.fetchall())


def test_every_role_tries_every_cell(urls: dict[str, str], database_url: str) -> None:
    with connected(database_url) as owner:
        columns = columns_of(owner)
    assert columns.keys() == set(TABLES)
    open_, tried = 0, 0
    for process, role in BY_PROCESS.items():
        with connected(urls[process]) as mine:
            for table in TABLES:
                cells = open_cells(role, table, columns[table])
                for cell, statement in attempts(table, columns[table]).items():
                    closed = f"permission denied for table {table}" in refusal(mine, statement)
                    assert closed == (cell not in cells), (process, table, cell)
                    tried += 1
                open_ += len(cells)
    assert tried > 5_000
    assert 0 < open_ < tried


# What somebody would try who has got hold of a login. Each must fail, whatever the catalogue says.
FORBIDDEN: Final = {
    "payments": (
        "UPDATE facts SET outcome = 'refused'",
        "DELETE FROM postings",
        "SELECT text FROM fact_texts",
        "UPDATE commands SET amount_minor = 1000000",
        "UPDATE commands SET party_id = 'me'",
        "UPDATE escrows SET order_id = 'mine'",
        "DELETE FROM escrows",
        "DELETE FROM identities",
        "DELETE FROM command_holds",
        "DELETE FROM batches",
        "UPDATE outbox SET sent_at = now()",
        "SELECT payload FROM outbox",
        "INSERT INTO position_moves (stage) VALUES ('payments')",
        "SELECT let_facts_go(1)",
    ),
    "supplier_reports": ("SELECT FROM escrows", "INSERT INTO commands DEFAULT VALUES"),
    "relay": (
        "INSERT INTO outbox (slice) VALUES (0)",
        "UPDATE outbox SET payload = '{}'",
        "UPDATE outbox SET topic = 'mine'",
        "DELETE FROM outbox",
        "DELETE FROM command_holds",
        "SELECT held_minor FROM escrows",
        "DELETE FROM sending_pauses",
        "UPDATE sending_holds SET released = true",
        "SELECT note FROM instructions",
    ),
    "operator_actions": ("DELETE FROM sending_holds", "UPDATE instructions SET note = ''"),
    "ticker": ("UPDATE commands SET state = 'SETTLED'", "UPDATE outbox SET payload = '{}'"),
    "metrics": (
        "SELECT payload FROM facts",
        "SELECT payload FROM outbox",
        "SELECT value FROM dead_letters",
        "SELECT buyer_id FROM escrows",
        "SELECT party_id FROM commands",
    ),
    "console": ("UPDATE escrows SET status = 'RELEASED'", "INSERT INTO facts DEFAULT VALUES"),
    "operator": ("DELETE FROM command_holds", "UPDATE position_moves SET reason = ''"),
    "privacy": (
        "SELECT text FROM fact_texts",
        "UPDATE identities SET digest = ''",
        "SELECT held_minor FROM escrows",
        "DELETE FROM erasures",
    ),
    "auditor": (
        "INSERT INTO dead_letter_actions DEFAULT VALUES",
        "SELECT let_facts_go(1)",
    ),
    "archivist": (
        "DELETE FROM facts",
        "UPDATE facts SET outcome = 'refused'",
        "UPDATE archives SET manifest_sha256 = ''",
        "UPDATE escrows SET parked = 0",
        "INSERT INTO identities DEFAULT VALUES",
        "DELETE FROM restorals",
    ),
}
# No one of ours may do these.
NOBODY: Final = (
    "CREATE TABLE mine (n int)",
    "CREATE TEMPORARY TABLE mine (n int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE facts DISABLE TRIGGER append_only",
    "DROP TRIGGER append_only ON facts",
    "ALTER TABLE escrows DISABLE ROW LEVEL SECURITY",
    "DROP POLICY only_locked ON escrows",
    "CREATE INDEX ON facts (id)",
    "DROP TABLE facts",
    "CREATE ROLE mine",
    "SET ROLE escrow",
    "SET session_replication_role = replica",
    "COPY facts TO PROGRAM 'cat'",
    "COPY facts FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')",
    "ALTER SYSTEM SET fsync = off",
    "SELECT pg_switch_wal()",
    "CREATE DATABASE mine",
)


def test_whoever_has_a_login_cannot_do_these(urls: dict[str, str], database_url: str) -> None:
    for process, url in urls.items():
        with connected(url) as mine:
            for statement in (*FORBIDDEN.get(process, ()), *NOBODY):
                assert refused(mine, statement), f"{process}: {statement}"
    with connected(database_url) as owner:  # the same words are not refused for another reason
        assert not any(refused(owner, f"EXPLAIN {said}") for said in FORBIDDEN["relay"])


def test_history_is_closed_twice_by_grant_and_for_the_owner_by_trigger(
    urls: dict[str, str], database_url: str
) -> None:
    history = [table.name for table in APPEND_ONLY]
    assert {"facts", "postings", "batches"} <= set(history)
    for role in ROLES:
        for table in history:
            verbs = {privilege.split(" ")[0] for privilege in role.cells.get(table, ())}
            assert verbs <= {"SELECT", "INSERT"}, f"{role.name} {table}"
    with connected(database_url) as owner:
        for table in history:
            for statement in (
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
                f'UPDATE {table} SET "{columns_of(owner)[table][0]}" = DEFAULT',
            ):
                with pytest.raises(Error, match="append-only"):
                    owner.execute(statement.encode())


def test_a_stage_moves_no_position_but_its_own_and_a_relay_only_locks(
    urls: dict[str, str], database_url: str
) -> None:
    put = (
        "INSERT INTO consumer_positions (stage, topic, partition, cluster_id, epoch, next_offset)"
        " VALUES ('{}', 't', 0, 'c', 1, 5)"
    )
    with connected(urls["payments"]) as mine:
        mine.execute(put.format("payments").encode())
        assert refused(mine, put.format("shipments"))
    with connected(urls["shipments"]) as other:
        moved = other.execute(b"UPDATE consumer_positions SET next_offset = 9")
        assert moved.rowcount == 0
        seen = other.execute("SELECT next_offset FROM consumer_positions").fetchall()
        assert seen == [(5,)]
    with connected(database_url) as owner:
        owner.execute("INSERT INTO escrows (order_id) VALUES ('o-1')")
    with connected(urls["relay"]) as relay:
        locked = relay.execute("SELECT order_id FROM escrows FOR SHARE").fetchall()
        assert locked == [("o-1",)]
        assert refused(relay, "UPDATE escrows SET parked = 7")


def test_every_code_is_decided_by_stages_that_may_do_no_more(
    urls: dict[str, str], database_url: str
) -> None:
    """Files of the independent model, friendly and hostile, each record under its stage's login."""
    seed = SEED % 1_000_000 + 5
    content, _ = generate(seed, orders=5, facts_per_order=24, hostility=0.3)
    engines = {stage: stage_engine(urls[stage]) for stage in STAGE_TOPICS}
    offsets: Counter[str] = Counter()
    for record in known(content):
        stage, where = STAGE_OF[record.topic], (record.topic, 0)
        at = offsets[record.topic]
        offsets[record.topic] += 1
        with engines[stage].connect() as connection:
            with connection.begin():
                position = take_epoch(connection, stage, record.topic, 0, CLUSTER)
            chunk = Chunk([record._replace(partition=0, offset=at)], {where: at + 1})
            run_batch(connection, Job(stage, CLUSTER), {where: position}, chunk)
    for engine in engines.values():
        engine.dispose()
    lines = [line for line in content.split(b"\n") if line.strip(b" \t\r")]
    kept = [line for line, r in zip(lines, read_records(lines), strict=True) if r.topic in STAGE_OF]
    _, orders = simulate(kept)
    owner = create_engine(database_url)
    assert orders_of(owner) == orders, f"seed {seed}"
    owner.dispose()


def as_process(settings: Settings, url: str) -> Settings:
    kafka = {"bootstrap_servers": settings.kafka.bootstrap_servers}
    return load_settings(kafka=kafka, database={"url": url})


def test_relay_and_ticker_work_under_their_logins(
    urls: dict[str, str], database_url: str, settings: Settings
) -> None:
    apply_topics(settings)
    Filler(database_url).records(a_small_world())
    relaying, ticking = stage_engine(urls["relay"]), stage_engine(urls["ticker"])
    with connected(database_url) as owner, closing(make_publisher(settings)) as publisher:
        owner.execute("INSERT INTO command_holds SELECT order_id, command_id, '' FROM commands")
        owner.execute("UPDATE outbox SET let_go = false WHERE command_id IS NOT NULL")
        relay = Relay(relaying, publisher, range(SLICES))
        relay.take()
        relay.keep()
        assert relay.step() > 0
        assert relay.step() == 0  # the rest is on hold
        owner.execute("DELETE FROM command_holds")
        assert relay.step() > 0
        assert not relay.counts["refused"]
        relay.leave()
        ticker = Ticker(ticking, publisher, lambda _connection: LATER, 0, -1)
        ticker.step()
        ticker.step()  # looks again at what it has said
        ticker.close()
        assert {"ticks", "asked", "folded", "purged"} <= (+ticker.counts).keys()
    relaying.dispose()
    ticking.dispose()


def test_people_and_watchers_work_under_their_logins(
    urls: dict[str, str], database_url: str, settings: Settings
) -> None:
    apply_topics(settings)
    Filler(database_url).records(a_small_world())
    assert run_audit(as_process(settings, urls["auditor"]), LATER).clean
    with snapshot(urls["metrics"]) as connection:
        assert figures(connection, LATER).orders
    with closing(LagWatch(as_process(settings, urls["metrics"]))) as watch:
        assert watch.look().partitions
    with snapshot(urls["console"]) as connection:
        assert overview.count(connection, LATER).endings
        assert read_order(connection, SPLIT) is not None
        (letter, *_) = letters(connection, limit=1)
    record_action(urls["console"], letter, action="replayed", operator_id="anna", reason="mended")
    with change(urls["operator"]) as connection:
        positions.put(connection, Move("payments", PAYMENTS, 0, CLUSTER, 0, "anna", "try again"))
    with pytest.raises(DatabaseTrouble, match=r"permission denied.*escrow db roles"):
        record_action(urls["auditor"], letter, action="replayed", operator_id="b", reason="r")


def test_facts_leave_and_come_back_under_a_login_that_can_delete_none(
    urls: dict[str, str], database_url: str, settings: Settings, tmp_path: Path
) -> None:
    Filler(database_url).records(a_small_world())
    told = archiving.Told("anna", "monthly")
    gone, _ = archive(urls["archivist"], tmp_path, LATER, "20260101", told)
    assert (gone.orders, gone.left) == (1, 6)
    assert run_audit(as_process(settings, urls["auditor"]), LATER).clean
    assert verify(urls["auditor"]).wrong == []
    assert restore(urls["archivist"], RELEASED, told) == 6
    assert move(urls["archivist"], tmp_path) == 1
    note = "INSERT INTO archived_orders VALUES ('{}', 1, 9, {})"
    with connected(urls["archivist"]) as mine:  # whoever has stolen it
        for n, order_id in enumerate((HELD, PARKED)):
            mine.execute(note.format(order_id, 7 + n).encode())
            gone_now = mine.execute(f"SELECT let_facts_go({7 + n})".encode()).fetchall()
            assert gone_now == [(0,)], "an order that holds money, or waits for it"
    assert not run_audit(as_process(settings, urls["auditor"]), LATER).clean


def test_instructions_caps_and_erasure_work_under_their_logins(
    urls: dict[str, str], database_url: str
) -> None:
    caps = SendingSettings(operator_controls=True, command_max={"EUR": 1}, hour_max={"EUR": 1})
    deciding = [stage_engine(urls[stage]) for stage in ("payments", "refund_requests")]
    for engine, record in zip(
        deciding,
        (said("payment.captured", "o-1", 1), said("delivery.confirmed", "o-1", 2)),
        strict=True,
    ):
        assert Stages(engine).decide(record) == [("applied", None)]
    telling = stage_engine(urls["operator_actions"])
    told = [instruction(name) for name in INSTRUCTION_TYPES]
    assert Stages(telling, instructions=True).decide(*told) == [("applied", None)] * len(told)
    relaying = stage_engine(urls["relay"])
    relay = Relay(relaying, Recorder(), range(SLICES), sending=caps)
    relay.take()
    while relay.step():
        pass
    with connected(database_url) as owner:
        held = owner.execute("SELECT why FROM sending_holds WHERE NOT released").fetchall()
    assert held == [("command_cap",)]
    assert forget(urls["privacy"], "b-1", "anna", "asked for").orders == 1
    for engine in (*deciding, telling, relaying):
        engine.dispose()


def test_a_second_time_nothing_differs_and_no_table_is_locked(database_url: str) -> None:
    upgrade(database_url)
    grant(database_url)
    again = planned(database_url)
    assert not [said for said in again if "POLICY" in said or "ALTER TABLE" in said]
    with connected(database_url) as owner:  # somebody gives more than the catalogue says
        owner.execute("GRANT DELETE ON facts TO escrow_relay")
        owner.execute("DROP POLICY only_locked ON escrows")
        owner.execute("CREATE POLICY mine ON escrows FOR DELETE USING (true)")
    grant(database_url)
    assert planned(database_url) == again
    with connected(database_url) as owner:
        held = owner.execute("SELECT has_table_privilege('escrow_relay', 'facts', 'DELETE')")
        assert held.fetchone() == (False,)
        rows = owner.execute("SELECT count(*) FROM pg_policy")
        assert rows.fetchone() == (len(POLICIES),)


def test_escrow_db(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    escrow = Program(settings, monkeypatch)
    assert "escrow_relay" in escrow("db", "roles").stdout
    assert "UPDATE (sent_at, let_go)" in escrow("db", "roles", "relay").stdout
    assert {role["role"] for role in escrow.json("db", "roles")} == {role.name for role in ROLES}
    escrow("db", "roles", "nobody", code=1)
    planned_sql = escrow("db", "grant", "--dry-run").stdout
    assert "GRANT SELECT, INSERT ON facts TO escrow_payments;" in planned_sql
    escrow("db", "grant", code=2)  # no terminal to ask at, and no --yes
    assert "done" in escrow("db", "grant", "--yes").stderr
