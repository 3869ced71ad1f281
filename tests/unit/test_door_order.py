"""RULES 3.1: each check of the door alone, each pair of two, and what each says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import pytest

from schemas.door import VALUE_BYTES_MAX, Distrust, Fact, Record, decode
from schemas.envelope import Envelope
from schemas.facts import REFUND_REQUESTS, SHIPMENTS, FactType
from schemas.reasons import DoorCode
from tests.builders import T0, a_record, compact, rejects, sample

Mode = Literal["binary", "structured"]
MODES: tuple[Mode, ...] = ("binary", "structured")


class Distrusting:
    """Trust rules that refuse everything, with one code."""

    def __init__(self, code: DoorCode) -> None:
        self.code = code

    def refuses(self, fact: FactType, sent: Envelope, record: Record) -> Distrust | None:
        assert (fact.name, sent.type, record.topic) == ("refund.requested",) * 2 + (fact.topic,)
        return Distrust(self.code, "not trusted")


@dataclass
class Draft:
    """A good record in the making, with a note for a card number to stand in."""

    mode: Mode
    topic: str = REFUND_REQUESTS
    t: int = T0
    key: bytes | None = b"o-1"
    distrust: list[DoorCode] = field(default_factory=list)
    attributes: dict[str, Any] = field(
        default_factory=lambda: {
            "specversion": "1.0",
            "id": "id-1",
            "source": "/shop",
            "type": "refund.requested",
        }
    )
    data: dict[str, Any] = field(default_factory=lambda: sample("refund.requested", note="hello"))
    spoil: list[Callable[[bytes], bytes]] = field(default_factory=list)

    def record(self) -> Record:
        if self.mode == "binary":
            value = compact(self.data)
            headers = [("content-type", b"application/json")]
            headers += [(f"ce_{name}", text.encode()) for name, text in self.attributes.items()]
        else:
            value = compact({**self.attributes, "data": self.data})
            headers = [("content-type", b"application/cloudevents+json")]
        for spoil in self.spoil:
            value = spoil(value)
        return Record(self.topic, 0, 0, self.t, self.key, value, headers)


def too_large(draft: Draft) -> None:
    draft.spoil.append(lambda value: value + b" " * VALUE_BYTES_MAX)


def invalid_json(draft: Draft) -> None:
    draft.spoil.append(lambda value: value + b"!")


def duplicate_key(draft: Draft) -> None:
    draft.spoil.append(lambda value: value.replace(b"{", b'{"twice":1,"twice":1,', 1))


def bad_envelope(draft: Draft) -> None:
    del draft.attributes["source"]


def unknown_type(draft: Draft) -> None:
    draft.attributes["type"] = "refund.regretted"


def wrong_topic(draft: Draft) -> None:
    draft.topic = SHIPMENTS


def bad_signature(draft: Draft) -> None:
    draft.distrust.insert(0, "bad_signature")


def unauthorized_source(draft: Draft) -> None:
    draft.distrust.append("unauthorized_source")


def invalid_data(draft: Draft) -> None:
    draft.data["reason"] = "changed_my_mind"


def key_mismatch(draft: Draft) -> None:
    draft.key = b"o-2"


def card_number(draft: Draft) -> None:
    draft.data["note"] = "4111 1111 1111 1111"


Fault = Callable[[Draft], None]
TRUST: list[Fault] = [bad_signature, unauthorized_source]
ENVELOPE: list[Fault] = [bad_envelope, unknown_type, wrong_topic]
JSON: list[Fault] = [invalid_json, duplicate_key]
DATA: list[Fault] = [invalid_data, key_mismatch, card_number]
ORDER: dict[Mode, list[Fault]] = {
    "structured": [too_large, *JSON, *ENVELOPE, *TRUST, *DATA],
    "binary": [too_large, *ENVELOPE, *TRUST, *JSON, *DATA],
}


def code_of(*faults: Fault, mode: Mode) -> str:
    """The code of a record with these faults; the code is named like the fault."""
    draft = Draft(mode)
    for fault in faults:
        fault(draft)
    trust = Distrusting(draft.distrust[0]) if draft.distrust else None
    record = draft.record()
    rejected = rejects(record, faults[0].__name__, trust)
    assert rejected.record is record
    return rejected.code


@pytest.mark.parametrize("mode", MODES)
def test_the_good_record_itself_passes(mode: Mode) -> None:
    fact = decode(Draft(mode).record())
    assert isinstance(fact, Fact)
    assert (fact.type, fact.order_id, fact.source, fact.id, fact.t) == (
        "refund.requested",
        "o-1",
        "/shop",
        "id-1",
        T0,
    )


@pytest.mark.parametrize(
    ("mode", "fault"), [(mode, fault) for mode in MODES for fault in ORDER[mode]]
)
def test_each_fault_has_its_code(mode: Mode, fault: Fault) -> None:
    code_of(fault, mode=mode)


@pytest.mark.parametrize(
    ("mode", "first", "second"),
    [(mode, *pair) for mode in MODES for pair in combinations(ORDER[mode], 2)],
)
def test_of_two_faults_the_first_in_order_gives_the_code(
    mode: Mode, first: Fault, second: Fault
) -> None:
    code_of(first, second, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_with_all_faults_at_once_each_repair_shows_the_next(mode: Mode) -> None:
    for start in range(len(ORDER[mode])):
        code_of(*ORDER[mode][start:], mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_a_value_may_have_65536_bytes_and_not_one_more(mode: Mode) -> None:
    record = Draft(mode).record()
    assert record.value is not None
    full = record._replace(value=record.value.ljust(65_536))
    assert isinstance(decode(full), Fact)
    rejects(full._replace(value=record.value.ljust(65_537)), "too_large")


@pytest.mark.parametrize("mode", MODES)
def test_a_time_before_1970_is_a_bad_envelope_and_1970_is_not(mode: Mode) -> None:
    assert isinstance(decode(Draft(mode, t=0).record()), Fact)
    rejects(Draft(mode, t=-1).record(), "bad_envelope")


def test_a_missing_time_takes_its_turn_as_a_bad_envelope() -> None:
    for mode in MODES:
        draft = Draft(mode, t=-1)
        unknown_type(draft)
        rejects(draft.record(), "bad_envelope")
        invalid_json(draft)
        rejects(draft.record(), "invalid_json" if mode == "structured" else "bad_envelope")


@pytest.mark.parametrize("value", [None, b"", b" "])
def test_no_value_is_no_json(value: bytes | None) -> None:
    rejects(a_record("shipment.lost")._replace(value=value), "invalid_json")
    rejects(a_record("shipment.lost", mode="structured")._replace(value=value), "invalid_json")
    rejects(a_record("shipment.lost")._replace(value=value, headers=[]), "invalid_json")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("key", [None, b"", b"o-2", b"o-1 ", b"O-1", b"\xff"])
def test_the_key_is_the_order(mode: Mode, key: bytes | None) -> None:
    rejects(Draft(mode, key=key).record(), "key_mismatch")


@pytest.mark.parametrize("mode", MODES)
def test_a_subject_is_the_order_too_where_it_is_given(mode: Mode) -> None:
    for subject, passes in [("o-1", True), ("o-2", False), ("", False)]:
        draft = Draft(mode)
        draft.attributes["subject"] = subject
        assert isinstance(decode(draft.record()), Fact) == passes
        if not passes:
            rejects(draft.record(), "key_mismatch")


@pytest.mark.parametrize(("subject", "passes"), [(None, True), (5, False), (["o-1"], False)])
def test_a_structured_subject_of_null_is_absent_and_other_shapes_differ(
    subject: object, passes: bool
) -> None:
    draft = Draft("structured")
    draft.attributes["subject"] = subject
    assert isinstance(decode(draft.record()), Fact) == passes
    if not passes:
        rejects(draft.record(), "key_mismatch")


def test_a_supplier_report_is_keyed_by_its_supplier() -> None:
    fact = decode(a_record("supplier.reported"))
    assert isinstance(fact, Fact)
    assert fact.order_id is None
    rejects(a_record("supplier.reported")._replace(key=b"o-1"), "key_mismatch")


def test_a_type_in_any_topic_but_its_own_is_in_the_wrong_one() -> None:
    for topic in ("escrow.payments.v1", "escrow.refund-requests.v2", "", "foo"):
        rejects(a_record("shipment.lost")._replace(topic=topic), "wrong_topic")


def test_a_dead_letter_says_who_sent_it_as_soon_as_the_envelope_is_read() -> None:
    rejected = rejects(a_record("shipment.lost")._replace(key=None), "key_mismatch")
    assert (rejected.source, rejected.id, rejected.type) == ("/shop", "id-1", "shipment.lost")
    rejected = rejects(Draft("structured", t=-1).record(), "bad_envelope")
    assert (rejected.source, rejected.id, rejected.type) == (None, None, None)


@pytest.mark.parametrize("mode", MODES)
def test_the_detail_of_a_dead_letter_holds_no_word_of_the_sender(mode: Mode) -> None:
    secret = "c4111111111111111"  # an identifier, as names of fields are
    line = {"line_id": "l", "sku": "k", "quantity": 1, "unit_minor": 1, "options": {secret: ""}}
    for data in (
        {**sample("payment.captured"), secret: 1},
        sample("payment.captured", method=secret.upper()),
        sample("payment.captured", order={"lines": [line], "shipping_minor": 0}),
    ):
        rejected = rejects(a_record("payment.captured", data, mode=mode), "invalid_data")
        assert "411111" not in rejected.detail


def test_the_detail_names_the_field_that_is_wrong() -> None:
    line = {"line_id": "l", "sku": "", "quantity": 1, "unit_minor": 1}
    data = sample("payment.captured", order={"lines": [line], "shipping_minor": 0})
    detail = rejects(a_record("payment.captured", data), "invalid_data").detail
    assert detail == "order.lines.0.sku: string_too_short"
