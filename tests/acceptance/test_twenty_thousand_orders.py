"""The promise, tried: 20,000 orders with duplicates, disorder and garbage, and processes killed.

Afterwards no fact is unaccounted for, no order is wrong, every command had its effect once, and
nothing waits. The judges are the dry run over the exported facts and the gateway's own log.
"""

import io
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from consumers.engine.admin import spans
from consumers.engine.config import Settings
from ops.audit import run_audit
from ops.export import write_export
from ops.local.gateway.reading import effects
from ops.local.pipeline import Pipeline
from ops.local.traffic import Knobs, planted_code, publish, stories
from ops.simulate import simulate
from schemas.facts import INPUT_TOPICS
from storage.exporting import stream_facts
from storage.reading import snapshot
from tests.conftest import SEED

ORDERS = 20_000
KNOBS = Knobs(duplicates=0.05, conflicts=0.002, garbage=0.02, disorder=0.1, magic=0.02)
ORDERS_SQL = """
SELECT order_id, status, captured_minor, held_minor, refunded_minor, paid_out_minor,
  charged_back_minor, supplier_debt_minor, loss_minor::bigint FROM escrows WHERE status IS NOT NULL
"""
DECIDED_SQL = """
SELECT coalesce(sum(applied + refused + parked + duplicate + dead_letter), 0)::bigint FROM batches
"""


def ask(db: Engine, sql: str) -> list[tuple[Any, ...]]:
    with db.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def exported(settings: Settings) -> list[bytes]:
    """All stored facts in their recorded order, as the dry run reads them."""
    out = io.StringIO()
    with snapshot(settings.database.connection_url) as connection:
        write_export(stream_facts(connection), out)
    return out.getvalue().encode().split(b"\n")


def assert_orders_right(db: Engine, settings: Settings) -> None:
    _, wanted = simulate(exported(settings))
    amounts = ("captured", "held", "refunded", "paid_out", "charged_back", "supplier_debt", "loss")
    fields = ("order_id", "status", *(f"{name}_minor" for name in amounts))
    assert {tuple(row[field] for field in fields) for row in wanted} == set(ask(db, ORDERS_SQL))
    commands = {
        (row["order_id"], c["command_id"], c["kind"], c["amount_minor"], c["state"])
        for row in wanted
        for c in row["commands"]
    }
    rows = ask(db, "SELECT order_id, command_id, kind, amount_minor, state FROM commands")
    assert commands == set(rows)
    assert len(rows) == len(commands)


def assert_each_effect_once(db: Engine, gateway_dir: Path) -> None:
    moved = effects(gateway_dir)
    assert max(Counter(effect.command_id for effect in moved).values()) == 1
    commands = {
        row[0]: row[1:]
        for row in ask(db, "SELECT command_id, order_id, kind, amount_minor, state FROM commands")
    }
    for effect in moved:
        order_id, kind, amount_minor, _ = commands[effect.command_id]
        assert (effect.order_id, effect.kind, effect.amount_minor) == (order_id, kind, amount_minor)
    done = {effect.command_id for effect in moved}
    settled = {id_ for id_, row in commands.items() if row[3] in ("SETTLED", "RETURNED")}
    assert settled == done, "settled without an effect, or an effect that nobody knows of"


@pytest.mark.timeout(420)
def test_nothing_is_lost_and_nothing_is_paid_twice() -> None:
    seed = SEED % 1_000_000
    rng = random.Random(seed)
    records = list(stories(seed, ORDERS, knobs=KNOBS))
    planted = Counter(code for code in map(planted_code, records) if code is not None)
    with Pipeline() as pipeline:
        settings = pipeline.settings
        sender = threading.Thread(target=publish, args=(records, settings), daemon=True)
        sender.start()
        for victim in ("payments", "relay", rng.choice(["shipments", "refund_requests"])):
            time.sleep(rng.uniform(1.0, 3.0))
            pipeline.kill(victim)
        sender.join()
        pipeline.wait_idle(240)

        db = create_engine(settings.database.connection_url)
        ends = spans(settings, INPUT_TOPICS).values()
        assert ask(db, DECIDED_SQL) == [(sum(span.end - span.begin for span in ends),)]
        letters = Counter(dict(ask(db, "SELECT code, count(*) FROM dead_letters GROUP BY 1")))
        assert letters == planted, f"seed {seed}"
        assert_orders_right(db, settings)
        assert_each_effect_once(db, pipeline.gateway_dir)
        report = run_audit(settings, int(time.time() * 1000))
        assert report.clean, report.found
        assert ask(db, "SELECT count(*) FROM outbox WHERE sent_at IS NULL") == [(0,)]
        db.dispose()
