"""A card number that somebody plants in any field that people write, or anywhere in a bad record, is nowhere after it."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
import structlog
from prometheus_client import generate_latest
from sqlalchemy import Connection, text
from starlette.testclient import TestClient

from consumers.engine import log as our_log
from consumers.engine import tracing, trail
from consumers.engine.batch import Job
from consumers.engine.config import ConfigError, LogSettings, Settings, load_settings
from consumers.engine.processing import Processor
from consumers.engine.records import Chunk, Partition
from ops.web.app import create_app
from schemas.door import Record
from schemas.facts import FACT_TYPES
from storage.engine import stage_engine
from storage.positions import take_epoch
from storage.tables import metadata
from tests.builders import SAMPLES, a_record, compact, sample
from tests.integration.program import Program
from tests.unit.looks import Eyes, a_sample, seen_by

CARD: Final = "4111111111111111"
SPELT: Final = (CARD, "4111 1111 1111 1111", "4111-1111-1111-1111", "4111 11111111-1111")
FOUND: Final = re.compile(r"4111(?:[ -]?1111){3}")
ESCAPED: Final = "".join(f"\\\\u{ord(digit):04x}" for digit in CARD)
WATCHED: Final = ("note", "rationale", "signed_by", "asked_for", "uri")


def planted() -> Iterator[Record]:
    """In every field that people write, of every type; and all over records that are bad anyway."""
    n = 0
    for name in SAMPLES:
        fields = [f for f in WATCHED if f in FACT_TYPES[name].model.model_fields]
        for field in fields:
            for card in SPELT:
                n += 1
                yield a_record(
                    name, sample(name, f"o-{n}", **{field: f"pay {card} now"}), id=f"i{n}"
                )
    line = {"line_id": "l", "sku": "s", "quantity": 1, "unit_minor": 1000}
    for options in ({"engraving": CARD}, {CARD: "gold"}):
        n += 1
        order = {"lines": [{**line, "options": options}], "shipping_minor": 0}
        yield a_record(
            "payment.captured", sample("payment.captured", f"o-{n}", order=order), id=f"i{n}"
        )
    yield from _bad(n)


def _bad(n: int) -> Iterator[Record]:
    """Records with another fault, and the number in every place that a sender fills."""
    for name in SAMPLES:
        data = sample(name, f"o-bad-{name}")
        for field in data:
            for card in SPELT[:2]:
                n += 1
                yield a_record(name, {**data, field: card, "more": card}, id=f"i{n}")
    good = a_record("refund.requested")
    for header in (
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_subject",
        "ce_time",
        "content-type",
        "x-card",
    ):
        for card in SPELT:
            headers = [*good.headers, (header, card.encode()), ("ce_specversion", b"2.0")]
            yield good._replace(headers=headers)
    yield good._replace(headers=[*good.headers, (f"ce_{CARD}", b"x"), ("ce_specversion", b"2.0")])
    yield good._replace(key=SPELT[1].encode())
    for value in (f'{{"a":"{ESCAPED}"}}', f'{{"{CARD}":1', f"<{SPELT[2]}>", f"{CARD}." * 5_000):
        yield good._replace(value=value.encode())
    event = {"specversion": "1.0", "id": CARD, "source": CARD, "type": CARD, "data": {CARD: CARD}}
    structured = [("content-type", b"application/cloudevents+json")]
    yield good._replace(headers=structured, value=compact(event))
    yield good._replace(headers=structured, value=compact({**event, "type": "shipment.lost"}))


@pytest.fixture
def connection(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setattr(our_log, "_level", our_log.level())
    monkeypatch.setattr(trail, "log", structlog.get_logger())
    engine = stage_engine(database_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def feed(connection: Connection, records: list[Record]) -> None:
    by_topic: dict[str, list[Record]] = {}
    for record in records:
        by_topic.setdefault(record.topic, []).append(record)
    for topic, some in by_topic.items():
        stage = next(fact.stage for fact in FACT_TYPES.values() if fact.topic == topic)
        place: Partition = (topic, 0)
        with connection.begin():
            position = take_epoch(connection, stage, *place, "c")
        placed = [record._replace(offset=n) for n, record in enumerate(some)]
        Processor(connection, Job(stage, "c"), {place: position}, lambda _: None).process(
            Chunk(placed, {place: len(placed)})
        )


def everything(connection: Connection) -> Iterator[tuple[str, str]]:
    """Every value of every row as text; bytes and what is in base64 laid open."""
    with connection.begin():
        for table in metadata.sorted_tables:
            for row in connection.execute(text(f"SELECT * FROM {table.name}")):
                for column, value in zip(table.columns.keys(), row, strict=True):
                    yield f"{table.name}.{column}", _laid_open(value)


def _laid_open(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    shown = json.dumps(value, ensure_ascii=False, default=str)
    for packed in re.findall(r'value_base64\\?":\\?"([A-Za-z0-9+/=]*)', shown):
        shown += base64.b64decode(packed).decode("latin-1")
    return shown


def assert_clean(what: str, said: str) -> None:
    unescaped = re.sub(r"\\u00(3\d)", lambda found: chr(int(found[1], 16)), said)
    assert not FOUND.search(unescaped), f"{what}: {unescaped[:200]}"


def test_a_planted_card_number_is_nowhere(
    connection: Connection,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans: list[str] = []
    monkeypatch.setattr(tracing, "tracer", lambda: _Tracer(spans))
    our_log.configure_logging(LogSettings(level="debug"), program="canary")
    records = list(planted())
    feed(connection, records)
    logged = capsys.readouterr()
    assert logged.err.count("dead_letter") > 200
    assert_clean("log", logged.err + logged.out)
    letters = 0
    for what, said in everything(connection):
        letters += what == "dead_letters.code"
        assert_clean(what, said)
    assert letters == len(records), "each of them is a dead letter, and kept"
    assert_clean("metrics", generate_latest().decode())
    assert_clean("spans", repr(spans))
    app = create_app(settings, Eyes(seen_by([a_sample(0)]), settings))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        for place in ("/", "/dead-letters", "/orders?q=o-1", "/mediation"):
            assert_clean(place, client.get(place).text)
        for topic, offset in ((r.topic, n) for r in records[::23] for n in (0, 3)):
            short = topic.removeprefix("escrow.").removesuffix(".v1")
            assert_clean("a letter's page", client.get(f"/dead-letters/{short}/0/{offset}").text)
    escrow = Program(settings, monkeypatch)
    for arguments in (("dlq", "list", "--limit", "500"), ("dlq", "show", "refund-requests/0/1")):
        shown = escrow(*arguments)
        assert_clean(" ".join(arguments), shown.stdout + shown.stderr)


class _Tracer:
    def __init__(self, spans: list[str]) -> None:
        self._spans = spans

    def __getattr__(self, _name: str) -> Any:
        return lambda *args, **said: self._spans.append(repr((args, said)))


def test_an_exception_about_a_setting_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ESCROW_PROFILE", "ESCROW_KAFKA__SESSION_TIMEOUT_MS", "ESCROW_WEB__ROLE"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, CARD)
            with pytest.raises(ConfigError) as caught:
                load_settings()
            assert_clean(variable, str(caught.value))
