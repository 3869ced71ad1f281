"""The commands that ask or write Kafka: lag, dlq, commands reissue, topics, doctor; and migrate."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from consumers.engine import admin
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_producer
from schemas.commands import command_id
from schemas.door import Fact, Record, Rejected, decode
from schemas.facts import OPERATOR_ACTIONS, PAYMENTS, STAGE_TOPICS
from schemas.topics import TOPICS
from storage.dead_letters import from_rejected, write_dead_letters
from storage.migrate import head
from storage.positions import take_epoch
from tests.builders import T0, a_record
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.sending import a_topic, sent_to
from tests.integration.small_world import said


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Program:
    admin.apply_topics(settings)
    return Program(settings, monkeypatch)


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(sql))]
    engine.dispose()
    return found


def write(settings: Settings, record: Record) -> int:
    producer = make_producer(settings)
    try:
        sent = producer.send(
            record.topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            timestamp_ms=record.timestamp_ms,
        ).get(timeout=20)
        return int(sent.offset)
    finally:
        producer.close(timeout=5)


class Letters:
    """A topic of this test's own, and dead letters of records that are really on it."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings, self.url = settings, url
        self.topic = a_topic(settings.kafka.bootstrap_servers)
        self.cluster_id = admin.cluster_id(settings)

    def keep(
        self,
        value: bytes | None,
        *,
        code: str = "invalid_data",
        more_headers: Sequence[tuple[str, bytes]] = (),
        **changes: Any,
    ) -> str:
        """Write a record and its dead letter; returns its place."""
        headers = [("ce_type", b"payment.captured"), ("content-type", b"application/json")]
        headers += more_headers
        record = Record(self.topic, 0, 0, T0, b"o-1", value, headers)
        record = record._replace(offset=write(self.settings, record))
        letter = from_rejected("payments", Rejected(code, "why", record))  # type: ignore[arg-type]
        engine = create_engine(self.url)
        with engine.begin() as connection:
            write_dead_letters(connection, self.cluster_id, [letter._replace(**changes)])
        engine.dispose()
        return f"{self.topic}/0/{record.offset}"

    def records(self) -> list[Record]:
        return sent_to(self.settings.kafka.bootstrap_servers, [self.topic])

    def actions(self) -> list[tuple[Any, ...]]:
        return rows(
            self.url,
            'SELECT action, operator_id, reason, "offset" FROM dead_letter_actions ORDER BY 1, 4',
        )


@pytest.fixture
def letters(settings: Settings, database_url: str) -> Letters:
    return Letters(settings, database_url)


LONG = ("note", b"x" * 9_000)  # more than is kept of headers
WHO = ("--operator", "op-7", "--reason", "the schema was wrong", "--yes")


def test_a_dead_letter_is_replayed_byte_for_byte(escrow: Program, letters: Letters) -> None:
    place = letters.keep(b'{"amount_minor": 5.0}')
    result = escrow("dlq", "replay", place, *WHO)
    first, again = letters.records()
    assert again == first._replace(offset=1)
    assert result.stdout.strip() == f"{place} -> {letters.topic}/0/1"
    assert letters.actions() == [("replayed", "op-7", "the schema was wrong", 0)]


def test_what_is_too_long_to_keep_is_replayed_from_the_log(
    escrow: Program, letters: Letters
) -> None:
    place = letters.keep(b"x" * 60_000, more_headers=[LONG])
    escrow("dlq", "replay", place, *WHO)
    first, again = letters.records()
    assert again.value == first.value
    assert LONG in list(again.headers)


def test_a_dry_run_sends_nothing_and_writes_nothing(escrow: Program, letters: Letters) -> None:
    place = letters.keep(b"{}")
    said_ = escrow("dlq", "replay", place, *WHO, "--dry-run").stderr
    assert "2 bytes from its place in the log" in said_
    assert len(letters.records()) == 1
    assert letters.actions() == []


def test_without_a_terminal_only_yes_will_do(escrow: Program, letters: Letters) -> None:
    place = letters.keep(b"{}")
    result = escrow("dlq", "replay", place, *WHO[:4], code=2)
    assert "--yes" in result.stderr
    assert len(letters.records()) == 1


def test_the_kept_copy_serves_only_if_whole(escrow: Program, letters: Letters) -> None:
    """Of another cluster the log says nothing: what is there is another record."""
    whole = letters.keep(b'{"a": 1}')
    card = letters.keep(b'{"note": "4111 1111 1111 1111"}', code="card_number")
    cut = letters.keep(b"{}", more_headers=[LONG])
    corrupt(letters.url, "UPDATE dead_letters SET cluster_id = 'another-cluster'")
    for place in (card, cut):
        result = escrow("dlq", "replay", place, *WHO, code=1)
        assert "cut or redacted" in " ".join(result.stderr.split())
    assert "from the kept copy" in escrow("dlq", "replay", whole, *WHO).stderr
    *_, again = letters.records()
    assert (again.value, again.key, list(again.headers)) == (
        b'{"a": 1}',
        b"o-1",
        [("ce_type", b"payment.captured"), ("content-type", b"application/json")],
    )


def test_another_record_at_the_place_is_never_sent(escrow: Program, letters: Letters) -> None:
    place = letters.keep(b"{}", more_headers=[LONG])
    corrupt(letters.url, "UPDATE dead_letters SET value_sha256 = '\\x00'")
    escrow("dlq", "replay", place, *WHO, code=1)
    assert len(letters.records()) == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("parked_too_long", "under a new id"),
        ("id_conflict", "under a new id"),
        ("too_large", "send a shorter one"),
    ],
)
def test_what_would_end_the_same_way_is_not_replayed(
    escrow: Program, letters: Letters, code: str, said: str
) -> None:
    result = escrow("dlq", "replay", letters.keep(b"{}", code=code), *WHO, code=1)
    assert said in " ".join(result.stderr.split())


def test_what_was_cut_in_reading_is_not_sent_again(escrow: Program, letters: Letters) -> None:
    place = letters.keep(b"{}", more_headers=[("note", b"x" * 200_000)])
    result = escrow("dlq", "replay", place, *WHO, code=1)
    assert "too long for any fact" in " ".join(result.stderr.split())
    assert len(letters.records()) == 1


def test_of_several_one_that_cannot_go_stops_all(escrow: Program, letters: Letters) -> None:
    fine, pointless = letters.keep(b"{}"), letters.keep(b"{}", code="id_conflict")
    escrow("dlq", "replay", fine, pointless, *WHO, code=1)
    assert len(letters.records()) == 2
    assert letters.actions() == []


def test_a_failed_replay_is_written_down_and_leaves_the_letter_open(
    escrow: Program, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = letters.keep(b"{}")

    def refuses(*_: object) -> None:
        raise admin.KafkaUnavailable("the broker went away")

    with monkeypatch.context() as patch:
        patch.setattr("consumers.engine.admin.republish", refuses)
        escrow("dlq", "replay", place, *WHO, code=2)
    assert [action[0] for action in letters.actions()] == ["replay_failed", "replayed"]
    assert [letter["offset"] for letter in escrow.json("dlq", "list")] == [0]
    escrow("dlq", "replay", place, *WHO)
    assert escrow.json("dlq", "list") == []
    assert len(escrow.json("dlq", "list", "--all")) == 1


def test_dead_letters_are_listed_and_shown_redacted(escrow: Program, letters: Letters) -> None:
    place = letters.keep(b'{"note": "\x1b[2J4111111111111111"}', code="card_number")
    letters.keep(None, code="invalid_json")
    assert [letter["code"] for letter in escrow.json("dlq", "list", "--code", "card_number")] == [
        "card_number"
    ]
    assert "invalid_json" in escrow("dlq", "list").stdout
    shown = escrow.json("dlq", "show", place)
    assert "4111" not in json.dumps(shown)
    assert shown["redacted"]
    page = escrow("dlq", "show", place).stdout
    assert "copy redacted" in page
    assert "\x1b" not in page
    assert "4111" not in page
    assert "no dead letter" in escrow("dlq", "show", f"{letters.topic}/0/99", code=1).stderr
    assert "TOPIC/PARTITION/OFFSET" in escrow("dlq", "show", "nonsense", code=2).stderr


def test_places_of_our_own_topics_are_short(database_url: str, escrow: Program) -> None:
    bad = a_record("payment.captured", {"order_id": "o-bad"}, id="bad", t=T0)
    Filler(database_url).records([bad])
    assert "payments/0/0" in escrow("dlq", "list").stdout
    assert escrow.json("dlq", "show", "payments/0/0")["topic"] == PAYMENTS


@pytest.fixture
def failed_payout(database_url: str) -> tuple[str, str]:
    """An order whose payout has failed for good: order id, command id."""
    order = f"o-{uuid.uuid4().hex[:8]}"
    payout = command_id(order, "payout", 1)
    Filler(database_url).records(
        [
            said("payment.captured", order, 1),
            said("delivery.confirmed", order, 2),
            said("gateway.failed", order, 3, command_id=payout),
        ]
    )
    return order, payout


def test_a_reissue_goes_in_as_a_fact_and_is_decided(
    escrow: Program, settings: Settings, database_url: str, failed_payout: tuple[str, str]
) -> None:
    order, payout = failed_payout
    escrow("commands", "reissue", payout[:8], "--operator", "op-7", "--note", "new bank", "--yes")
    (record,) = [
        record
        for record in sent_to(settings.kafka.bootstrap_servers, [OPERATOR_ACTIONS])
        if record.key == order.encode()
    ]
    fact = decode(record)
    assert isinstance(fact, Fact), fact
    assert (fact.type, fact.t, fact.text) == ("command.reissued", T0 + 3, "new bank")
    assert rows(database_url, "SELECT count(*) FROM commands") == [(1,)]
    Filler(database_url).records([record])
    listed = escrow.json("commands", "list", "--order", order)
    assert [(c["purpose"], c["state"]) for c in listed] == [
        ("settlement", "FAILED"),
        ("reissue", "PENDING"),
    ]
    result = escrow("commands", "reissue", payout, "--operator", "op-7", "--yes", code=1)
    assert "reissued before" in result.stderr


@pytest.mark.parametrize(
    ("options", "said_"),
    [
        (("--operator", "op-7", "--note", "card 4111 1111 1111 1111", "--yes"), "card_number"),
        (("--operator", "not an id", "--yes"), "not valid"),
        (("--operator", "op-7"), "--yes"),
    ],
)
def test_a_reissue_that_would_not_pass_is_not_sent(
    escrow: Program,
    settings: Settings,
    failed_payout: tuple[str, str],
    options: tuple[str, ...],
    said_: str,
) -> None:
    order, payout = failed_payout
    code = 2 if "--yes" not in options else 1
    assert said_ in escrow("commands", "reissue", payout, *options, code=code).stderr
    escrow("commands", "reissue", payout, "--operator", "op-7", "--dry-run")
    sent = sent_to(settings.kafka.bootstrap_servers, [OPERATOR_ACTIONS])
    assert not [record for record in sent if record.key == order.encode()]


def test_commands_are_found_by_state_age_and_order(
    escrow: Program, database_url: str, failed_payout: tuple[str, str]
) -> None:
    _, payout = failed_payout
    more = [
        said("payment.captured", "o-2", 1),
        said("delivery.confirmed", "o-2", 3_600_000),
    ]
    corrupt(database_url, "UPDATE consumer_positions SET next_offset = 0, epoch = epoch + 1")
    Filler(database_url).records(more)

    def ids(*options: str) -> list[str]:
        return [command["command_id"] for command in escrow.json("commands", "list", *options)]

    other = command_id("o-2", "payout", 1)
    assert ids() == [payout, other]
    assert ids("--state", "failed") == [payout]
    assert ids("--older", "30") == [payout]
    assert ids("--kind", "refund") == []
    assert ids("--order", "o-2") == [other]
    page = escrow("commands", "list").stdout
    assert payout[:12] in page
    assert "not sent" in page
    assert "no command" in escrow("commands", "reissue", "f" * 32, "--operator", "x", code=1).stderr
    running = escrow("commands", "reissue", other, "--operator", "x", "--yes", code=1)
    assert "it is PENDING" in running.stderr


def test_lag_counts_from_the_rows_to_the_ends(
    escrow: Program, settings: Settings, database_url: str
) -> None:
    ends = {where: span.end for where, span in admin.spans(settings, [PAYMENTS]).items()}
    order = f"o-{uuid.uuid4().hex[:8]}"
    write(settings, said("payment.captured", order, 1))
    after = admin.spans(settings, [PAYMENTS])
    (grown,) = [where for where, span in after.items() if span.end > ends[where]]
    engine = create_engine(database_url)
    with engine.begin() as connection:
        for stage, topic in STAGE_TOPICS.items():
            for where, span in admin.spans(settings, [topic]).items():
                start = span.end - (1 if where == grown else 0)
                take_epoch(connection, stage, topic, where[1], "c", start)
    engine.dispose()
    shown = escrow.json("lag", "--sample", "0.2", code=1)
    assert shown["missing_topics"] == []
    assert shown["seconds_are"] == "record time"
    behind = {(row["topic"], row["partition"]): row for row in shown["partitions"] if row["behind"]}
    assert list(behind) == [grown]
    row = behind[grown]
    assert (row["stage"], row["behind"], row["verdict"]) == ("payments", 1, "no-members")
    assert row["seconds"] > 365 * 86_400  # the record's own time is years ago
    page = escrow("lag", "--sample", "0.2", code=1).stdout
    assert "payments" in page
    assert "no-members" in page
    assert max(map(len, page.splitlines())) <= 100


def test_topics_are_planned_and_applied(escrow: Program) -> None:
    assert escrow.json("topics", "plan") == []
    assert "as the catalogue says" in escrow("topics", "apply").stderr


def test_topics_that_are_missing_are_shown_and_made(
    escrow: Program, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"escrow.test-{uuid.uuid4().hex[:8]}.v1"
    one = TOPICS[0]._replace(name=name, partitions=2)
    monkeypatch.setattr(admin, "TOPICS", (one,))
    (step,) = escrow.json("topics", "plan", code=1)
    assert (step["action"], step["topic"]) == ("create", name)
    assert name in escrow("topics", "apply", "--dry-run").stdout
    assert "--yes" in escrow("topics", "apply", code=2).stderr
    assert admin.spans(settings, [name]) == {}
    escrow("topics", "apply", "--yes")
    assert len(admin.spans(settings, [name])) == 2


def test_the_doctor_finds_a_healthy_house_healthy(escrow: Program) -> None:
    checks = {check["what"]: check for check in escrow.json("doctor")}
    assert {name for name, check in checks.items() if check["state"] == "wrong"} == set()
    assert {"Python", "configuration", "database", "schema", "clock", "disk", "Kafka"} <= set(
        checks
    )
    assert head() in checks["schema"]["found"]


def test_the_doctor_names_a_remedy_for_what_is_wrong(
    escrow: Program, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Filler(database_url).records([said("payment.captured", "o-1", 1)])
    corrupt(database_url, "UPDATE alembic_version SET version_num = '0000'")
    with monkeypatch.context() as patch:
        patch.setattr("storage.migrate.current", lambda _url: "0000")
        checks = {check["what"]: check for check in escrow.json("doctor", code=1)}
    assert checks["schema"]["remedy"] == "escrow migrate"
    assert checks["positions"]["found"] == "of another cluster: test-cluster"
    monkeypatch.setenv("ESCROW_DATABASE__URL", "postgresql+psycopg://escrow@127.0.0.1:1/escrow")
    monkeypatch.setenv("ESCROW_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("ESCROW_KAFKA__REQUEST_TIMEOUT_MS", "1000")
    checks = {check["what"]: check for check in escrow.json("doctor", code=1)}
    assert checks["database"]["state"] == checks["Kafka"]["state"] == "wrong"
    assert "is it running" in checks["Kafka"]["remedy"]
    monkeypatch.setenv("ESCROW_PROFILE", "production")
    checks = {check["what"]: check for check in escrow.json("doctor", code=1)}
    assert checks["configuration"]["state"] == "wrong"


def test_a_broker_that_does_not_answer_ends_in_a_sentence(
    escrow: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: Settings) -> None:
        raise admin.KafkaUnavailable("127.0.0.1:1: NoBrokersAvailable")

    monkeypatch.setattr("consumers.engine.admin.plan_topics", nobody)
    result = escrow("topics", "plan", code=2)
    assert "NoBrokersAvailable" in result.stderr
    assert "ESCROW_KAFKA__BOOTSTRAP_SERVERS" in result.stderr


@pytest.fixture
def empty_database(database_url: str) -> str:
    corrupt(database_url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return database_url


def test_migrate_asks_first_and_says_where_it_stands(empty_database: str, escrow: Program) -> None:
    assert "escrow migrate" in escrow("order", "show", "o-1", code=2).stderr
    assert f"none -> {head()}" in escrow("migrate", "--dry-run").stderr
    assert "--yes" in escrow("migrate", code=2).stderr
    assert rows(empty_database, "SELECT to_regclass('escrows') IS NULL") == [(True,)]
    escrow("migrate", "--yes")
    assert rows(empty_database, "SELECT count(*) FROM escrows") == [(0,)]
    assert "already" in escrow("migrate").stderr


def test_the_configuration_is_shown_without_secrets(
    escrow: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "postgresql+psycopg://escrow:hunter2@127.0.0.1:5432/escrow"
    monkeypatch.setenv("ESCROW_DATABASE__URL", url)
    shown = escrow.json("config", "show")
    assert shown["ESCROW_PROFILE"] == "local"
    assert "hunter2" not in json.dumps(shown)
    page = escrow("config", "show").stdout
    assert "hunter2" not in page
    assert "ESCROW_KAFKA__BOOTSTRAP_SERVERS" in page
