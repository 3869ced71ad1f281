"""The exported facts, decided again by the dry run, end where the rows are: the same orders and commands."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from consumers.engine.config import Settings
from ops.export import write_export
from ops.record_lines import read_records
from ops.simulate import simulate
from schemas.commands import command_id
from schemas.door import Fact, decode
from storage.engine import driver
from storage.exporting import stream_facts
from storage.reading import snapshot
from tests.builders import T0, a_record, sample
from tests.conftest import SEED
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.small_world import HELD, SPLIT, a_small_world, said
from tests.model.generator import generate

ORDERS_SQL = """
SELECT order_id, status, currency, captured_minor, held_minor, refunded_minor, paid_out_minor,
  charged_back_minor, supplier_debt_minor, loss_minor::text FROM escrows
WHERE status IS NOT NULL ORDER BY order_id
"""
COMMANDS_SQL = "SELECT command_id, state FROM commands ORDER BY order_id, decision_no, n"


def exported(url: str, order_id: str | None = None) -> bytes:
    out = io.StringIO()
    with snapshot(url) as connection:
        write_export(stream_facts(connection, order_id), out)
    return out.getvalue().encode()


def decided_again(content: bytes) -> list[dict[str, Any]]:
    return simulate(content.split(b"\n"))[1]


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(sql))]
    engine.dispose()
    return found


@pytest.mark.parametrize("number", range(4))
def test_the_dry_run_over_the_export_gives_the_rows(database_url: str, number: int) -> None:
    seed = SEED % 1_000_000 + 10 * number + 1
    content, _ = generate(seed, orders=5, facts_per_order=24, hostility=(number % 3) * 0.3)
    Filler(database_url).lines(content)
    orders = decided_again(exported(database_url))
    assert [(*list(order.values())[:9], str(order["loss_minor"])) for order in orders] == rows(
        database_url, ORDERS_SQL
    ), f"seed {seed}"
    assert [
        (command["command_id"], command["state"])
        for order in orders
        for command in order["commands"]
    ] == rows(database_url, COMMANDS_SQL), f"seed {seed}"


def test_every_exported_fact_passes_the_door_with_its_text(database_url: str) -> None:
    longest = "".join(chr(code) for code in range(0x1F300, 0x1F300 + 1998)) + '"\n'
    Filler(database_url).records(
        [
            said("payment.captured", HELD, 1),
            said("refund.requested", HELD, 2, note=longest),
            said("ruling.issued", HELD, 3, rationale="torn \\ and wet\t\n"),
            a_record("supplier.reported", sample("supplier.reported", note="by chat"), t=T0),
        ]
    )
    facts = [decode(record) for record in read_records(exported(database_url).split(b"\n")[:-1])]
    assert all(isinstance(fact, Fact) for fact in facts)
    assert [fact.text for fact in facts if isinstance(fact, Fact)] == [
        None,
        longest,
        "torn \\ and wet\t\n",
        "by chat",
    ]


def test_time_and_extensions_are_exported(database_url: str) -> None:
    record = said("payment.captured", HELD, 1)
    more = [("ce_time", b"2026-01-31T10:00:00Z"), ("ce_traceparent", b"00-1"), ("ce_nul", b"\0")]
    Filler(database_url).records([record._replace(headers=[*record.headers, *more])])
    (line,) = exported(database_url).splitlines()
    headers = json.loads(line)["headers"]
    assert headers["ce_time"] == "2026-01-31T10:00:00Z"
    assert headers["ce_traceparent"] == "00-1"
    assert headers["ce_nul"] == "\0"


def test_a_forgotten_text_stays_forgotten_and_changes_no_order(database_url: str) -> None:
    Filler(database_url).records(a_small_world())
    before = decided_again(exported(database_url))
    corrupt(database_url, "DELETE FROM fact_texts")
    content = exported(database_url)
    assert b"torn" not in content
    assert decided_again(content) == before


def test_the_recorded_order_is_kept_across_topics(database_url: str) -> None:
    """A parcel that came before its payment, and was recorded so, waits in the dry run as well."""
    Filler(database_url).records(
        [said("shipment.lost", HELD, 1), said("payment.captured", HELD, 2)]
    )
    types = [json.loads(line)["headers"]["ce_type"] for line in exported(database_url).splitlines()]
    assert types == ["shipment.lost", "payment.captured"]


def test_one_order_brings_along_what_decided_its_captures(database_url: str) -> None:
    """Its payment id was used by another order first; without that one it would be held."""
    Filler(database_url).records(
        [
            said("payment.captured", "o-first", 1, payment_id="p-1"),
            said("delivery.confirmed", "o-first", 2),
            said("payment.captured", "o-second", 3, payment_id="p-1"),
            said("payment.captured", "o-second", 4, payment_id="p-2"),
            said("payment.captured", "o-third", 5, payment_id="p-3"),
        ]
    )
    everything = {order["order_id"]: order for order in decided_again(exported(database_url))}
    content = exported(database_url, "o-second")
    assert len(content.splitlines()) == 3
    alone = {order["order_id"]: order for order in decided_again(content)}
    assert alone["o-second"] == everything["o-second"]
    assert alone["o-second"]["captured_minor"] == 1000
    assert "o-third" not in alone


def test_facts_are_streamed_by_a_cursor_of_the_server(database_url: str) -> None:
    Filler(database_url).records(said("payment.captured", f"o-{n}", 1) for n in range(10))
    with snapshot(database_url) as connection:
        facts = stream_facts(connection)
        next(facts)
        with driver(connection).cursor() as cursor:
            cursors = cursor.execute("SELECT name FROM pg_cursors").fetchall()
        assert cursors == [("facts_export",)]
        assert sum(1 for _ in facts) == 9


def test_the_program_exports_and_simulates(
    database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Filler(database_url).records(a_small_world())
    escrow = Program(settings, monkeypatch)
    facts, outcomes, orders = (tmp_path / name for name in ("f.jsonl", "out.jsonl", "o.jsonl"))
    assert "16 facts" in escrow("facts", "export", "-o", str(facts)).stderr
    assert escrow("facts", "export").stdout == facts.read_text(encoding="utf-8")
    escrow("simulate", str(facts), "--outcomes", str(outcomes), "--orders", str(orders))
    (split,) = [
        order
        for order in map(json.loads, orders.read_text().splitlines())
        if order["order_id"] == SPLIT
    ]
    assert [command["command_id"] for command in split["commands"]] == [
        command_id(SPLIT, "refund", 1),
        command_id(SPLIT, "payout", 1),
    ]
    assert len(escrow("facts", "export", "--order", SPLIT).stdout.splitlines()) == 4
    assert escrow("facts", "export", "--order", "nobody", code=1).stdout == ""
    assert "cannot write" in escrow("facts", "export", "-o", str(tmp_path), code=2).stderr
