"""Traffic is the same for the same seed, passes the door where it should, and tells whole stories."""

import time
from collections import Counter
from itertools import islice, pairwise

import pytest

from escrow.arrival import Decided
from escrow.replay import Replay
from ops.local.gateway.tricks import TRICKS, is_magic, trick_of
from ops.local.traffic import (
    PLAIN_FACTS,
    PLAIN_TOPICS,
    Knobs,
    paced,
    plain,
    plain_amount,
    planted_code,
    stories,
)
from ops.local.traffic.plots import PLOTS, Plot
from schemas.door import Fact, Record, decode
from schemas.money import EXPONENTS

QUIET = Knobs(duplicates=0, garbage=0, disorder=0)


def decided(records: list[Record]) -> tuple[Replay, Counter[tuple[str, str, str | None]]]:
    """The orders after these facts, and how often each (type, outcome, code) occurred."""
    replay = Replay()
    endings: Counter[tuple[str, str, str | None]] = Counter()
    for record in records:
        fact = decode(record)
        assert isinstance(fact, Fact)
        if fact.order_id is None:
            continue
        for step in replay.take(fact):
            if isinstance(step, Decided):
                endings[fact.type, step.outcome, step.code] += 1
    return replay, endings


def test_the_same_seed_tells_the_same_stories() -> None:
    knobs = Knobs(duplicates=0.1, conflicts=0.1, garbage=0.1, disorder=0.3, magic=0.1)

    def told(seed: int) -> list[Record]:
        return list(stories(seed, 200, knobs=knobs))

    assert told(1) == told(1)
    assert told(1) != told(2)
    assert not {record.key for record in told(1) if planted_code(record) is None} & {
        record.key
        for record in told(2)
        if planted_code(record) is None and record.topic != "escrow.supplier-reports.v1"
    }


def test_time_never_goes_back_and_an_order_has_about_four_facts() -> None:
    records = list(stories(3, 2_000, knobs=QUIET))

    assert all(a.timestamp_ms <= b.timestamp_ms for a, b in pairwise(records))
    assert 3.5 < len(records) / 2_000 < 4.5
    assert {record.topic for record in records} == {
        "escrow.payments.v1",
        "escrow.shipments.v1",
        "escrow.refund-requests.v1",
        "escrow.mediation-rulings.v1",
        "escrow.supplier-reports.v1",
    }


def test_every_good_record_passes_the_door_and_every_bad_one_ends_as_marked() -> None:
    codes: Counter[str | None] = Counter()
    for record in stories(4, 1_500, knobs=Knobs(garbage=0.5)):
        taken = decode(record)
        code = None if isinstance(taken, Fact) else taken.code
        assert code == planted_code(record)
        codes[code] += 1

    assert 0.3 < 1 - codes[None] / codes.total() < 0.36  # half as many on top: a third
    assert set(codes) == {None, "too_large", "invalid_json", "duplicate_key", "bad_envelope"} | {
        "unknown_type",
        "wrong_topic",
        "invalid_data",
        "key_mismatch",
        "card_number",
    }


def test_a_conflict_repeats_an_identity_with_other_data() -> None:
    known: dict[tuple[str, str], bytes] = {}
    conflicts = 0
    for record in stories(5, 400, knobs=QUIET._replace(conflicts=0.2)):
        fact = decode(record)
        assert isinstance(fact, Fact)
        first = known.setdefault((fact.source, fact.id), fact.digest + repr(fact.text).encode())
        differs = first != fact.digest + repr(fact.text).encode()
        assert differs == (planted_code(record) == "id_conflict")
        conflicts += differs
    assert conflicts > 100


def test_duplicates_come_after_the_original_byte_for_byte() -> None:
    seen: set[tuple[bytes | None, bytes | None, object]] = set()
    repeated = 0
    for record in stories(6, 500, knobs=QUIET._replace(duplicates=0.25)):
        place = (record.key, record.value, record.headers)
        repeated += place in seen
        seen.add(place)
    assert 0.2 < repeated / len(seen) < 0.3


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_each_plot_goes_as_it_is_told(plot: Plot) -> None:
    replay, endings = decided(list(stories(7, 60, knobs=QUIET, plots=(plot,))))

    unexpected = {ending for ending in endings if ending[1] != "applied"}
    assert unexpected <= {("mediation.requested", "refused", "too_early")}
    statuses = {order.escrow.status for order in replay.orders.values()}
    expected = {
        "lost": {"REFUNDED"},
        "never_sent": {"REFUNDED"},
        "negotiated": {"SPLIT"},
        "mediated": {"REFUNDED", "SPLIT", "RELEASED"},
        "charged_back": {"CHARGED_BACK", "RELEASED"},
        "not_protected": {"NOT_PROTECTED"},
    }
    assert statuses == expected.get(plot.__name__, {"RELEASED"})


def test_disorder_changes_the_order_across_topics_only() -> None:
    calm = list(stories(8, 300, knobs=QUIET, plots=(next(iter(PLOTS)),)))
    wild = list(stories(8, 300, knobs=QUIET._replace(disorder=0.5), plots=(next(iter(PLOTS)),)))
    first = {record.key: record.topic for record in reversed(wild)}

    assert len(wild) == len(calm)
    assert {record.topic for record in calm} == {record.topic for record in wild}
    late = sum(topic != "escrow.payments.v1" for topic in first.values())
    assert late > 60  # the payment is not the first thing heard of these


def test_no_command_is_magic_unless_asked_for() -> None:
    records = list(stories(9, 1_500))
    replay, _ = decided([record for record in records if planted_code(record) is None])
    commands = [c for order in replay.orders.values() for c in order.commands.values()]

    assert len(commands) > 1_200
    assert not [c for c in commands if is_magic(c.amount_minor)]


def test_every_trick_occurs_when_asked_for() -> None:
    records = list(stories(10, 300, knobs=QUIET._replace(magic=1)))
    replay, _ = decided(records)
    commands = [c for order in replay.orders.values() for c in order.commands.values()]

    tricks = {trick_of(command.amount_minor, command.purpose) for command in commands}
    assert tricks == set(TRICKS.values())


def test_currencies_have_no_two_and_three_digits() -> None:
    records = (decode(record) for record in stories(11, 200, knobs=QUIET))
    currencies = {
        getattr(fact.data, "currency", None) for fact in records if isinstance(fact, Fact)
    }
    assert currencies - {None} == {"EUR", "USD", "JPY", "BHD"}
    assert {EXPONENTS[code] for code in currencies if code} == {0, 2, 3}


def test_plain_orders_are_paid_sent_delivered_and_confirmed() -> None:
    records = list(plain(500, window=50))
    replay, endings = decided(records)

    assert len(records) == 500 * PLAIN_FACTS
    assert {record.topic for record in records} == set(PLAIN_TOPICS)
    assert {outcome for _, outcome, _ in endings} == {"applied"}
    assert {order.escrow.status for order in replay.orders.values()} == {"RELEASED"}
    assert all(a.timestamp_ms <= b.timestamp_ms for a, b in pairwise(records))
    assert not any(is_magic(plain_amount(n)) for n in range(20_000))


def test_plain_traffic_is_much_faster_than_what_it_measures() -> None:
    begin = time.process_time()
    count = sum(1 for _ in plain(10_000))
    assert count / (time.process_time() - begin) > 30_000


def test_a_pace_is_kept() -> None:
    begin = time.monotonic()
    assert len(list(paced(islice(plain(100), 21), 100))) == 21
    assert time.monotonic() - begin >= 0.2
