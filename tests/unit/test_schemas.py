"""The wire words: types, topics and models are one catalogue; what identity hangs on never changes."""

import re
from hashlib import sha256
from types import UnionType
from typing import Final, get_args

import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from schemas import commands, order_events, reasons
from schemas.facts import (
    FACT_TYPES,
    INPUT_TOPICS,
    STAGE_TOPICS,
    TYPE_OF_MODEL,
    FactData,
)
from schemas.words import WireModel
from tests.builders import SAMPLES, a_fact, compact, sample
from tests.unit.wire import FIELDS, TYPES

STEMS: Final = [
    "payments",
    "shipments",
    "refund_requests",
    "mediation_rulings",
    "gateway_results",
    "operator_actions",
    "deadlines",
    "supplier_reports",
]


def test_the_catalogue_is_the_table_of_rules_2() -> None:
    found: dict[str, dict[str, list[str]]] = {}
    for name, fact in FACT_TYPES.items():
        assert fact.name == name
        found.setdefault(fact.topic, {})[name] = list(fact.model.model_fields)
    assert found == {
        topic: {name: list(fields) for name, fields in types.items()}
        for topic, types in TYPES.items()
    }
    assert tuple(TYPES) == INPUT_TOPICS


def test_a_field_is_required_exactly_where_rules_2_says_so() -> None:
    for name, fields in FIELDS.items():
        models = FACT_TYPES[name].model.model_fields
        optional = {field for field, kind in fields.items() if kind.endswith("?")}
        assert {field for field, info in models.items() if not info.is_required()} == optional


def test_a_stem_is_a_stage_a_topic_and_a_file() -> None:
    assert list(STAGE_TOPICS) == STEMS
    for fact in FACT_TYPES.values():
        assert fact.topic == "escrow." + fact.stage.replace("_", "-") + ".v1"
        assert fact.model.__module__ == f"schemas.{fact.stage}"


def test_each_type_has_a_model_of_its_own_and_all_are_in_the_union() -> None:
    models = {fact.model for fact in FACT_TYPES.values()}
    assert len(models) == len(FACT_TYPES) == 24
    assert isinstance(FactData, UnionType)
    assert set(get_args(FactData)) == models
    assert {FACT_TYPES[name].model: name for name in FACT_TYPES} == TYPE_OF_MODEL


@pytest.mark.parametrize("name", FACT_TYPES)
def test_models_are_closed_strict_and_frozen(name: str) -> None:
    model = FACT_TYPES[name].model
    config = model.model_config
    assert (config["frozen"], config["strict"], config["extra"]) == (True, True, "forbid")
    data = model.model_validate(sample(name))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(data, next(iter(model.model_fields)), "x")


@pytest.mark.parametrize("name", FACT_TYPES)
def test_no_error_shows_a_value(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FACT_TYPES[name].model.model_validate_json(b'{"order_id":"4111 1111 1111 1111"}')
    assert "4111" not in str(caught.value)


def holds_a_float(info: FieldInfo) -> bool:
    return "float" in str(info.annotation) or "Decimal" in str(info.annotation)


def test_no_model_knows_a_float() -> None:
    sent = [commands, order_events]
    models = [fact.model for fact in FACT_TYPES.values()]
    models += [m for module in sent for m in vars(module).values() if is_model(m)]
    assert len(models) > 30
    for model in models:
        assert not any(holds_a_float(info) for info in model.model_fields.values()), model


def is_model(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, WireModel)


# SHA-256 over type, LF and canonical payload of each type's sample in tests/builders.py. The
# database holds such digests for ever: another value here means that every fact sent again
# would be taken for a conflict. Never change one; a new form needs a new type.
DIGESTS: Final = {
    "payment.captured": "7101a8be0654dcbc70d1e3d338437d5f3638159105cadf094668a82a013b822a",
    "payment.charged_back": "58fd1e1faed1d0e1884d50957301ae0ef34c01a43d867e17787ea6369949afd5",
    "payment.chargeback_closed": "bb753aa848d79c51b6adb1adaafa5dcf74855658d45db35cf9c6fdac994e7381",
    "shipment.dispatched": "c03e904f79626aa82ac4b5f9a0a85f766cf74086fe6db0776dfa543881bc1bad",
    "shipment.delivered": "6a537ccfca7603ca9c19e231e67dad483e500ef2d3caca25a5ed0f9cc186dbfd",
    "shipment.lost": "eb5e540da8e9e3440750a59faa9ba79f3854ce37c5eaf773cb4405a83e5aef85",
    "shipment.returned": "7bcd3eb8695214c3a3f143efa6117dee261f456dc05c15f5175d788b6fe291cc",
    "shipment.customs_charged": "ceb8aee98c8dee200e937893e448d49011f92027e4aa821ae83c97a1f6d13150",
    "delivery.confirmed": "985624d473002f2f2fcfbe3b416511f15376cc9ade91c4924e08c994b0553a40",
    "refund.requested": "537785a0a5708bde15439918206db91a8b078d7375e87a55a43e8610fbcda9b3",
    "refund.offered": "aec461a1a3050b9a36cf1c7c5e35974c6a476f39ecb5e7432142cc99373c4b08",
    "refund.offer_accepted": "b1768a3b9a9046a933ab7471591f87aa3889d3ba5c1bca89666a80b2f29591d3",
    "refund.offer_declined": "9a9c15ac1c223fb050aebfd8da1785c9bb1847c1dfad8d5d642901cea861e676",
    "refund.withdrawn": "7297a97a931f17103726a007608f568e934a8f7a08a286781c33913a87f7bd59",
    "evidence.submitted": "a7def59d7fcb9fe44a7c976ee8d64644dc092c81a9137d04ec64bf34d1819e2c",
    "mediation.requested": "5b6712c5e081d99e08a20be79c02630e011f363b53b5397c6b07a695cc4ab856",
    "ruling.issued": "31a1e26fe02881f4723b8cf38d2ac7a7bdfb085e77c9dd1cad1d3fca71295b28",
    "gateway.accepted": "54a260ea822805683f6c28030edbc71a8ec4aed130b590f0816f4acbc27e9d01",
    "gateway.settled": "bdbe46a8e8a3ba7cddb26a64bf785322bd8517da54635c77049e68918d460b39",
    "gateway.failed": "2af37e0ee9cd39a8dd8d6304d5c0a6e8ebb7ed70d190e96fef55702e83282479",
    "gateway.returned": "0d99484b6268bae94b476b0d3abeef10d0571505e6cc5e9246711d37c4c38407",
    "command.reissued": "9ebe8afb06d5e978f3b132fbfc0266bc0dc9b083abd2435532e4a2313e5124e4",
    "deadline.reached": "bda9c4103e00b2029285992a221575cd1f9fda3e8132100162a4a801e2b5310a",
    "supplier.reported": "5eb94a6f371b76670adae5ec204f4510c459d5c625245462771dee84c5216918",
}


def test_the_digests_by_which_facts_are_known_again_never_change() -> None:
    assert {name: a_fact(name).digest.hex() for name in SAMPLES} == DIGESTS


@pytest.mark.parametrize("name", FACT_TYPES)
def test_a_digest_is_that_of_the_compact_fields_in_the_order_of_rules_2(name: str) -> None:
    data = sample(name)
    payload = compact({field: data[field] for field in FIELDS[name] if field in data})
    fact = a_fact(name)
    assert fact.payload == payload
    assert fact.digest == sha256(name.encode() + b"\n" + payload).digest()


def test_the_canonical_form_of_an_order_never_changes() -> None:
    line = {
        "unit_minor": 500,
        "quantity": 2,
        "sku": 'Größe \u2028 "M"/\\',
        "line_id": "l",
        "options": {"z": "1", "a": "é"},
    }
    order = {
        "promised_by": "2026-01-31T10:00:00+01:00",
        "shipping_minor": 0,
        "delivery_address_sha256": "0" * 64,
        "lines": [line],
    }
    fact = a_fact("payment.captured", order=order)
    assert fact.digest.hex() == "8d8c9347848ac53f5cdb8476327afca87995649cf9c9174eca1ba80260359f36"
    line["options"] = {"a": "é", "z": "1"}
    assert a_fact("payment.captured", order=order).digest == fact.digest


def test_free_text_is_kept_apart_from_the_payload() -> None:
    plain, noted = a_fact("refund.requested"), a_fact("refund.requested", note="because")
    assert (noted.text, plain.text) == ("because", None)
    assert noted.payload == plain.payload
    assert a_fact("ruling.issued", rationale="so").text == "so"
    assert b"asked_for" in a_fact("supplier.reported", note="x").payload


CATALOGUES: Final = [
    (reasons.DeadLetterCode, reasons.DEAD_LETTERS),
    (reasons.RefusalCode, reasons.REFUSALS),
    (reasons.ParkCode, reasons.PARKED),
    (reasons.AppliedCode, reasons.NOT_PROTECTED),
    (reasons.AlarmCode, reasons.ALARMS),
]


def words(literal: object) -> list[str]:
    return [
        word
        for arg in get_args(literal)
        for word in ([arg] if isinstance(arg, str) else words(arg))
    ]


@pytest.mark.parametrize(("literal", "sentences"), CATALOGUES)
def test_every_code_has_one_sentence(literal: object, sentences: dict[str, str]) -> None:
    assert list(sentences) == words(literal)
    for code, sentence in sentences.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code)
        assert re.fullmatch(r"[A-Z].*\.", sentence)
    assert len(set(sentences.values())) == len(sentences)


def test_the_outcomes_are_five() -> None:
    assert reasons.OUTCOMES == ("applied", "refused", "parked", "duplicate", "dead_letter")
