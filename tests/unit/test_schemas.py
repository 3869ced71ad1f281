"""The catalogues agree with RULES 2 and with each other; canonical bytes are for ever."""

from hashlib import sha256
from typing import Any, Final, get_args

import pytest

from schemas import reasons
from schemas.door import seal, sealed_digest
from schemas.facts import FACT_TYPES, INPUT_TOPICS, STAGE_TOPICS, TYPE_OF_MODEL
from schemas.money import EXPONENTS, format_amount
from tests.builders import SAMPLES, a_fact, sample
from tests.unit.wire import TYPES

# --- the catalogue of facts ---


def test_topics_and_types_are_those_of_rules_2() -> None:
    assert {topic: list(types) for topic, types in TYPES.items()} == {
        topic: [fact.name for fact in FACT_TYPES.values() if fact.topic == topic]
        for topic in INPUT_TOPICS
    }


@pytest.mark.parametrize("name", FACT_TYPES)
def test_each_type_has_the_fields_of_rules_2(name: str) -> None:
    fact = FACT_TYPES[name]
    wanted = TYPES[fact.topic][name]
    assert set(fact.model.model_fields) == set(wanted)
    optional = {field for field, kind in wanted.items() if kind.endswith("?")}
    assert {n for n, f in fact.model.model_fields.items() if not f.is_required()} == optional


def test_each_topic_has_one_stage_named_by_its_stem() -> None:
    for stage, topic in STAGE_TOPICS.items():
        assert topic == f"escrow.{stage.replace('_', '-')}.v1"
    assert set(STAGE_TOPICS.values()) == set(INPUT_TOPICS)
    assert all(STAGE_TOPICS[fact.stage] == fact.topic for fact in FACT_TYPES.values())


def test_each_type_has_a_model_of_its_own() -> None:
    assert {fact.model: name for name, fact in FACT_TYPES.items()} == TYPE_OF_MODEL
    assert len(TYPE_OF_MODEL) == len(FACT_TYPES) == 24


@pytest.mark.parametrize("name", FACT_TYPES)
def test_every_model_is_frozen_strict_and_closed(name: str) -> None:
    config = FACT_TYPES[name].model.model_config
    assert (config["frozen"], config["strict"], config["extra"]) == (True, True, "forbid")


def test_free_text_is_a_note_or_a_rationale() -> None:
    with_text = {name: fact.free_text for name, fact in FACT_TYPES.items() if fact.free_text}
    assert with_text == {
        "refund.requested": "note",
        "ruling.issued": "rationale",
        "command.reissued": "note",
        "supplier.reported": "note",
    }


# --- canonical bytes: a changed one would make every stored fact look like a conflict ---

ORDER: Final[dict[str, Any]] = {
    "shipping_minor": 0,
    "promised_by": "2026-01-31T10:00:00+01:00",
    "lines": [
        {
            "unit_minor": 500,
            "quantity": 2,
            "sku": "SKU é \U0001f600",
            "line_id": "l-1",
            "options": {"size": "L", "colour": "rot"},
        },
        {"line_id": "l-1", "sku": "s", "quantity": 1, "unit_minor": 0, "options": None},
    ],
}
GOLDEN: Final[dict[str, str]] = {
    "payment.captured": "364e2494687d489d",
    "payment.charged_back": "58fd1e1faed1d0e1",
    "payment.chargeback_closed": "bb753aa848d79c51",
    "shipment.dispatched": "c03e904f79626aa8",
    "shipment.delivered": "6a537ccfca7603ca",
    "shipment.lost": "eb5e540da8e9e344",
    "shipment.returned": "7bcd3eb8695214c3",
    "shipment.customs_charged": "ceb8aee98c8dee20",
    "delivery.confirmed": "985624d473002f2f",
    "refund.requested": "537785a0a5708bde",
    "refund.offered": "aec461a1a3050b9a",
    "refund.offer_accepted": "b1768a3b9a9046a9",
    "refund.offer_declined": "9a9c15ac1c223fb0",
    "refund.withdrawn": "7297a97a931f1710",
    "evidence.submitted": "a7def59d7fcb9fe4",
    "mediation.requested": "5b6712c5e081d99e",
    "ruling.issued": "31a1e26fe02881f4",
    "gateway.accepted": "54a260ea82280568",
    "gateway.settled": "bdbe46a8e8a3ba7c",
    "gateway.failed": "2af37e0ee9cd39a8",
    "gateway.returned": "0d99484b6268bae9",
    "command.reissued": "9ebe8afb06d5e978",
    "deadline.reached": "bda9c4103e00b202",
    "supplier.reported": "5eb94a6f371b7667",
}


def golden_digest(name: str) -> str:
    changes: dict[str, Any] = {"order": ORDER} if name == "payment.captured" else {}
    return a_fact(name, **changes).digest.hex()[:16]


@pytest.mark.parametrize("name", FACT_TYPES)
def test_the_canonical_form_of_a_type_never_changes(name: str) -> None:
    assert golden_digest(name) == GOLDEN[name]


def test_canonical_data_are_fields_in_model_order_without_nulls_or_spaces() -> None:
    fact = a_fact("payment.captured", order=ORDER)
    text = (
        '{"order_id":"o-1","payment_id":"p-1","buyer_id":"b-1","supplier_id":"s-1",'
        '"amount_minor":1000,"currency":"EUR","method":"visa","paid_through":"escrow",'
        '"agreement_accepted":true,"order":{"lines":[{"line_id":"l-1","sku":"SKU é \U0001f600",'
        '"quantity":2,"unit_minor":500,"options":{"colour":"rot","size":"L"}},'
        '{"line_id":"l-1","sku":"s","quantity":1,"unit_minor":0}],"shipping_minor":0,'
        '"promised_by":"2026-01-31T10:00:00+01:00"}}'
    )
    assert fact.payload == text.encode()
    assert fact.digest == sha256(b"payment.captured\n" + text.encode()).digest()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_stored_payload_is_read_back_as_the_same_fact(name: str) -> None:
    fact = a_fact(name)
    assert FACT_TYPES[name].model.model_validate_json(fact.payload) == fact.data


def test_a_sealed_text_can_be_forgotten_and_the_digest_still_proved() -> None:
    fact = a_fact("refund.requested", note="hello")
    sealed = seal(fact, b"salt")
    assert sealed.text_digest == sha256(b"salthello").digest()
    assert sealed.digest == sha256(fact.digest + sealed.text_digest).digest()
    assert sealed_digest(fact.digest, sealed.text_digest) == sealed.digest
    assert seal(fact, b"pepper").digest != sealed.digest
    plain = a_fact("refund.requested")
    assert seal(plain, b"salt") is plain
    assert sealed_digest(plain.digest, None) == plain.digest


# --- reasons and money ---


def words(literal: object) -> set[str]:
    return {w for arg in get_args(literal) for w in ([arg] if isinstance(arg, str) else words(arg))}


@pytest.mark.parametrize(
    ("sentences", "codes"),
    [
        (reasons.DEAD_LETTERS, reasons.DeadLetterCode),
        (reasons.REFUSALS, reasons.RefusalCode),
        (reasons.PARKED, reasons.ParkCode),
        (reasons.NOT_PROTECTED, reasons.AppliedCode),
        (reasons.ALARMS, reasons.AlarmCode),
    ],
)
def test_every_code_has_its_sentence(sentences: dict[str, str], codes: object) -> None:
    assert set(sentences) == words(codes)
    assert all(text[0].isupper() and text.endswith(".") for text in sentences.values())


def test_codes_of_refusals_and_of_waiting_are_told_apart() -> None:
    assert not reasons.REFUSALS.keys() & reasons.PARKED.keys()
    assert not reasons.DEAD_LETTERS.keys() & (reasons.REFUSALS.keys() | reasons.PARKED.keys())


@pytest.mark.parametrize(
    ("currency", "exponent"), [("EUR", 2), ("JPY", 0), ("BHD", 3), ("UYI", 0), ("CHE", 2)]
)
def test_exponents(currency: str, exponent: int) -> None:
    assert EXPONENTS[currency] == exponent


@pytest.mark.parametrize("currency", ["XAU", "XXX", "XTS", "XDR", "CLF", "UYW", "DEM", "eur", ""])
def test_what_is_no_currency_here(currency: str) -> None:
    assert currency not in EXPONENTS
    assert set(EXPONENTS.values()) == {0, 2, 3}


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1999, "EUR", "19.99 EUR"),
        (5, "EUR", "0.05 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (1, "JPY", "1 JPY"),
        (1234567, "KWD", "1,234.567 KWD"),
        (2**53 - 1, "USD", "90,071,992,547,409.91 USD"),
        (7, None, "7"),
        (7, "???", "7 ???"),
    ],
)
def test_amounts_are_written_for_people_by_whole_numbers(
    amount: int, currency: str | None, text: str
) -> None:
    assert format_amount(amount, currency) == text


def test_samples_hold_what_is_required_and_nothing_more() -> None:
    for name, fact in FACT_TYPES.items():
        required = {n for n, f in fact.model.model_fields.items() if f.is_required()}
        assert sample(name).keys() == required
