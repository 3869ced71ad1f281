"""The gateway simulator's store: killed between any two steps, it pays nothing twice and owes no answer."""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from consumers.engine.processing import Halt
from ops.local.gateway import effects, entries, standing
from ops.local.gateway.deciding import LATER_COMMANDS, work_on
from ops.local.gateway.store import Store, Unsent
from ops.local.gateway.tricks import TRICKS
from ops.local.gateway.wire import Channels, limit_of
from schemas.commands import PAYOUT_COMMANDS, REFUND_COMMANDS
from schemas.door import Fact, Record, decode
from schemas.facts import GATEWAY_RESULTS
from schemas.signatures import signature_header
from tests.attack.keys import ring, signing
from tests.unit.test_gateway_core import T, a_command

KINDS = Channels().kinds
HEADERS = (("content-type", b"application/json"), ("ce_specversion", b"1.0"), ("ce_source", b"e"))
QUESTION = '{"command_id":"%s","order_id":"o-1"}'


class Read(NamedTuple):
    """A record as kafka-python hands it over."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: list[tuple[str, bytes]]
    key: bytes = b"o-1"


class Killed(Exception):
    """The process is gone; only its file is left."""


def a_record(offset: int, value: str, type_name: str = "payout.release", t: int = T) -> Read:
    topic = REFUND_COMMANDS if type_name == "refund.issue" else PAYOUT_COMMANDS
    headers = [*HEADERS, ("ce_type", type_name.encode()), ("ce_id", b"1")]
    return Read(topic, 0, offset, t, value.encode(), headers)


def payout(offset: int, command_id: str, digits: int = 0, attempt: int = 1) -> Read:
    command = a_command(digits, command_id=command_id, attempt=attempt)
    return a_record(offset, command.model_dump_json())


def question(offset: int, command_id: str) -> Read:
    return a_record(offset, QUESTION % command_id, "command.status_requested")


def keep(store: Store, *records: Read) -> None:
    store.keep(work_on(store, records, KINDS))


def words(answers: Iterable[tuple[int, Unsent]]) -> list[str]:
    return [answer.id.partition(".")[2] for _, answer in answers]


def test_effect_answer_position_and_log_are_kept_together(tmp_path: Path) -> None:
    with Store(tmp_path, "cluster") as store:
        keep(store, payout(7, "c-1"))
        assert store.positions() == {(PAYOUT_COMMANDS, 0): 8}

    (effect,) = effects(tmp_path)
    assert effect == ("c-1", "o-1", "payout", "s-1", 20_000, "EUR", 1, T, False)
    (entry,) = entries(tmp_path)
    assert entry == (T, PAYOUT_COMMANDS, 0, 7, "c-1", 1, "pays")
    assert standing(tmp_path) == ({(PAYOUT_COMMANDS, 0): 8}, 1)


def test_an_answer_belongs_to_the_trace_of_its_command(tmp_path: Path) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Store(tmp_path, "cluster") as store:
        for offset, text in enumerate((trace, "", "no trace", trace + "\n", trace.upper())):
            command = payout(offset, f"c-{offset}")
            command.headers.append(("ce_traceparent", text.encode()))
            keep(store, command)
        assert [answer.trace for _, answer in store.due(all_of_them=True)] == [trace, *[None] * 4]


def test_a_store_of_an_older_program_learns_of_traces(tmp_path: Path) -> None:
    with Store(tmp_path, "cluster") as store:
        keep(store, payout(0, "c-1"))
    with sqlite3.connect(tmp_path / "gateway.sqlite3") as db:
        db.execute("ALTER TABLE unsent DROP COLUMN trace")
    db.close()
    with Store(tmp_path, "cluster") as store:
        ((_, answer),) = store.due(all_of_them=True)
        assert answer.trace is None


def test_before_it_has_begun_nothing_has_happened(tmp_path: Path) -> None:
    assert effects(tmp_path) == []
    assert entries(tmp_path) == []
    assert standing(tmp_path) == ({}, 0)
    (tmp_path / "gateway.sqlite3").touch()  # begun a moment ago
    assert effects(tmp_path) == []


def test_answers_pass_the_door_of_the_pipeline(tmp_path: Path) -> None:
    with Store(tmp_path, "cluster") as store:
        for offset, digits in enumerate([0, *TRICKS]):
            keep(store, payout(2 * offset, f"c-{digits}", digits))
            keep(store, question(2 * offset + 1, f"c-{digits}"))
        due = store.due(all_of_them=True)
    types: Counter[str] = Counter()
    for _, answer in due:
        headers = [*HEADERS, ("ce_id", answer.id.encode()), ("ce_type", answer.type.encode())]
        fact = decode(
            Record(GATEWAY_RESULTS, 0, 0, answer.t, answer.key.encode(), answer.value, headers)
        )
        assert isinstance(fact, Fact)
        types[fact.type] += 1
    assert set(types) == {f"gateway.{word}" for word in ("accepted", "settled", "failed")} | {
        "gateway.returned"
    }


def test_a_late_answer_waits_for_further_commands_or_for_quiet(tmp_path: Path) -> None:
    with Store(tmp_path, "cluster") as store:
        keep(store, payout(0, "c-1", 9932))
        assert words(store.due(all_of_them=False)) == ["1.accepted"]
        assert words(store.due(all_of_them=True)) == ["1.accepted", "1.settled"]
        store.forget(n for n, _ in store.due(all_of_them=False))
        keep(store, *(payout(i, f"d-{i}") for i in range(1, LATER_COMMANDS)))
        assert len(words(store.due(all_of_them=False))) == LATER_COMMANDS - 1
        keep(store, payout(LATER_COMMANDS, "e-1"))
        *_, late, last = words(store.due(all_of_them=False))
        assert (late, last) == ("1.settled", "1.settled")


def test_within_one_poll_each_record_sees_what_the_one_before_it_did(tmp_path: Path) -> None:
    with Store(tmp_path, "cluster") as store:
        tries = (payout(i, "c-1", 9902, attempt=i + 1) for i in range(4))
        keep(store, *tries, question(4, "c-1"))
        assert words(store.due(all_of_them=False)) == [
            "1.failed",
            "2.failed",
            "3.settled",
            "3.settled",
            "3.settled",
        ]
    assert len(effects(tmp_path)) == 1


@pytest.mark.parametrize(
    "record",
    [
        a_record(0, "{", "payout.release"),
        a_record(0, QUESTION % "c-1", "payout.release"),
        a_record(0, QUESTION % "c-1", "something.else"),
        a_record(0, QUESTION % "c-1")._replace(headers=[]),
        a_record(0, "")._replace(value=None),
        payout(0, "c-1")._replace(topic=REFUND_COMMANDS),
    ],
)
def test_what_is_no_command_is_noted_and_passed_over(tmp_path: Path, record: Read) -> None:
    with Store(tmp_path, "cluster") as store:
        keep(store, record, payout(1, "c-2"))
        assert store.positions()[PAYOUT_COMMANDS, 0] == 2
    assert [entry.does for entry in entries(tmp_path)] == ["unreadable", "pays"]


def relays(read: Read, holder: str = "relay") -> Read:
    """What the relay (or somebody else) has signed."""
    headers = [(n, b"escrow" if n == "ce_source" else v) for n, v in read.headers]
    header = signature_header(signing(holder), read.topic, read.key, read.value, headers)
    return read._replace(headers=[*headers, header])


def test_with_keys_it_pays_only_what_the_relay_has_signed(tmp_path: Path) -> None:
    good = relays(payout(0, "c-1"))
    altered = good._replace(value=payout(0, "c-2", digits=1).value)
    records = [
        payout(0, "c-3"),
        altered,
        good._replace(key=b"o-2"),
        good._replace(topic=REFUND_COMMANDS),
        relays(payout(0, "c-4"), "gateway"),
        relays(payout(0, "c-5"), "operators"),
        good,
        relays(payout(0, "c-6")._replace(key=b"o-2")),
        relays(question(0, "c-1")),
    ]
    with Store(tmp_path, "cluster") as store:
        store.keep(work_on(store, records, KINDS, ring()))
    assert [entry.does for entry in entries(tmp_path)] == [
        *["forged"] * 6, "pays", "unreadable", "tells",
    ]  # fmt: skip
    assert [effect.command_id for effect in effects(tmp_path)] == ["c-1"]


def test_one_directory_has_one_simulator(tmp_path: Path) -> None:
    with Store(tmp_path, "cluster"), pytest.raises(Halt, match="another gateway simulator"):
        Store(tmp_path, "cluster")
    with Store(tmp_path, "cluster"):
        pass
    with pytest.raises(Halt, match="belong to cluster cluster"):
        Store(tmp_path, "other")


def test_a_second_effect_cannot_even_be_written(tmp_path: Path) -> None:
    with Store(tmp_path, "cluster") as store:
        work = work_on(store, [payout(0, "c-1")], KINDS)
        store.keep(work)
        with pytest.raises(sqlite3.IntegrityError):
            store.keep(work._replace(entries=[], answers=[]))
        assert len(store.due(all_of_them=True)) == 1


def test_killed_at_any_step_it_pays_once_and_answers_all_that_it_answers_unharmed(
    tmp_path: Path, rng: random.Random
) -> None:
    log = [
        payout(i, f"c-{d}", ([0, *TRICKS])[d], attempt=rng.randint(1, 5))
        if rng.random() < 0.8
        else question(i, f"c-{d}")
        for i, d in enumerate(rng.choices(range(15), k=80))
    ]
    unharmed, harmed = tmp_path / "unharmed", tmp_path / "harmed"
    expected = Counter(run(unharmed, log, rng, kills=0))
    sent = Counter(run(harmed, log, rng, kills=200))

    assert effects(harmed) == effects(unharmed)
    assert entries(harmed) == entries(unharmed)
    assert sent.keys() == expected.keys()
    assert all(sent[id_] >= expected[id_] for id_ in expected)
    assert standing(harmed).unsent == 0


def run(folder: Path, log: list[Read], rng: random.Random, kills: int) -> list[str]:
    """The loop of run.py on a log in memory, its store dropped at random points; ids sent."""
    sent: list[str] = []

    def step() -> None:
        nonlocal kills
        if kills and rng.random() < 0.5:
            kills -= 1
            raise Killed

    def work(store: Store) -> None:
        while True:
            begin = store.positions().get((PAYOUT_COMMANDS, 0), 0)
            records = log[begin : begin + 3]
            step()
            if records:
                todo = work_on(store, records, KINDS)
                step()
                store.keep(todo)
                step()
            due = store.due(all_of_them=not records)
            if not records and not due:
                return
            sent.extend(answer.id for _, answer in due)
            step()
            store.forget(n for n, _ in due)
            step()

    while True:
        try:
            with Store(folder, "cluster") as store:
                work(store)
        except Killed:
            continue
        return sent


def test_many_commands_have_one_effect_each(tmp_path: Path) -> None:
    records = [payout(i, f"c-{i}") for i in range(4_000)]
    with Store(tmp_path, "cluster") as store:
        for first in range(0, len(records), 1_000):
            keep(store, *records[first : first + 1_000])
            store.forget(n for n, _ in store.due(all_of_them=False))
    assert len({effect.command_id for effect in effects(tmp_path)}) == 4_000
    assert len(effects(tmp_path)) == 4_000


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.0019z", 1),
        ("2026-01-01T00:00:00.001Z", 1_767_225_600_001),
        ("2026-01-01T01:00:00.123456789+01:00", 1_767_225_600_123),
        ("2025-12-31T23:59:60Z", 1_767_225_600_000),
        ("1969-12-31T23:59:59.9995Z", -1),
        ("0000-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59.999Z", 2**63 - 1),
    ],
)
def test_times_are_read_to_the_millisecond(text: str, milliseconds: int) -> None:
    assert limit_of(text) == milliseconds
