"""RULES 3.1, `card_number`: what is one, what is none, and that no copy of one stays readable."""

import re

import pytest
from hypothesis import given, strategies
from stdnum import luhn

from schemas.cards import has_card_number, redact, redact_text
from schemas.door import Fact, decode
from tests.builders import a_record, rejects, sample

VISA = "4111111111111111"
CARDS = {
    "13 digits": "4222222222222",
    "14 digits": "30569309025904",
    "15 digits": "378282246310005",
    "16 digits": VISA,
    "19 digits": "6304000000000000000"[:18] + luhn.calc_check_digit("630400000000000000"),
    "begins with 2": "2223003122003222",
    "begins with 6": "6011111111111117",
    "groups and blanks": "4111 1111 1111 1111",
    "groups and dashes": "4111-1111-1111-1111",
    "both signs": "4111-1111 1111-1111",
    "uneven groups": "411111 1 111111111",
    "single digits": " ".join(VISA),
    "in words": f"my card is {VISA}, thanks",
    "glued to letters": f"x{VISA}y",
    "in a longer chain": "12 4111 1111 1111 1111 12",
    "before another group": f"{VISA} 0",
    "after a point": f"1.{VISA}.2",
    "across lines, after them": f"12\n{VISA}",
}
NONE = {
    "12 digits": "411111111112"[:11] + luhn.calc_check_digit("41111111111"),
    "20 digits": "41111111111111111" + "00" + luhn.calc_check_digit("4111111111111111100"),
    "no Luhn": "4111111111111112",
    "begins with 1": "1" + "0" * 14 + luhn.calc_check_digit("1" + "0" * 14),
    "begins with 7": "7" + "0" * 14 + luhn.calc_check_digit("7" + "0" * 14),
    "part of a group": f"9{VISA}",
    "two blanks": "4111  1111  1111  1111",
    "blank and dash": "4111 -1111 -1111 -1111",
    "other dashes": "4111–1111–1111–1111",
    "no-break blank": "4111\u00a01111\u00a01111\u00a01111",
    "tabs": "4111\t1111\t1111\t1111",
    "other digits": "٤١١١١١١١١١١١١١١١",
    "full-width digits": "４１１１１１１１１１１１１１１１",
    "points": "4111.1111.1111.1111",
    "nothing": "",
}


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS)
def test_this_is_a_card_number(text: str) -> None:
    assert has_card_number(text)
    hidden, found = redact(text.encode())
    assert found
    assert len(hidden) == len(text.encode())
    assert not has_card_number(hidden.decode())


@pytest.mark.parametrize("text", NONE.values(), ids=NONE)
def test_this_is_none(text: str) -> None:
    assert not has_card_number(text)
    assert redact(text.encode()) == (text.encode(), False)


# type, field, and how the field is written: everywhere people may write
PLACES = [
    ("refund.requested", "note", VISA),
    ("command.reissued", "note", VISA),
    ("supplier.reported", "note", VISA),
    ("supplier.reported", "asked_for", VISA),
    ("ruling.issued", "rationale", VISA),
    ("shipment.delivered", "signed_by", VISA),
    ("evidence.submitted", "uri", f"https://example.org/{VISA}"),
]


@pytest.mark.parametrize(("type_name", "field", "text"), PLACES)
@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_card_numbers_are_refused_wherever_people_write(
    type_name: str, field: str, text: str, mode: str
) -> None:
    rejects(a_record(type_name, sample(type_name, **{field: text}), mode=mode), "card_number")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{VISA: "x"}, {"x": VISA}, {"a": "b", "c": "4111 1111 1111 1111"}]
)
def test_card_numbers_are_refused_in_names_and_values_of_options(options: dict[str, str]) -> None:
    line = {"line_id": "l", "sku": "k", "quantity": 1, "unit_minor": 1000, "options": options}
    data = sample("payment.captured", order={"lines": [line], "shipping_minor": 0})
    rejects(a_record("payment.captured", data), "card_number")


def test_a_card_number_is_found_behind_escapes() -> None:
    data = sample("refund.requested", note="NOTE")
    hidden = "".join(f"\\u{ord(sign):04x}" for sign in VISA).encode()
    record = a_record("refund.requested", data)
    assert record.value is not None
    rejects(record._replace(value=record.value.replace(b"NOTE", hidden)), "card_number")


@pytest.mark.parametrize("field", ["order_id", "sku", "tracking_number", "gateway_reference"])
def test_names_and_numbers_of_machines_are_not_looked_at(field: str) -> None:
    line = {"line_id": VISA, "sku": VISA, "quantity": 1, "unit_minor": 1000}
    data = {
        "order_id": sample("shipment.lost", VISA),
        "sku": sample("payment.captured", order={"lines": [line], "shipping_minor": 0}),
        "tracking_number": sample("shipment.dispatched", tracking_number=VISA, carrier=VISA),
        "gateway_reference": sample("gateway.failed", gateway_reference=VISA, reason_code=VISA),
    }[field]
    type_name = {
        "order_id": "shipment.lost",
        "sku": "payment.captured",
        "tracking_number": "shipment.dispatched",
        "gateway_reference": "gateway.failed",
    }[field]
    assert isinstance(decode(a_record(type_name, data)), Fact)


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"note":"\u0034111111111111111"}',
        rb'{"note":"4111\u00201111\u002d1111\u002D1111"}',
        b'{"note":"4111111111111111"}',
        b"\xff4111111111111111\xfe not UTF-8",
        b'{"amount_minor":4111111111111111}',
    ],
)
def test_copies_are_redacted_in_their_bytes(raw: bytes) -> None:
    hidden, found = redact(raw)
    assert found
    assert b"1111" not in hidden
    assert b"*" in hidden


def test_a_plain_card_number_does_not_hide_an_escaped_one() -> None:
    hidden, found = redact(rb'{"a":"4111111111111111","b":"\u0034111111111111111"}')
    assert found
    assert b"1111" not in hidden


def test_an_escaped_digit_behind_a_card_number_does_not_hide_it() -> None:
    hidden, found = redact(rb'"4111111111111111\u0030"')  # by its bytes a card, by JSON none
    assert found
    assert b"1111" not in hidden


def test_a_copy_without_a_card_number_stays_as_it_came() -> None:
    raw = rb'{"note":"\u0031\u0032 4111 1111","x":"\u00e9"}'
    assert redact(raw) == (raw, False)


def test_texts_are_redacted_whatever_bytes_they_came_from() -> None:
    assert redact_text(f"a {VISA} b") == "a **************** b"
    broken = b"\xff 4111-1111-1111-1111".decode("utf-8", "surrogateescape")
    assert redact_text(broken) == "\udcff ****-****-****-****"


def by_the_letter(text: str) -> bool:
    """RULES 3.1, a second time and naively: every run of whole groups of every chain."""
    for chain in re.findall(r"(?<![0-9])[0-9]+(?:[ -][0-9]+)*", text):
        groups = re.split("[ -]", chain)
        for first in range(len(groups)):
            for last in range(first, len(groups)):
                digits = "".join(groups[first : last + 1])
                doubled = [
                    sum(divmod(int(d) * (1 + place % 2), 10))
                    for place, d in enumerate(reversed(digits))
                ]
                if 13 <= len(digits) <= 19 and digits[0] in "23456" and sum(doubled) % 10 == 0:
                    return True
    return False


SIGNS = strategies.text(alphabet="0123456789 -4a", max_size=40)


@given(SIGNS)
def test_the_same_as_by_the_letter(text: str) -> None:
    assert has_card_number(text) == by_the_letter(text)


@given(SIGNS)
def test_nothing_readable_is_left_and_nothing_else_is_touched(text: str) -> None:
    hidden, found = redact(text.encode())
    assert found == by_the_letter(text)
    assert not has_card_number(hidden.decode())
    assert all(new in (old, ord("*")) for new, old in zip(hidden, text.encode(), strict=True))


@given(strategies.binary(max_size=60))
def test_any_bytes_can_be_redacted(raw: bytes) -> None:
    hidden, found = redact(raw)
    assert found or hidden == raw
