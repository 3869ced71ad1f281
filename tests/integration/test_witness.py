"""History that the database's owner has rewritten without a flaw: the published heads give it away."""

import re
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, text

from consumers.engine.admin import KafkaUnavailable
from consumers.engine.config import Settings
from consumers.engine.publishing import binary_headers
from ops.audit import AuditReport, run_audit
from ops.local.traffic import publish
from schemas.door import Record
from schemas.order_events import ORDER_EVENTS, SOURCE
from storage.tables import metadata
from tests.builders import T0
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.sending import a_topic
from tests.integration.small_world import HELD, SPLIT, a_small_world, said

NOTE = re.compile(rb',"note":"[^"]*"')
TOLD = "SELECT key, type, sent_id, t, payload FROM outbox WHERE topic = :topic ORDER BY id"


@pytest.fixture
def topic(settings: Settings, database_url: str, kafka: str) -> str:
    """What the small world told others, on a topic of this test's own."""
    Filler(database_url).records(a_world())
    engine = create_engine(database_url)
    with engine.connect() as connection:
        told = connection.execute(text(TOLD), {"topic": ORDER_EVENTS}).all()
    engine.dispose()
    name = a_topic(kafka, partitions=3)
    records = [
        Record(
            name, 0, 0, t, key.encode(), payload.encode(), binary_headers(SOURCE, type_name, id_)
        )
        for key, type_name, id_, t, payload in told
    ]
    foreign = records[0]._replace(headers=binary_headers("elsewhere", "order.changed", "x"))
    publish([*records, foreign, *records[:2]], settings)  # the relay may send twice
    return name


@pytest.fixture
def audited(settings: Settings, topic: str) -> Callable[[], AuditReport]:
    return lambda: run_audit(settings, T0, witness_topic=topic)


def a_world() -> list[Record]:
    """The small world without notes: their salts are drawn anew, so that none can be rewritten."""
    return [record._replace(value=NOTE.sub(b"", record.value or b"")) for record in a_small_world()]


def rewritten(url: str, world: list[Record]) -> None:
    """Another past, decided by the real rules: rows, postings and chains all fit each other."""
    slices = "INSERT INTO outbox_slices (slice) SELECT generate_series(0, 15)"
    corrupt(url, "TRUNCATE " + ", ".join(metadata.tables), slices)
    Filler(url).records(world)


def test_a_true_history_is_clean(audited: Callable[[], AuditReport]) -> None:
    report = audited()
    assert report.findings == []
    assert report.found["witness"] == 0
    assert report.witnessed == 10  # eight changes of status, two of them published twice


def test_a_rewritten_history_is_found_though_all_rows_fit_each_other(
    audited: Callable[[], AuditReport], settings: Settings, database_url: str
) -> None:
    less = said("refund.requested", SPLIT, 3, amount_minor=200)
    world = [less if b'"amount_minor":300' in (r.value or b"") else r for r in a_world()]
    rewritten(database_url, world)
    assert run_audit(settings, T0).clean
    report = audited()
    assert {(f.check, f.subject) for f in report.findings} == {("witness", SPLIT)}
    assert "was" in report.findings[0].text


def test_an_order_that_was_taken_out_is_found(
    audited: Callable[[], AuditReport], settings: Settings, database_url: str
) -> None:
    rewritten(database_url, [r for r in a_world() if r.key != HELD.encode()])
    assert run_audit(settings, T0).clean
    found = audited().findings
    assert {(f.check, f.subject) for f in found} == {("witness", HELD)}
    assert "is not stored" in found[0].text


def test_without_the_topic_nothing_is_known(settings: Settings, topic: str) -> None:
    with pytest.raises(KafkaUnavailable, match="no topic"):
        run_audit(settings, T0, witness_topic=f"{topic}-gone")


def test_the_option_and_what_it_says(
    topic: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schemas.order_events.ORDER_EVENTS", topic)
    escrow = Program(settings, monkeypatch, columns=140)
    page = escrow("audit", "--witness").stdout
    assert "each chain is the one whose heads were published" in page
    assert "10 published heads" in page
    assert escrow.json("audit", "--witness")["witnessed"] == 10
    assert "witness" not in escrow.json("audit")["checks"]
