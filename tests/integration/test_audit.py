"""The audit finds every kind of corruption, and nothing where there is none."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from consumers.engine.config import Settings
from ops.audit import AuditReport, run_audit
from storage.reading import DatabaseTrouble
from tests.builders import T0, a_record, sample
from tests.conftest import SEED
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.small_world import HELD, PARKED, SPLIT, a_small_world, said
from tests.model.generator import CROWD_EVERY, generate

DAY = 86_400_000
OPEN_SNAPSHOTS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
  AND application_name = 'escrow-read' AND xact_start IS NOT NULL
"""


@pytest.fixture
def world(database_url: str) -> str:
    Filler(database_url).records(a_small_world())
    return database_url


@pytest.fixture
def audited(settings: Settings) -> Callable[[], AuditReport]:
    return lambda: run_audit(settings, T0)


def test_a_small_world_is_clean(world: str, audited: Callable[[], AuditReport]) -> None:
    report = audited()
    assert report.findings == []
    assert report.clean
    assert (report.orders, report.facts, report.reports) == (3, 15, 1)
    assert report.statuses == {"HELD": 1, "RELEASED": 1, "SPLIT": 1}
    (euros,) = report.ledgers
    assert (euros.captured, euros.held, euros.refunded, euros.paid_out) == (3000, 1000, 300, 1700)
    assert euros.imbalance == 0


@pytest.mark.parametrize("number", range(6))
def test_whatever_comes_in_the_audit_is_clean(
    database_url: str, audited: Callable[[], AuditReport], number: int
) -> None:
    seed = SEED % 1_000_000 + 10 * number
    content, _ = generate(seed, orders=5, facts_per_order=24, hostility=(number % 3) * 0.3)
    runs = bool(number % 2) or seed % CROWD_EVERY == 0  # a thousand batches take their time
    Filler(database_url).lines(content, runs=runs)
    report = audited()
    assert report.findings == [], f"seed {seed}"


def test_reading_all_again_leaves_the_audit_clean(
    world: str, audited: Callable[[], AuditReport]
) -> None:
    corrupt(world, "UPDATE consumer_positions SET next_offset = 0, epoch = epoch + 1")
    Filler(world).records(a_small_world())
    assert audited().findings == []


@pytest.mark.parametrize(
    "statement", ["DELETE FROM deadlines", "UPDATE deadlines SET due_at = due_at + 1"]
)
def test_a_dispute_must_have_its_deadline_until_it_was_announced(
    database_url: str, audited: Callable[[], AuditReport], statement: str
) -> None:
    disputed = [said("payment.captured", HELD, 1), said("refund.requested", HELD, 2)]
    filler = Filler(database_url)
    filler.records(disputed)
    assert audited().clean
    corrupt(database_url, statement)
    assert [finding.check for finding in audited().findings] == ["rows"]
    filler.records([said("deadline.reached", HELD, 10 * DAY + 2)])
    corrupt(database_url, "DELETE FROM deadlines")
    assert audited().clean


def test_a_row_that_makes_no_sense_is_a_finding_and_the_audit_goes_on(
    world: str, audited: Callable[[], AuditReport]
) -> None:
    filler = Filler(world)
    corrupt(world, "UPDATE consumer_positions SET next_offset = 0, epoch = epoch + 1")
    more = [said("payment.captured", "o-x", 1), said("refund.requested", "o-x", 2)]
    filler.records([*a_small_world(), *more])
    corrupt(world, "UPDATE escrows SET policy_version = 99 WHERE order_id = 'o-x'")
    (finding,) = audited().findings
    assert (finding.check, finding.subject) == ("rows", "o-x")
    assert "policy_version" in finding.text


def test_a_skip_with_an_operators_name_is_told_and_is_no_finding(
    world: str, audited: Callable[[], AuditReport]
) -> None:
    """The same skip without a name is one."""
    moved = (
        "UPDATE consumer_positions SET next_offset = 9, epoch = epoch + 1 WHERE stage = 'payments'"
    )
    corrupt(world, moved)
    filler = Filler(world, {"escrow.payments.v1": 9})
    assert [finding.check for finding in audited().findings] == ["batches"]
    corrupt(
        world,
        "INSERT INTO position_moves"
        " (stage, topic, partition, cluster_id, from_offset, to_offset, operator_id, reason)"
        " VALUES ('payments', 'escrow.payments.v1', 0, 'c', 5, 9, 'op-7', 'the log is gone')",
    )
    for _ in range(2):
        report = audited()
        assert report.findings == []
        assert report.waiting[-2].what == "positions moved ahead by hand"
        filler.records([said("payment.captured", "o-after", 1)])
    corrupt(world, "TRUNCATE position_moves")
    assert [finding.check for finding in audited().findings] == ["batches"]


def test_a_forgotten_note_is_no_finding(world: str, audited: Callable[[], AuditReport]) -> None:
    corrupt(world, "DELETE FROM fact_texts", "UPDATE identities SET salt = NULL")
    assert audited().findings == []


def test_rows_the_relay_has_cleared_away_are_no_finding(
    world: str, audited: Callable[[], AuditReport]
) -> None:
    corrupt(world, "DELETE FROM outbox", "UPDATE batches SET at = now() - interval '8 days'")
    assert audited().findings == []


def test_no_transaction_is_open_between_chunks_and_what_comes_meanwhile_is_no_finding(
    world: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage works on, on the same orders and on new ones, while the audit is under way."""
    monkeypatch.setattr("ops.audit.ORDERS_A_CHUNK", 1)
    filler = Filler(world)
    engine = create_engine(world)
    open_ones: list[int] = []

    def meanwhile(_done: int, _all: int) -> None:
        with engine.connect() as connection:
            open_ones.append(connection.scalar(text(OPEN_SNAPSHOTS)) or 0)
        if len(open_ones) == 1:
            corrupt(world, "UPDATE consumer_positions SET next_offset = 0, epoch = epoch + 1")
            more = [said("delivery.confirmed", HELD, 20), said("payment.captured", "o-new", 20)]
            assert filler.records([*a_small_world(), *more]) == 19

    report = run_audit(settings, T0, meanwhile)
    engine.dispose()
    assert open_ones == [0] * 6
    assert report.findings == []
    assert (report.orders, report.statuses["HELD"]) == (4, 2)


@pytest.mark.parametrize("broken", [False, True])
def test_many_processes_find_what_one_finds(world: str, settings: Settings, broken: bool) -> None:
    if broken:
        corrupt(world, f"UPDATE commands SET state = 'SETTLED' WHERE order_id = '{SPLIT}'")
    one, two = run_audit(settings, T0), run_audit(settings, T0, workers=2)
    assert two.clean is not broken
    assert two._replace(seconds=0.0) == one._replace(seconds=0.0)


def test_a_stage_in_the_middle_of_a_batch_does_not_block_the_audit(
    world: str, audited: Callable[[], AuditReport]
) -> None:
    engine = create_engine(world)
    with engine.connect() as stage, stage.begin():
        stage.execute(text("SELECT * FROM escrows FOR UPDATE"))
        stage.execute(text("SELECT * FROM consumer_positions FOR UPDATE"))
        assert audited().findings == []
    engine.dispose()


def test_what_waits_is_reported_with_its_age(
    world: str, settings: Settings, audited: Callable[[], AuditReport]
) -> None:
    later = a_record("shipment.lost", sample("shipment.lost", "o-late"), id="z", t=T0 + DAY)
    corrupt(world, "UPDATE consumer_positions SET next_offset = 0, epoch = epoch + 1")
    Filler(world).records([*a_small_world(), later])
    report = audited()
    waiting = {waits.what: waits for waits in report.waiting}
    assert report.now == T0 + DAY
    assert waiting["parked: awaiting_payment"].number == 2
    assert waiting["parked: awaiting_payment"].oldest_at == T0 + 2
    assert waiting["parked: awaiting_payment"].oldest_order == PARKED
    assert waiting["parked: awaiting_payment"].ages == (1, 1, 0, 0)
    assert waiting["silent payout commands"].number == 1
    assert waiting["silent refund commands"].oldest_at == T0 + 5
    assert waiting["outbox: not sent yet"].number > 3


def test_what_cannot_be_read_is_unknown_never_clean(settings: Settings, world: str) -> None:
    corrupt(world, "DROP TABLE batches")
    with pytest.raises(DatabaseTrouble, match="escrow migrate"):
        run_audit(settings, T0)


def test_exit_codes_and_json(
    world: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    escrow = Program(settings, monkeypatch)
    page = escrow("audit").stdout
    assert "clean" in page
    assert "captured 30.00 = held 10.00 + refunded 3.00 + paid out 17.00" in page
    assert "orders/s" in page
    assert escrow.json("audit")["verdict"] == "clean"
    corrupt(world, f"UPDATE commands SET state = 'SETTLED' WHERE order_id = '{SPLIT}'")
    page = escrow("audit", code=1).stdout
    assert SPLIT in page
    assert "is SETTLED, results say PENDING" in " ".join(page.split())
    said = escrow.json("audit", code=1)
    assert said["verdict"] == "findings"
    assert said["checks"]["gateway"]["findings"] == 2
    corrupt(world, "DROP TABLE batches")
    assert "unknown" in escrow("audit", code=2).stderr
    assert escrow.json("audit", code=2)["verdict"] == "unknown"


def test_an_audit_that_breaks_is_unknown(
    world: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug of our own")

    monkeypatch.setattr("ops.audit.checks.accounts", broken)
    assert "a bug of our own" in Program(settings, monkeypatch)("audit", code=2).stderr


def test_many_pages_are_one_audit(
    database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.audit.ORDERS_A_CHUNK", 3)
    rng = random.Random(SEED)
    names = rng.sample([f"{a}{b}" for a in "aZ0" for b in "_-.:9x"], 12)
    Filler(database_url).records(said("payment.captured", name, 1) for name in names)
    report = run_audit(settings, T0)
    assert (report.findings, report.orders) == ([], 12)
