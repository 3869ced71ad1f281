"""Versions of the policy on a real database: who decides by which, from when on, and what if."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.engine.batch import Fenced, Job, run_batch
from consumers.engine.config import Settings
from consumers.engine.records import Chunk
from escrow.policy import CURRENT, DAY_MS, POLICIES, instead, learn
from escrow.policy_text import file_of, written
from escrow.schedule import deadline_id
from ops.audit import run_audit
from ops.rebuild import rebuild
from schemas.facts import PAYMENTS
from schemas.order_events import rfc3339
from storage import ticking
from storage.engine import stage_engine
from storage.positions import take_epoch
from tests.builders import T0, a_record, sample
from tests.integration.filled import CLUSTER, Filler
from tests.integration.program import Program
from tests.integration.small_world import HELD, a_small_world, said
from tests.integration.test_rebuild import empty

__all__ = ["empty"]
SWITCHED = CURRENT._replace(
    version=2,
    effective_at=T0 + 100,
    methods=frozenset({"visa", "ideal"}),
    mediation_after_ms=14 * DAY_MS,
    auto_confirm_after_ms=20 * DAY_MS,
    supplier_silence_ms=5 * DAY_MS,
)
WHY = ("--operator", "op-7", "--reason", "new terms", "--yes")
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def forgotten_afterwards() -> Iterator[None]:
    with instead(tuple(POLICIES.values())):
        yield


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(settings, monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_text(file_of([SWITCHED]), encoding="utf-8")
    return path


def audited(settings: Settings) -> None:
    report = run_audit(settings, 0)
    assert report.clean, report.findings


def ask(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    engine = stage_engine(settings.database.connection_url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]
    finally:
        engine.dispose()


def test_a_version_decides_what_is_held_from_its_instant_on(
    settings: Settings, escrow: Program, file: Path
) -> None:
    filler = Filler(settings.database.connection_url)
    filler.records(a_small_world())
    with instead((CURRENT,)):
        escrow("policy", "apply", str(file), *WHY)
    assert "nothing new" in escrow("policy", "apply", str(file), *WHY).stderr
    filler.records(
        [
            said("payment.captured", "o-early", 99),
            said("payment.captured", "o-late", 100, method="ideal"),
            said("payment.captured", "o-not", 100, method="mastercard"),
            said("refund.requested", "o-late", 101),
        ]
    )
    shown = escrow.json("order", "explain", "o-late")
    assert shown["policy_version"] == 2
    assert "14 d" in shown["policy"]
    page = escrow("order", "explain", "o-late").stdout
    assert "version 2" in page
    assert "14 d after the first request" in " ".join(page.split())
    assert escrow.json("order", "explain", "o-early")["policy_version"] == 1
    assert escrow.json("order", "show", "o-not")["order"]["status"] == "NOT_PROTECTED"
    versions = escrow.json("policy", "show")["policies"]
    assert versions == [written(CURRENT), written(SWITCHED)]
    assert "20 d" in escrow("policy", "show").stdout
    audited(settings)


def test_a_version_that_comes_too_late_or_changes_is_refused(
    settings: Settings, escrow: Program, file: Path
) -> None:
    Filler(settings.database.connection_url).records([said("payment.captured", "o-1", 100)])
    said_no = escrow("policy", "apply", str(file), *WHY, code=2).stderr
    assert "must take effect later" in said_no
    file.write_text(file_of([CURRENT._replace(max_attempts=7)]), encoding="utf-8")
    assert "another content" in escrow("policy", "apply", str(file), *WHY, code=2).stderr
    file.write_text('{"policies": [{"version": 2}]}', encoding="utf-8")
    assert "policies.0.methods" in escrow("policy", "apply", str(file), *WHY, code=2).stderr
    assert ask(settings, "SELECT count(*) FROM policies") == [(0,)]
    assert {1: CURRENT} == POLICIES


def test_no_batch_is_decided_by_a_worker_that_has_not_read_the_new_version(
    settings: Settings, escrow: Program, file: Path
) -> None:
    filler = Filler(settings.database.connection_url)
    filler.records([said("payment.captured", "o-1", 1)])
    engine = stage_engine(settings.database.connection_url)
    with engine.connect() as connection:
        with connection.begin():
            position = take_epoch(connection, "payments", PAYMENTS, 0, CLUSTER)
        escrow("policy", "apply", str(file), *WHY)
        record = said("payment.captured", "o-2", 200)._replace(offset=1)
        chunk = Chunk([record], {(PAYMENTS, 0): 2})
        with pytest.raises(Fenced):
            run_batch(connection, Job("payments", CLUSTER), {(PAYMENTS, 0): position}, chunk)
    engine.dispose()
    assert ask(settings, "SELECT count(*) FROM escrows") == [(1,)]


def tick(filler: Filler, settings: Settings, now: int) -> list[str]:
    """What a ticker would announce at `now`, decided; returns whose deadlines they were."""
    engine = stage_engine(settings.database.connection_url)
    with engine.connect() as connection, connection.begin():
        due = ticking.due(connection, now)
        ticking.mark_ticked(connection, due, now)
    engine.dispose()
    for order_id, kind, due_at in ((d.order_id, d.kind, d.due_at) for d in due):
        id_ = deadline_id(order_id, kind, due_at, "", 1)
        data = sample(
            "deadline.reached", order_id, deadline_id=id_, kind=kind, due_at=rfc3339(due_at)
        )
        filler.records([a_record("deadline.reached", data, id=id_, t=now)])
    return [deadline.order_id for deadline in due]


def test_silences_are_rows_until_they_decide(settings: Settings, empty: str) -> None:
    """Through the batch, the ticker's questions, the audit and the rebuild."""
    learn([SWITCHED])
    filler = Filler(settings.database.connection_url)
    silences = "SELECT order_id, kind, ticked_at IS NOT NULL FROM silences ORDER BY 1"
    late = 100
    filler.records(
        [
            *(said("payment.captured", order, late) for order in ("o-a", "o-b", "o-c", "o-d")),
            said("shipment.delivered", "o-a", late + 1),
            said("shipment.delivered", "o-b", late + 1, shipment_id="sh-1"),
            said("shipment.dispatched", "o-b", late + 2, shipment_id="sh-2"),
            said("refund.requested", "o-c", late + 1, amount_minor=400),
            said("shipment.delivered", "o-d", late + 1),
            said("refund.requested", "o-d", late + 2),
            said("refund.offer_declined", "o-d", late + 3),
        ],
        runs=False,
    )
    assert ask(settings, silences) == [
        ("o-a", "auto_confirm", False),
        ("o-b", "auto_confirm", False),
        ("o-c", "supplier_silence", False),
    ]
    audited(settings)
    assert tick(filler, settings, T0 + 101 + 5 * DAY_MS) == ["o-c"]
    assert sorted(tick(filler, settings, T0 + 101 + 20 * DAY_MS)) == ["o-a", "o-b", "o-d"]
    assert ask(settings, silences) == []
    statuses = "SELECT order_id, status, decided_by FROM escrows ORDER BY 1"
    assert ask(settings, statuses) == [
        ("o-a", "RELEASED", "buyer"),
        ("o-b", "HELD", None),
        ("o-c", "SPLIT", "agreement"),
        ("o-d", "DISPUTED", None),
    ]
    audited(settings)
    with instead((CURRENT, SWITCHED)):
        assert rebuild(settings.database.connection_url, empty).differing == []


def test_a_missing_silence_is_found_by_the_audit(settings: Settings) -> None:
    learn([SWITCHED])
    filler = Filler(settings.database.connection_url)
    filler.records([said("payment.captured", "o-a", 100), said("shipment.delivered", "o-a", 101)])
    engine = stage_engine(settings.database.connection_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM silences")
    engine.dispose()
    assert run_audit(settings, 0).found["rows"] == 1


def test_what_if_nothing_were_different(settings: Settings, escrow: Program, file: Path) -> None:
    Filler(settings.database.connection_url).records(a_small_world())
    same = CURRENT._replace(version=7)
    file.write_text(file_of([same]), encoding="utf-8")
    shown = escrow.json("whatif", "--policy", str(file))
    assert (shown["different"], shown["endings"], shown["statuses"]) == (0, [], [])
    assert shown["money"]["EUR"]["captured"] == {"was": 3000, "would_be": 3000, "difference": 0}
    assert "0 of 3 orders" in escrow("whatif", "--policy", str(file)).stdout


def test_what_if_says_which_orders_and_what_money(
    settings: Settings, escrow: Program, file: Path
) -> None:
    """Ten days became fourteen, mastercard went, and silence would have decided."""
    filler = Filler(settings.database.connection_url)
    later = T0 + 12 * DAY_MS
    filler.records(
        [
            *a_small_world(),
            said("payment.captured", "o-card", 1, method="mastercard"),
            said("payment.captured", "o-ruled", 1),
            said("refund.requested", "o-ruled", 2),
            said("shipment.delivered", HELD, 6),
            a_record(
                "mediation.requested", sample("mediation.requested", "o-ruled"), id="m", t=later
            ),
            a_record("ruling.issued", sample("ruling.issued", "o-ruled"), id="rl", t=later),
            a_record("supplier.reported", id="end", t=T0 + 90 * DAY_MS),
        ]
    )
    before = ask(settings, "SELECT count(*) FROM outbox")
    shown = escrow.json("whatif", "--policy", str(file))
    statuses = {(s["was"], s["would_be"]): s["orders"] for s in shown["statuses"]}
    assert statuses == {
        ("HELD", "NOT_PROTECTED"): 1,
        ("HELD", "RELEASED"): 1,
        ("RELEASED", "REFUNDED"): 1,
    }
    money = {name: of["difference"] for name, of in shown["money"]["EUR"].items()}
    assert money == {
        "captured": -1000, "held": -2000, "refunded": 1000, "paid_out": 0, "charged_back": 0,
        "sent_back": 1000, "debt": 0, "loss": 0,
    }  # fmt: skip
    ruling = {"type": "ruling.issued", "was": ["applied", None], "facts": 1}
    assert ruling | {"would_be": ["refused", "already_settled"]} in shown["endings"]
    page = escrow("whatif", "--policy", str(file), "--examples", "1").stdout
    assert "3 of 5 orders would have ended otherwise" in page
    assert "-20.00 EUR" in page
    # as dated, version 2 came after all captures: nothing would have been different
    assert escrow.json("whatif", "--policy", str(file), "--as-dated")["different"] == 0
    assert ask(settings, "SELECT count(*) FROM outbox") == before
    assert {1: CURRENT} == POLICIES


def test_simulate_takes_versions_of_a_file(escrow: Program, file: Path, tmp_path: Path) -> None:
    records = []
    for record in (
        said("payment.captured", "o-1", 100, method="ideal"),
        said("shipment.delivered", "o-1", 100),
    ):
        headers = {name: (value or b"").decode() for name, value in record.headers}
        line = {"topic": record.topic, "key": "o-1", "timestamp_ms": record.timestamp_ms}
        records.append(line | {"headers": headers, "value": json.loads(record.value or b"")})
    facts, out, orders = (tmp_path / name for name in ("facts", "out", "orders"))
    facts.write_text("".join(json.dumps(record) + "\n" for record in records))
    options = ("--outcomes", str(out), "--orders", str(orders))
    escrow("simulate", str(facts), *options)
    assert json.loads(orders.read_text())["status"] == "NOT_PROTECTED"
    escrow("simulate", str(facts), *options, "--policy", str(file))
    assert json.loads(orders.read_text())["status"] == "HELD"
