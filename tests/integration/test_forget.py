"""What a buyer has written is gone after it; every proof is there, and nothing can be guessed back."""

import pytest
from sqlalchemy import Engine, NullPool, create_engine

from consumers.engine.config import Settings
from ops.audit import run_audit
from ops.rebuild import rebuild
from tests.builders import T0, a_record, sample
from tests.integration.filled import Filler
from tests.integration.program import Program
from tests.integration.sending import rows
from tests.integration.small_world import HELD, a_small_world, said
from tests.integration.test_rebuild import empty

__all__ = ["empty"]
FORGET = ("forget", "b-1", "--operator", "anna", "--reason", "request 7")


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Program:
    return Program(settings, monkeypatch)


@pytest.fixture
def db(database_url: str) -> Engine:
    report = sample("supplier.reported", buyer_id="b-1", note="he wanted cash")
    Filler(database_url).records(
        [
            *a_small_world(),
            said("payment.captured", "o-other", 1, buyer_id="b-2"),
            said("refund.requested", "o-other", 2, buyer_id="b-2", note="keep this"),
            a_record("supplier.reported", report, t=T0, id="report-2"),
            said("refund.requested", HELD, 9, amount_minor=0, note="my words"),
        ]
    )
    return create_engine(database_url, poolclass=NullPool)


def test_words_go_and_proofs_stay(
    db: Engine, escrow: Program, settings: Settings, database_url: str, empty: str
) -> None:
    copies = "SELECT count(*) FROM dead_letters WHERE value LIKE '%my words%'"
    chains = "SELECT order_id, chain_head, decision_no FROM escrows ORDER BY order_id"
    before = rows(db, chains)
    assert rows(db, copies) == [(1,)]
    assert "3 orders: 2 texts, 1 reports and 1 copies" in escrow(*FORGET, "--dry-run").stderr
    assert len(rows(db, "SELECT FROM fact_texts")) == 3
    escrow(*FORGET, "--yes")
    assert rows(db, "SELECT order_id, text FROM fact_texts") == [("o-other", "keep this")]
    assert rows(db, "SELECT text FROM supplier_reports WHERE text IS NOT NULL") == []
    assert rows(db, copies) == [(0,)]
    assert rows(db, "SELECT count(*) FROM identities WHERE salt IS NOT NULL") == [(1,)]
    assert rows(db, chains) == before
    assert run_audit(settings, T0).findings == []
    assert rebuild(database_url, empty).differing == []
    ((digest, operator, reason),) = rows(
        db, "SELECT encode(buyer_sha256, 'hex'), operator_id, reason FROM erasures"
    )
    assert (operator, reason) == ("anna", "request 7")
    assert "b-1" not in digest
    assert "nothing to erase" in escrow(*FORGET, "--yes", code=1).stderr


def test_what_he_says_again_is_a_duplicate_and_brings_no_text_back(
    db: Engine, escrow: Program, database_url: str
) -> None:
    escrow(*FORGET, "--yes")
    again = [record for record in a_small_world() if b'"note"' in (record.value or b"")]
    offsets = {again[0].topic: 1_000}
    Filler(database_url, offsets).records(again)
    assert len(rows(db, "SELECT FROM fact_texts")) == 1
    assert rows(db, "SELECT sum(duplicate) FROM batches") == [(2,)]
