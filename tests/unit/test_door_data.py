"""RULES 2, data: every field of every type at and over its limits, in both modes."""

from typing import Any, Literal

import pytest

from schemas.door import Fact, decode
from tests.builders import a_record, rejects, sample
from tests.unit.wire import FIELDS, bad, good

MODES: tuple[Literal["binary", "structured"], ...] = ("binary", "structured")
EVERY_FIELD = [
    (name, field, kind) for name, fields in FIELDS.items() for field, kind in fields.items()
]


def check(type_name: str, data: dict[str, Any], *, passes: bool) -> None:
    for mode in MODES:
        record = a_record(type_name, data, mode=mode)
        if passes:
            fact = decode(record)
            assert isinstance(fact, Fact), (mode, data, fact)
        else:
            rejects(record, "invalid_data")


@pytest.mark.parametrize("type_name", FIELDS)
def test_the_smallest_data_pass_and_data_need_every_required_field(type_name: str) -> None:
    data = sample(type_name)
    check(type_name, data, passes=True)
    for field, kind in FIELDS[type_name].items():
        if not kind.endswith("?"):
            check(type_name, {k: v for k, v in data.items() if k != field}, passes=False)


@pytest.mark.parametrize("type_name", FIELDS)
def test_no_field_is_unknown_not_even_a_null_one(type_name: str) -> None:
    for extra in ({"x": 1}, {"x": None}, {"Order_id": "o-1"}, {"": ""}, {"note ": "x"}):
        check(type_name, sample(type_name) | extra, passes=False)
    others = {field for fields in FIELDS.values() for field in fields} - FIELDS[type_name].keys()
    for other in others:
        check(type_name, sample(type_name) | {other: "x"}, passes=False)


@pytest.mark.parametrize(("type_name", "field", "kind"), EVERY_FIELD)
def test_each_field_takes_what_it_may(type_name: str, field: str, kind: str) -> None:
    for value in good(kind):
        data = sample(type_name) | {field: value}
        if value == "refund_partial":
            data["refund_minor"] = 1
        check(type_name, data, passes=True)


@pytest.mark.parametrize(("type_name", "field", "kind"), EVERY_FIELD)
def test_each_field_refuses_the_rest(type_name: str, field: str, kind: str) -> None:
    for value in bad(kind):
        data = sample(type_name) | {field: value}
        if kind == "part?":
            data["outcome"] = "refund_partial"
        check(type_name, data, passes=False)


@pytest.mark.parametrize("literal", [b"5.0", b"5e0", b"5E+0", b"1e400", b"-5", b"1" * 5_000])
@pytest.mark.parametrize("field", ["amount_minor", "currency", "note"])
def test_a_number_that_is_no_integer_stands_nowhere(field: str, literal: bytes) -> None:
    for mode in MODES:
        record = a_record("refund.requested", sample("refund.requested", note="x"), mode=mode)
        assert record.value is not None
        old = {"amount_minor": b"1000", "currency": b'"EUR"', "note": b'"x"'}[field]
        rejects(record._replace(value=record.value.replace(old, literal)), "invalid_data")


def test_buyer_and_supplier_of_a_payment_are_two() -> None:
    check("payment.captured", sample("payment.captured", supplier_id="b-1"), passes=False)
    check("payment.captured", sample("payment.captured", supplier_id="B-1"), passes=True)


@pytest.mark.parametrize(
    ("outcome", "refund_minor", "passes"),
    [
        ("refund_partial", 1, True),
        ("refund_partial", 2**53 - 1, True),
        ("refund_partial", None, False),
        ("refund_partial", ..., False),
        ("refund_full", 1, False),
        ("refund_full", None, True),
        ("refund_full", ..., True),
        ("release", 1, False),
        ("release", None, True),
    ],
)
def test_a_part_and_only_a_part_has_an_amount(
    outcome: str, refund_minor: object, passes: bool
) -> None:
    data = sample("ruling.issued", outcome=outcome, refund_minor=refund_minor)
    check("ruling.issued", data, passes=passes)


LINE = {"line_id": "l-1", "sku": "SKU 1", "quantity": 2, "unit_minor": 450}


def ordered(line: dict[str, Any] | None = None, **order: object) -> dict[str, Any]:
    """A capture of 1000 for two pieces at 450 and shipping of 100, with changes."""
    details = {"lines": [LINE | (line or {})], "shipping_minor": 100} | order
    return sample("payment.captured", order={k: v for k, v in details.items() if v is not ...})


GOOD_ORDERS = {
    "as it is": ordered(),
    "nulls": ordered({"options": None}, delivery_address_sha256=None, promised_by=None),
    "all": ordered(
        {"options": {"colour": "red"}},
        delivery_address_sha256="0" * 64,
        promised_by="2026-01-31T10:00:00+01:00",
    ),
    "no shipping": ordered({"unit_minor": 500}, shipping_minor=0),
    "a free line": ordered(lines=[LINE, LINE | {"unit_minor": 0, "quantity": 10**6}]),
    "line ids repeat": ordered(lines=[LINE | {"quantity": 1}] * 2),
    "200 lines": ordered(lines=[LINE | {"quantity": 1, "unit_minor": 5}] * 200, shipping_minor=0),
    "20 options": ordered({"options": {f"o{n}": "x" for n in range(20)}}),
    "no options": ordered({"options": {}}),
    "long options": ordered({"options": {"x" * 200: "y" * 200}}),
    "shipping alone": ordered({"unit_minor": 0}, shipping_minor=1000),
    "minus zero": ordered({"unit_minor": 500}, shipping_minor=-0),
    "null order": sample("payment.captured", order=None),
}
BAD_ORDERS = {
    "one too little": ordered(shipping_minor=99),
    "one too much": ordered(shipping_minor=101),
    "a sum beyond all": ordered({"unit_minor": 2**53 - 1, "quantity": 10**6}),
    "no lines": ordered(lines=[], shipping_minor=1000),
    "lines absent": ordered(lines=..., shipping_minor=1000),
    "lines null": ordered(lines=None, shipping_minor=1000),
    "lines an object": ordered(lines={"0": LINE}),
    "lines a text": ordered(lines="x"),
    "a line null": ordered(lines=[LINE, None]),
    "a line a list": ordered(lines=[[LINE]]),
    "201 lines": ordered(
        lines=[LINE | {"quantity": 1, "unit_minor": 0}] * 201, shipping_minor=1000
    ),
    "no shipping": ordered({"unit_minor": 500}, shipping_minor=...),
    "shipping null": ordered({"unit_minor": 500}, shipping_minor=None),
    "shipping below 0": ordered({"unit_minor": 501}, shipping_minor=-2),
    "quantity 0": ordered({"quantity": 0}, shipping_minor=1000),
    "quantity 10^6 + 1": ordered({"quantity": 10**6 + 1, "unit_minor": 0}, shipping_minor=1000),
    "quantity text": ordered({"quantity": "2"}),
    "quantity true": ordered({"quantity": True, "unit_minor": 900}),
    "unit below 0": ordered({"unit_minor": -1}, shipping_minor=1002),
    "unit null": ordered({"unit_minor": None}),
    "unit a fraction": ordered({"unit_minor": 450.5}),
    "line id bad": ordered({"line_id": "l 1"}),
    "line id null": ordered({"line_id": None}),
    "sku empty": ordered({"sku": ""}),
    "sku long": ordered({"sku": "x" * 201}),
    "sku with a line": ordered({"sku": "a\nb"}),
    "an unknown field of a line": ordered({"weight": 1}),
    "an unknown field of the order": ordered(gift=True),
    "21 options": ordered({"options": {f"o{n}": "x" for n in range(21)}}),
    "option null": ordered({"options": {"a": None}}),
    "option a number": ordered({"options": {"a": 1}}),
    "option empty": ordered({"options": {"a": ""}}),
    "option name empty": ordered({"options": {"": "a"}}),
    "option name long": ordered({"options": {"x" * 201: "a"}}),
    "option with a tab": ordered({"options": {"a": "\t"}}),
    "options a list": ordered({"options": ["a"]}),
    "digest upper case": ordered(delivery_address_sha256="A" * 64),
    "digest short": ordered(delivery_address_sha256="0" * 63),
    "promised without offset": ordered(promised_by="2026-01-31T10:00:00"),
    "promised a day": ordered(promised_by="2026-01-31"),
}


@pytest.mark.parametrize("data", GOOD_ORDERS.values(), ids=GOOD_ORDERS)
def test_these_details_of_an_order_pass(data: dict[str, Any]) -> None:
    check("payment.captured", data, passes=True)


@pytest.mark.parametrize("data", BAD_ORDERS.values(), ids=BAD_ORDERS)
def test_these_do_not(data: dict[str, Any]) -> None:
    check("payment.captured", data, passes=False)
