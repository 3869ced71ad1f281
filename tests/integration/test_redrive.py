"""Dead letters in bulk: what is foretold is what then happens, and nothing is sent in circles."""

import json
from typing import Any

import pytest

from consumers.engine import admin
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_producer
from consumers.engine.places import read_places
from ops.foretell import Foreteller
from ops.simulate import simulate
from schemas.door import Record
from schemas.facts import PAYMENTS
from storage.reading import snapshot
from tests.builders import T0, a_record, sample
from tests.integration.filled import Filler, corrupt
from tests.integration.program import Program
from tests.integration.sending import a_topic
from tests.integration.small_world import HELD, PARKED, RELEASED, SPLIT, a_small_world, said
from tests.integration.test_cli_kafka import Letters, write

WHO = ("--operator", "op-7", "--reason", "the schema was wrong")


@pytest.fixture
def escrow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Program:
    admin.apply_topics(settings)
    return Program(settings, monkeypatch)


@pytest.fixture
def letters(settings: Settings, database_url: str) -> Letters:
    return Letters(settings, database_url)


def later() -> list[Record]:
    """Every outcome, some of them only because of a record before."""
    return [
        said("delivery.confirmed", HELD, 10),
        said("delivery.confirmed", HELD, 11),
        said("payment.captured", PARKED, 10),
        said("payment.captured", PARKED, 10),
        said("payment.captured", "o-new", 11, payment_id=f"p-{PARKED}"),
        said("payment.captured", PARKED, 10, amount_minor=9),
        said("refund.requested", "o-nobody", 12, note="torn"),
        said("refund.requested", "o-nobody", 12, note="torn"),
        said("evidence.submitted", SPLIT, 13, evidence_id="late"),
        said("payment.captured", RELEASED, 1),
        a_record("supplier.reported", t=T0, id="report-1"),
        a_record("payment.captured", {"order_id": "o-bad"}, t=T0, id="bad-2"),
    ]


def as_line(record: Record) -> bytes:
    line = {
        "topic": record.topic,
        "key": None if record.key is None else record.key.decode(),
        "timestamp_ms": record.timestamp_ms,
        "headers": {name: (value or b"").decode() for name, value in record.headers},
        "value": (record.value or b"").decode(),
    }
    return json.dumps(line).encode()


def test_what_is_foretold_is_what_the_rules_then_say(database_url: str) -> None:
    Filler(database_url).records(a_small_world())
    with snapshot(database_url) as connection:
        teller = Foreteller(connection, None)
        told = [teller.foretell(record) for record in later()]
    outcomes, _ = simulate([as_line(record) for record in [*a_small_world(), *later()]])
    said_ = [(row["outcome"], row["code"]) for row in outcomes[-len(told) :]]
    assert [(one.outcome, one.code) for one in told] == said_
    assert {outcome for outcome, _ in said_} == {
        "applied", "refused", "parked", "duplicate", "dead_letter",
    }  # fmt: skip
    (payout,) = told[0].commands
    assert (payout.kind, payout.amount_minor, payout.party_id) == ("payout", 1000, "s-1")
    assert told[0].after is not None
    assert told[0].after.status == "RELEASED"


def test_many_places_are_read_in_one_go_and_gaps_are_gaps(
    escrow: Program, settings: Settings
) -> None:
    topic = a_topic(settings.kafka.bootstrap_servers)
    producer = make_producer(settings)
    for n in range(1_500):
        producer.send(topic, key=b"k", value=b"%d" % n)
    producer.close(timeout=10)
    places = [(topic, 0, n) for n in (0, 1, 7, 8, 700, 1_400, 1_499, 1_500, 9_999)]
    found = read_places(settings, [*places, ("no-such-topic", 0, 0)])
    assert {place[2]: record.value for place, record in found.items()} == {
        n: b"%d" % n for n in (0, 1, 7, 8, 700, 1_400, 1_499)
    }


def test_a_bulk_replay_goes_on_where_it_stopped(escrow: Program, letters: Letters) -> None:
    for n in range(5):
        letters.keep(b'{"n": %d}' % n)
    letters.keep(b"{}", code="id_conflict")
    letters.keep(b"{}", code="bad_envelope")
    dry = escrow.json("dlq", "replay", *WHO, "--topic", letters.topic, "--dry-run")
    assert (
        dry["would_become"]
        == {
            "dead_letter: bad_envelope": 6,
            "not sent: its id belongs to another fact: its sender must send it again under a new id": 1,
        }
        or sum(dry["would_become"].values()) == 7
    )
    assert len(letters.records()) == 7
    bulk = (*WHO, "--code", "invalid_data", "--topic", letters.topic, "--yes")
    escrow("dlq", "replay", *bulk, "--max", "2")
    assert [record.value for record in letters.records()[7:]] == [b'{"n": 0}', b'{"n": 1}']
    escrow("dlq", "replay", *bulk)
    again = [json.loads(record.value or b"")["n"] for record in letters.records()[7:]]
    assert again == [0, 1, 2, 3, 4]
    assert "no open dead letter" in escrow("dlq", "replay", *bulk, code=1).stderr


def test_what_comes_back_three_times_is_not_sent_a_fourth_time(
    escrow: Program, letters: Letters
) -> None:
    for _ in range(3):
        escrow("dlq", "replay", letters.keep(b'{"a": 1}'), *WHO, "--yes")
    place = letters.keep(b'{"a": 1}')
    refused = escrow("dlq", "replay", place, *WHO, "--yes", code=1)
    assert "mend the cause first" in " ".join(refused.stderr.split())
    escrow("dlq", "replay", place, *WHO, "--yes", "--insist")
    assert len(letters.records()) == 8


def test_places_and_filters_do_not_mix(escrow: Program) -> None:
    for arguments in ((), ("payments/0/1", "--code", "invalid_data")):
        assert "not both" in escrow("dlq", "replay", *arguments, *WHO, code=2).stderr


@pytest.fixture
def misspelt(settings: Settings, escrow: Program, database_url: str) -> tuple[str, dict[str, Any]]:
    """A capture whose amount was written as text, refused at the door; its place and its data."""
    data = sample("payment.captured", "o-edit", payment_id="p-edit", amount_minor="1000")
    record = a_record("payment.captured", data, id="capture-1", t=T0)
    offset = write(settings, record)
    where = next(w for w, s in admin.spans(settings, [PAYMENTS]).items() if s.end > offset
                 and admin.read_record(settings, w, offset) is not None
                 and dict(admin.read_record(settings, w, offset).headers)["ce_id"]  # type: ignore[union-attr]
                 == b"capture-1")  # fmt: skip
    Filler(database_url, {PAYMENTS: offset}).records([record])
    corrupt(
        database_url,
        f"UPDATE dead_letters SET cluster_id = '{admin.cluster_id(settings)}',"
        f" partition = {where[1]}",
    )
    return f"payments/{where[1]}/{offset}", data


def test_an_edited_letter_gets_a_new_id_that_names_the_old_one(
    escrow: Program, misspelt: tuple[str, dict[str, Any]], settings: Settings, tmp_path: Any
) -> None:
    place, data = misspelt
    mended = tmp_path / "mended.json"
    mended.write_text(json.dumps(data))
    edit = ("dlq", "edit", place, *WHO, "--value", str(mended))
    assert "dead letter again: invalid_data" in escrow(*edit, "--yes", code=1).stderr
    mended.write_text(json.dumps(data | {"amount_minor": 1000}))
    shown = escrow(*edit, "--dry-run").stderr
    assert '-  "amount_minor": "1000"' in shown
    assert '+  "amount_minor": 1000' in shown
    assert "applied, o-edit: new -> HELD" in shown
    said_ = escrow(*edit, "--yes").stdout.split()
    _, partition, offset = said_[2].rsplit("/", 2)
    sent = admin.read_record(settings, (PAYMENTS, int(partition)), int(offset))
    assert sent is not None
    headers = dict(sent.headers)
    assert (headers["ce_id"] or b"").startswith(b"edit:capture-1:")
    assert (headers["ce_editof"], headers["ce_editedby"]) == (b"capture-1", b"op-7")
    assert headers["ce_editreason"] == b"the schema was wrong"
    (action,) = escrow.json("dlq", "show", place)["actions"]
    assert (action["action"], action["new_id"]) == ("replayed_edited", said_[4])


def test_a_card_number_is_not_shown_while_a_letter_is_mended(
    escrow: Program, letters: Letters, tmp_path: Any
) -> None:
    place = letters.keep(b'{"note": "4111 1111 1111 1111"}', code="card_number")
    mended = tmp_path / "mended.json"
    mended.write_text("{}")
    result = escrow("dlq", "edit", place, *WHO, "--value", str(mended), "--dry-run", code=1)
    assert "4111" not in result.stdout + result.stderr
    assert "****" in result.stderr
