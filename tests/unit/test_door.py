"""RULES 3.1: every check of the door, in both modes, in the order in which they stand."""

import json
from typing import Any, Final

import pytest

from schemas.door import VALUE_BYTES_MAX, Distrust, Fact, Record, Rejected, decode
from schemas.envelope import Envelope
from schemas.facts import FACT_TYPES, FactType
from schemas.reasons import DoorCode
from tests.builders import SAMPLES, T0, a_fact, a_record, compact, rejects, sample
from tests.unit.records import BOTH, CAPTURED, Mode, structured, takes, with_headers

# --- what passes ---


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("name", SAMPLES)
def test_every_type_passes_in_both_modes(name: str, mode: Mode) -> None:
    fact = takes(a_record(name, mode=mode, id="id-7", t=5, offset=3))
    assert (fact.type, fact.source, fact.id, fact.t, fact.offset) == (name, "/shop", "id-7", 5, 3)
    assert fact.order_id == (None if name == "supplier.reported" else "o-1")
    assert fact == takes(a_record(name, id="id-7", t=5, offset=3)), "one fact in both modes"


def test_the_longest_value_passes_and_one_byte_more_does_not() -> None:
    value = compact(CAPTURED)
    record = a_record("payment.captured")
    takes(record._replace(value=value + b" " * (VALUE_BYTES_MAX - len(value))))
    rejects(record._replace(value=value + b" " * (VALUE_BYTES_MAX + 1 - len(value))), "too_large")


def test_subject_time_and_extensions_are_carried() -> None:
    fact = takes(
        with_headers(
            ("ce_subject", b"o-1"),
            ("ce_time", b"2026-01-31T10:00:00Z"),
            ("ce_traceparent", b"00-ab"),
            ("other", b"\xff"),
        )
    )
    assert (fact.time, fact.extensions) == ("2026-01-31T10:00:00Z", (("traceparent", "00-ab"),))
    fact = takes(structured(subject="o-1", time="2026-01-31T10:00:00Z", b=1, a="x", c={}, d=[1]))
    assert fact.extensions == (("a", "x"), ("b", 1))


# --- type, topic, key ---


@pytest.mark.parametrize("name", ["payment.capture", "Payment.Captured", "refund.issue", "x\x00"])
@pytest.mark.parametrize("mode", BOTH)
def test_unknown_types(name: str, mode: Mode) -> None:
    rejected = rejects(a_record(name, CAPTURED, mode=mode), "unknown_type")
    assert (rejected.source, rejected.id, rejected.type) == ("/shop", "id-1", name)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_type_on_another_topic(name: str) -> None:
    for topic in {fact.topic for fact in FACT_TYPES.values()} - {FACT_TYPES[name].topic} | {"foo"}:
        rejects(a_record(name)._replace(topic=topic), "wrong_topic")


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("name", SAMPLES)
def test_the_key_is_the_orders_id_or_of_a_report_the_suppliers(name: str, mode: Mode) -> None:
    record = a_record(name, mode=mode)
    for key in (None, b"", b"o-2", b"O-1", b"o-1 ", b"\xff"):
        rejects(record._replace(key=key), "key_mismatch")


@pytest.mark.parametrize("subject", ["", "o-2", 1, {}, True])
def test_a_subject_must_be_the_key(subject: object) -> None:
    rejects(structured(subject=subject), "key_mismatch")
    if isinstance(subject, str):
        rejects(with_headers(("ce_subject", subject.encode())), "key_mismatch")
    takes(structured(subject=None))


def test_a_reports_subject_is_its_supplier() -> None:
    record = a_record("supplier.reported")
    takes(record._replace(headers=[*record.headers, ("ce_subject", b"s-1")]))
    rejects(record._replace(headers=[*record.headers, ("ce_subject", b"b-1")]), "key_mismatch")


# --- trust ---


class Refuses:
    def __init__(self, code: DoorCode | None) -> None:
        self.code = code
        self.asked: list[tuple[str, str]] = []

    def refuses(self, fact: FactType, sent: Envelope, record: Record) -> Distrust | None:
        self.asked.append((fact.name, sent.source))
        return None if self.code is None else Distrust(self.code, "not trusted")


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("code", ["bad_signature", "unauthorized_source"])
def test_the_trust_rules_are_asked_after_the_topic_and_before_the_data(
    code: DoorCode, mode: Mode
) -> None:
    trust = Refuses(code)
    record = a_record("payment.captured", mode=mode)
    rejects(record, code, trust)
    assert trust.asked == [("payment.captured", "/shop")]
    rejects(record._replace(topic="foo"), "wrong_topic", trust)
    rejects(a_record("payment.captured", {"order_id": 1}, mode=mode), code, trust)
    assert isinstance(decode(record, Refuses(None)), Fact)


# --- the order of the checks ---


def broken(mode: Mode, *faults: str) -> Record:
    """A capture with all of these faults at once."""
    data: dict[str, Any] = sample("payment.captured", order={"lines": [], "shipping_minor": 0})
    data["order"] = {
        "lines": [
            {"line_id": "l", "sku": "s", "quantity": 1, "unit_minor": 1000, "options": {"n": "v"}}
        ],
        "shipping_minor": 0,
    }
    if "card_number" in faults:
        data["order"]["lines"][0]["options"] = {"n": "4111 1111 1111 1111"}
    if "invalid_data" in faults:
        data["amount_minor"] = "1000"
    record = a_record(
        "no.type" if "unknown_type" in faults else "payment.captured", data, mode=mode
    )
    value = record.value or b""
    if "duplicate_key" in faults:
        value = b'{"order_id":"o-1",' + value[1:]
        if mode == "structured":
            value = (record.value or b"").replace(
                b'{"order_id"', b'{"order_id":"o-1","order_id"', 1
            )
    if "invalid_json" in faults:
        value = value[:-1] + b",}"
    if "bad_envelope" in faults:
        record = record._replace(timestamp_ms=-1)
    if "wrong_topic" in faults:
        record = record._replace(topic="escrow.shipments.v1")
    if "key_mismatch" in faults:
        record = record._replace(key=b"o-2")
    if "too_large" in faults:
        value = value + b" " * VALUE_BYTES_MAX
    return record._replace(value=value)


ORDER: Final[dict[Mode, tuple[str, ...]]] = {
    "structured": (
        "too_large",
        "invalid_json",
        "duplicate_key",
        "bad_envelope",
        "unknown_type",
        "wrong_topic",
        "invalid_data",
        "key_mismatch",
        "card_number",
    ),
    "binary": (
        "too_large",
        "bad_envelope",
        "unknown_type",
        "wrong_topic",
        "invalid_json",
        "duplicate_key",
        "invalid_data",
        "key_mismatch",
        "card_number",
    ),
}


@pytest.mark.parametrize("mode", BOTH)
def test_of_several_faults_the_first_in_the_order_of_the_checks_is_told(mode: Mode) -> None:
    takes(broken(mode))
    for first, code in enumerate(ORDER[mode]):
        rejects(broken(mode, code), code)
        rejects(broken(mode, *ORDER[mode][first:]), code)
        for other in ORDER[mode][first + 1 :]:
            rejects(broken(mode, code, other), code)


def test_no_value_is_invalid_json_at_the_place_of_that_check() -> None:
    for value in (None, b"", b"  "):
        rejects(a_record("payment.captured")._replace(value=value), "invalid_json")
        rejects(structured()._replace(value=value), "invalid_json")
        rejects(with_headers(("ce_id", b""))._replace(value=value), "bad_envelope")
        rejects(a_record("x.y", CAPTURED)._replace(value=value), "unknown_type")


@pytest.mark.parametrize("data", [..., None, [], "x", 5, True])
def test_a_structured_event_needs_data_that_are_an_object(data: object) -> None:
    rejects(structured(data=data), "invalid_data")
    rejects(structured(data=data, type="x"), "unknown_type")


# --- what is told of a rejected record ---


def test_a_rejection_knows_source_id_and_type_where_the_envelope_is_good() -> None:
    known = ("/shop", "id-1", "payment.captured")
    for fault in ORDER["binary"]:
        rejected = rejects(broken("binary", fault), fault)
        told = (rejected.source, rejected.id, rejected.type)
        if fault in ("too_large", "bad_envelope"):
            assert told == (None, None, None)
        else:
            assert told == (*known[:2], "no.type" if fault == "unknown_type" else known[2])


def test_no_detail_holds_a_value_of_the_record() -> None:
    secret = "4111111111111111"
    for data in (
        {**CAPTURED, "amount_minor": secret},
        {**CAPTURED, secret: 1},
        {**CAPTURED, "currency": secret},
        {**CAPTURED, "order": {"lines": [{secret: secret}], "shipping_minor": secret}},
    ):
        for mode in BOTH:
            rejected = rejects(a_record("payment.captured", data, mode=mode), "invalid_data")
            assert secret not in rejected.detail
            assert len(rejected.detail) <= 200


def test_a_fact_keeps_its_free_text_apart() -> None:
    fact = a_fact("refund.requested", note="too late\n\tagain")
    assert fact.text == "too late\n\tagain"
    assert b"note" not in fact.payload
    assert a_fact("refund.requested").text is None
    ruling = a_fact("ruling.issued", rationale="because")
    assert (ruling.text, b"rationale" in ruling.payload) == ("because", False)
    assert json.loads(fact.payload) == sample("refund.requested")


def test_rejected_and_fact_are_the_only_answers() -> None:
    assert isinstance(decode(Record("", 0, 0, T0, None, None, [])), Rejected)
