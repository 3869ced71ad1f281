"""The log says what became of records, after the commit, and nothing that somebody else has written into them."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import structlog
from sqlalchemy import Connection

from consumers.engine import log as our_log
from consumers.engine import trail
from consumers.engine.batch import Job
from consumers.engine.config import LogSettings
from consumers.engine.processing import Processor
from consumers.engine.records import Chunk, Partition
from schemas.door import Record
from schemas.facts import REFUND_REQUESTS
from storage.engine import stage_engine
from storage.positions import Position, take_epoch
from tests.builders import a_record, sample
from tests.integration.small_world import said

TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET: Final = "a note that nobody's log may hold"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = stage_engine(database_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(our_log, "_level", our_log.level())
    # one that has not yet remembered where an earlier test's standard error was
    monkeypatch.setattr(trail, "log", structlog.get_logger())
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def records() -> list[Record]:
    """One of each ending, in one topic."""
    waits = said("delivery.confirmed", "o-1", 1)
    traced = said("refund.requested", "o-1", 2, note=SECRET)
    traced = traced._replace(headers=[*traced.headers, ("ce_traceparent", TRACE.encode())])
    other = said("delivery.confirmed", "o-2", 1)._replace(headers=waits.headers)
    bad = a_record("delivery.confirmed", sample("delivery.confirmed", "o-3", buyer_id=[SECRET]))
    rude = a_record("delivery.confirmed", {"order_id": "o-4"}, id="id\u202e")
    return [waits, waits, traced, other, bad, rude]


def process(connection: Connection, level: Any, capsys: pytest.CaptureFixture[str]) -> list[Any]:
    """What is said about these records at this level."""
    our_log.configure_logging(LogSettings(level=level), program="refund_requests")
    place: Partition = (REFUND_REQUESTS, 0)
    with connection.begin():
        position = take_epoch(connection, "refund_requests", *place, "c")
    positions: dict[Partition, Position] = {place: position}
    placed = [record._replace(offset=n) for n, record in enumerate(records())]
    job = Job("refund_requests", "c")
    Processor(connection, job, positions, lambda _: None).process(
        Chunk(placed, {place: len(placed)})
    )
    text = capsys.readouterr().err
    assert SECRET not in text
    assert text.isascii()
    return [json.loads(line) for line in text.splitlines()]


def test_at_debug_every_record_is_said(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = process(connection, "debug", capsys)
    facts = [line for line in lines if line["event"] == "fact"]
    assert {line["offset"]: (line["level"], line["outcome"], line["code"]) for line in facts} == {
        0: ("debug", "parked", "awaiting_payment"),
        1: ("debug", "duplicate", None),
        2: ("debug", "parked", "awaiting_payment"),
        3: ("info", "dead_letter", "id_conflict"),
        4: ("info", "dead_letter", "invalid_data"),
        5: ("info", "dead_letter", "invalid_data"),
    }
    (traced,) = [line for line in facts if line["offset"] == 2]
    del traced["timestamp"]
    assert traced == {
        "event": "fact",
        "level": "debug",
        "program": "refund_requests",
        "stage": "refund_requests",
        "outcome": "parked",
        "code": "awaiting_payment",
        "type": "refund.requested",
        "source": "/shop",
        "id": "o-1.2",
        "order_id": "o-1",
        "topic": REFUND_REQUESTS,
        "partition": 0,
        "offset": 2,
        "trace": TRACE,
    }


def test_at_info_only_what_a_person_may_have_to_look_at(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = process(connection, "info", capsys)
    assert [(line["event"], line.get("offset")) for line in lines] == [
        ("fact", 3),
        ("fact", 4),
        ("fact", 5),
        ("alarm", None),
    ]
    assert (lines[-1]["alarm"], lines[-1]["cause"]) == (
        "id_conflict",
        {"source": "/shop", "id": "o-1.1"},
    )


def test_above_info_nothing_is_noted(
    connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    assert process(connection, "warning", capsys) == []
