"""The door against chance: nothing raises, and every way through it comes to the same answer."""

import json
import re
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings, strategies
from hypothesis.strategies import SearchStrategy

from schemas import door
from schemas.door import Fact, Record, Rejected, decode
from schemas.facts import FACT_TYPES
from tests.builders import a_record, compact, sample
from tests.unit.wire import FIELDS, bad, good

HEADER_NAMES = strategies.sampled_from(
    ["content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject"]
) | strategies.text(max_size=8)
HEADER_VALUES = (
    strategies.sampled_from(
        [b"application/json", b"application/cloudevents+json", b"1.0", b"shipment.lost", None]
    )
    | strategies.binary(max_size=20)
    | strategies.text(max_size=20).map(str.encode)
)
RECORDS = strategies.builds(
    Record,
    topic=strategies.sampled_from([fact.topic for fact in FACT_TYPES.values()]),
    partition=strategies.just(0),
    offset=strategies.just(0),
    timestamp_ms=strategies.integers(-1, 2**62),
    key=strategies.none() | strategies.binary(max_size=5),
    value=strategies.none() | strategies.binary(max_size=60),
    headers=strategies.lists(strategies.tuples(HEADER_NAMES, HEADER_VALUES), max_size=9),
)
BASES = [
    a_record(name, data, mode=mode)
    for mode in ("binary", "structured")
    for name, data in {
        "shipment.delivered": sample("shipment.delivered", signed_by="Zoë 4:5"),
        "refund.requested": sample("refund.requested", note="a\nb"),
        "ruling.issued": sample("ruling.issued", outcome="refund_partial", refund_minor=5),
        "payment.captured": sample(
            "payment.captured",
            order={
                "lines": [
                    {
                        "line_id": "l",
                        "sku": "k",
                        "quantity": 1,
                        "unit_minor": 1000,
                        "options": {"a": ":"},
                    }
                ],
                "shipping_minor": 0,
                "promised_by": None,
            },
        ),
    }.items()
]
TOKENS = rb'{ } [ ] " : , \ \u0041 \ud800 "": "a":1, ,"note":"x" "order_id":"o-1", null 1e9 -0 NaN'
BYTES = [b" ", b"\n", b"\t", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b'" :', b'":"']
SCRAPS = strategies.sampled_from(TOKENS.split() + BYTES) | strategies.binary(min_size=1, max_size=2)


@strategies.composite
def spoiled(draw: strategies.DrawFn) -> Record:
    """A good record with one to four cuts, insertions or repetitions in its value."""
    record = draw(strategies.sampled_from(BASES))
    value = record.value or b""
    for _ in range(draw(strategies.integers(1, 4))):
        at = draw(strategies.integers(0, len(value)))
        to = draw(strategies.integers(at, min(len(value), at + 30)))
        new = draw(strategies.sampled_from([b"", value[at:to] * 2]) | SCRAPS)
        value = value[:at] + new + value[to:]
    return record._replace(value=value)


def said(record: Record) -> tuple[Any, ...]:
    """All that a decision may depend on."""
    result = decode(record)
    if isinstance(result, Rejected):
        assert result.record is record
        return (result.code, result.detail)
    return tuple(result)


def said_slowly(record: Record) -> tuple[Any, ...]:
    """The same by the strict parser alone, without pydantic's own."""
    with patch.object(door, "_UNSURE", re.compile(b"")):
        return said(record)


@given(RECORDS)
def test_no_record_raises(record: Record) -> None:
    assert isinstance(decode(record), Fact | Rejected)


@settings(max_examples=400)
@given(spoiled())
@example(BASES[0]._replace(value=b'{"order_id":"o-1","shipment_id":"s","signed_by":"a","x":1}'))
@example(BASES[0]._replace(value=b'{"order_id":"o-1","shipment_id":"s","shipment_id":":"}'))
@example(BASES[0]._replace(value=b'{"order_id":"o-1","shipment_id":"s","shipment_id":"s"}'))
def test_the_fast_way_and_the_strict_way_agree(record: Record) -> None:
    assert said(record) == said_slowly(record)


def test_the_fast_way_is_taken_for_plain_data_and_only_there() -> None:
    with patch("schemas.strict_json.parse_object", side_effect=AssertionError("slow")):
        for name in FIELDS:
            assert isinstance(decode(a_record(name)), Fact)


def values_of(kind: str) -> SearchStrategy[object]:
    return strategies.sampled_from([*good(kind), *bad(kind)])


@strategies.composite
def mixtures(draw: strategies.DrawFn) -> tuple[str, dict[str, object]]:
    """Data of some type with some fields at their limits, good or bad."""
    name = draw(strategies.sampled_from(sorted(FIELDS)))
    data = sample(name)
    for field, kind in FIELDS[name].items():
        if field not in ("order_id", "supplier_id") and draw(strategies.integers(0, 3)) == 0:
            data[field] = draw(values_of(kind))
    return name, data


@settings(max_examples=300)
@given(mixtures(), strategies.randoms(use_true_random=False))
def test_both_modes_both_ways_and_any_spelling_come_to_one_answer(
    mixture: tuple[str, dict[str, object]], chance: Any
) -> None:
    name, data = mixture
    first = said(a_record(name, data))
    shuffled = dict(chance.sample(list(data.items()), len(data)))
    for value in (data, shuffled):
        binary = a_record(name, value)
        structured = a_record(name, value, mode="structured")
        escaped = binary._replace(value=json.dumps(value, indent=1).encode())
        for record in (binary, structured, escaped):
            for result in (said(record), said_slowly(record)):
                assert result[0] == first[0]
                assert len(result) == 2 or result == first


@pytest.mark.parametrize("base", BASES)
def test_every_single_byte_can_be_lost_or_changed(base: Record) -> None:
    value = base.value or b""
    for at in range(len(value)):
        for new in (b"", b"\x00", b"}", b'"', b"\\", b"\xff", b"5"):
            record = base._replace(value=value[:at] + new + value[at + 1 :])
            assert said(record) == said_slowly(record)


def test_a_null_and_an_absent_field_are_one_fact() -> None:
    for name, fields in FIELDS.items():
        nulls = {field: None for field, kind in fields.items() if kind.endswith("?")}
        without = {k: v for k, v in sample(name).items() if k not in nulls}
        assert said(a_record(name, without)) == said(a_record(name, without | nulls))


def test_options_in_any_order_are_one_fact() -> None:
    facts = []
    for options in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}):
        line = {"line_id": "l", "sku": "k", "quantity": 1, "unit_minor": 1000, "options": options}
        data = sample("payment.captured", order={"lines": [line], "shipping_minor": 0})
        facts += [
            decode(a_record("payment.captured", data, mode=m)) for m in ("binary", "structured")
        ]
    assert all(isinstance(fact, Fact) for fact in facts)
    assert len({fact.digest for fact in facts if isinstance(fact, Fact)}) == 1


def test_ten_thousand_headers_and_a_value_of_names_are_no_trouble() -> None:
    headers = [(f"ce_x{n}", b"x") for n in range(10_000)]
    base = a_record("shipment.lost")
    fact = decode(base._replace(headers=[*headers, *base.headers]))
    assert isinstance(fact, Fact)
    names = compact({f"n{n}": 1 for n in range(5_000)})
    assert said(base._replace(value=names))[0] == "invalid_data"
