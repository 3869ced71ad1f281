"""A signature covers all that decides what a record does; whatever is changed after it is found out."""

from typing import Any, Final

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from schemas.door import Fact, Record, decode
from schemas.envelope import last_headers
from schemas.facts import FACT_TYPES
from schemas.keys import b64url
from schemas.signatures import (
    HEADER,
    HEADER_BYTES_MAX,
    SIGNATURES_MAX,
    Unsigned,
    covered,
    payload_of,
    signature_header,
)
from schemas.trust import AllOf, SignatureRules, SourceRules
from tests.attack.keys import DAY_MS, private_of, ring, signed, signing
from tests.builders import SAMPLES, T0, a_record, compact, rejects, sample
from tests.unit.records import BOTH, Mode, structured

EVERY_STAGE: Final = tuple(fact.stage for fact in FACT_TYPES.values())
RULES: Final = SignatureRules(ring(), EVERY_STAGE, stamped_by_broker=True)


def detail(record: Record, rules: SignatureRules = RULES) -> str:
    return rejects(record, "bad_signature", rules).detail


def with_signature(record: Record, text: str | bytes | None) -> Record:
    value = text.encode() if isinstance(text, str) else text
    kept = [(name, raw) for name, raw in record.headers if name != HEADER]
    return record._replace(headers=[*kept, (HEADER, value)])


def signature_of(record: Record) -> str:
    return last_headers(record.headers)[HEADER].decode()


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize("type_name", SAMPLES)
def test_what_is_signed_by_its_source_passes(type_name: str, mode: Mode) -> None:
    record = signed(a_record(type_name, mode=mode), "shop")
    assert isinstance(decode(record, RULES), Fact)


@pytest.mark.parametrize("mode", BOTH)
def test_what_is_not_signed_does_not(mode: Mode) -> None:
    record = a_record("payment.captured", mode=mode)
    assert detail(record) == "it is not signed"
    assert detail(record._replace(headers=[*record.headers, (HEADER, None)])) == "it is not signed"


def test_nobody_is_asked_where_no_signature_is_required_but_a_wrong_one_is_never_taken() -> None:
    rules = SignatureRules(ring(), ["refund_requests"], stamped_by_broker=True)
    record = a_record("payment.captured")
    assert isinstance(decode(record, rules), Fact)
    assert isinstance(decode(signed(record, "shop"), rules), Fact)
    rejects(signed(record, "carrier"), "bad_signature", rules)
    rejects(a_record("refund.requested"), "bad_signature", rules)


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(
    "change",
    [
        {"key": b"o-2"},
        {"key": None},
        {"value": b"{}"},
        {"value": None},
    ],
)
def test_a_change_of_place_or_bytes_is_found_out(mode: Mode, change: dict[str, Any]) -> None:
    record = signed(a_record("shipment.lost", mode=mode), "shop")
    altered = record._replace(**change)
    code = "bad_signature"
    if mode == "structured" and "value" in change:  # what is no event has no signature either
        code = "invalid_json" if change["value"] is None else "bad_envelope"
    rejects(altered, code, RULES)


@pytest.mark.parametrize("mode", BOTH)
def test_a_signature_for_another_topic_is_none(mode: Mode) -> None:
    record = a_record("shipment.lost", mode=mode)
    elsewhere = signed(record._replace(topic="escrow.payments.v1"), "shop")
    rejects(elsewhere, "wrong_topic", RULES)
    assert detail(elsewhere._replace(topic=record.topic)) == "its signature does not fit it"


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_subject", "content-type"])
def test_a_change_of_the_envelope_is_found_out(name: str) -> None:
    record = a_record("shipment.lost")
    record = signed(record._replace(headers=[*record.headers, ("ce_subject", b"o-1")]), "shop")
    assert isinstance(decode(record, RULES), Fact)
    changed = {
        "ce_id": b"id-2",
        "ce_source": b"/carrier/1",
        "ce_subject": b"o-2",
        "content-type": b"application/json; charset=utf-8",
    }
    assert detail(record._replace(headers=[*record.headers, (name, changed[name])]))
    gone = [(n, raw) for n, raw in record.headers if n != name]
    rejects(
        record._replace(headers=gone),
        "bad_signature" if name == "ce_subject" else "bad_envelope",
        RULES,
    )


def test_a_change_of_type_within_one_topic_is_found_out() -> None:
    record = signed(a_record("shipment.lost"), "shop")
    altered = record._replace(headers=[*record.headers, ("ce_type", b"shipment.delivered")])
    assert detail(altered) == "its signature does not fit it"


def test_a_structured_event_says_nothing_unsigned() -> None:
    record = signed(structured(subject="o-1"), "shop")
    assert isinstance(decode(record, RULES), Fact)
    for change in ({"id": "id-2"}, {"source": "/carrier/1"}, {"subject": ...}, {"time": None}):
        altered = structured(**{"subject": "o-1", **change})
        assert detail(with_signature(altered, signature_of(record)))
    assert detail(signed_anyway(structured(subject=5))) == "its subject is not a text"


def signed_anyway(record: Record) -> Record:
    return with_signature(record, f"{protected('shop')}..{'A' * 86}")


def protected(kid: str, **more: Any) -> str:
    return b64url(compact({"alg": "EdDSA", "kid": kid, **more}))


def test_extensions_are_carried_along_unsigned_and_decide_nothing() -> None:
    record = signed(a_record("shipment.lost"), "shop")
    fact = decode(record._replace(headers=[*record.headers, ("ce_traceparent", b"00-1")]), RULES)
    assert isinstance(fact, Fact)
    assert fact.extensions == (("traceparent", "00-1"),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a detached JWS"),
        ("a.b.c", "not a detached JWS"),
        ("é", "not a detached JWS"),
        ("x" * (HEADER_BYTES_MAX + 1), "too long"),
        (",".join(["a..b"] * (SIGNATURES_MAX + 1)), "too many"),
        (f"{protected('nobody')}..{'A' * 86}", "unknown"),
        (f"{protected('shop')}..{'A' * 85}", "not a detached JWS"),
        (f"{protected('shop')}..{'A' * 85}B", "not a detached JWS"),  # stray bits at the end
        (f"{protected('shop')}..{'*' * 86}", "not a detached JWS"),
        (f"{protected('shop')}..{'A' * 86}", "does not fit"),
        (f"{protected('shop')}=..{'A' * 86}", "not a detached JWS"),
        (f"{protected('shop', b64=False, crit=['b64'])}..{'A' * 86}", "not a detached JWS"),
        (f"{protected('shop', jwk={'kty': 'OKP'})}..{'A' * 86}", "not a detached JWS"),
        (b64url(b'{"alg":"none","kid":"shop"}') + "..", "not a detached JWS"),
        (b64url(b'{"alg":"EdDSA","alg":"none","kid":"shop"}') + f"..{'A' * 86}", "not a detached"),
        (b64url(b'{"alg":"HS256","kid":"shop"}') + f"..{'A' * 86}", "not a detached JWS"),
        (b64url(b'{"alg":"EdDSA","kid":7}') + f"..{'A' * 86}", "not a detached JWS"),
        (b64url(b"[]") + f"..{'A' * 86}", "not a detached JWS"),
    ],
)
def test_what_is_no_signature_is_a_bad_one(text: str, why: str) -> None:
    assert why in detail(with_signature(a_record("shipment.lost"), text))


def test_an_attached_payload_is_not_taken() -> None:
    record = signed(a_record("shipment.lost"), "shop")
    head, _, tail = signature_of(record).partition("..")
    assert "not a detached" in detail(with_signature(record, f"{head}.e30.{tail}"))


@pytest.mark.parametrize(
    ("holder", "why"),
    [
        ("carrier", "does not speak for this source"),
        ("anna", "may not sign this type"),
        ("relay", "may not sign this type"),
        ("stolen", "is revoked"),
        ("old", "has run out"),
        ("next", "does not count yet"),
    ],
)
def test_a_key_is_good_for_its_sources_its_types_and_its_time_alone(holder: str, why: str) -> None:
    assert why in detail(signed(a_record("shipment.lost"), holder))


def test_an_old_key_and_its_successor_overlap() -> None:
    early, late = (a_record("shipment.lost", t=T0 + ms) for ms in (-1, 1))
    assert isinstance(decode(signed(early, "old"), RULES), Fact)
    assert "run out" in detail(signed(late, "old"))
    assert isinstance(decode(signed(late, "next"), RULES), Fact)
    assert "not count yet" in detail(signed(early, "next"))


def test_a_revoked_key_counts_before_that_instant_only_where_the_broker_stamps_records() -> None:
    early = signed(a_record("shipment.lost", t=T0 - DAY_MS), "stolen")
    assert isinstance(decode(early, RULES), Fact)
    by_sender = SignatureRules(ring(), EVERY_STAGE, stamped_by_broker=False)
    assert "revoked" in detail(early, by_sender)


def test_a_key_with_a_known_name_and_another_private_half_signs_nothing() -> None:
    record = a_record("shipment.lost")
    forged = signature_header(
        signing("mallory", kid="shop"), record.topic, record.key, record.value, record.headers
    )
    assert detail(record._replace(headers=[*record.headers, forged])) == (
        "its signature does not fit it"
    )


def test_of_several_signatures_every_one_must_hold_and_one_must_be_the_sources() -> None:
    record = a_record("ruling.issued")._replace(
        headers=[
            (n, b"/mediators/anna" if n == "ce_source" else v)
            for n, v in a_record("ruling.issued").headers
        ]
    )
    assert isinstance(decode(signed(record, "anna", "boris"), RULES), Fact)
    assert isinstance(decode(signed(record, "boris", "anna"), RULES), Fact)
    assert "speak for" in detail(signed(record, "boris"))
    both = signature_of(signed(record, "anna", "boris"))
    assert "does not fit" in detail(with_signature(record, f"{both[:-2]}AA"))


def test_signatures_are_asked_before_sources() -> None:
    both = AllOf(RULES, SourceRules({}))
    rejects(a_record("shipment.lost"), "bad_signature", both)
    rejects(signed(a_record("shipment.lost"), "shop"), "unauthorized_source", both)


# RFC 9864 gives Ed25519 a name of its own; the algorithm is the same.
@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("mode", BOTH)
def test_any_library_can_verify_it_and_sign_so_that_we_take_it(mode: Mode) -> None:
    record = a_record("refund.requested", sample("refund.requested", note="ü\n"), mode=mode)
    payload = payload_of(
        covered(record.topic, record.key, record.value, last_headers(record.headers))
    )
    raw = private_of("shop")
    key = OKPKey.import_key(
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": b64url(raw.public_key().public_bytes_raw()),
            "d": b64url(raw.private_bytes_raw()),
        }
    )
    head, _, tail = signature_of(signed(record, "shop")).partition("..")
    attached = f"{head}.{b64url(payload)}.{tail}"
    assert jws.deserialize_compact(attached, key, algorithms=["EdDSA"]).payload == payload
    theirs = jws.serialize_compact(
        {"alg": "EdDSA", "kid": "shop"}, payload, key, algorithms=["EdDSA"]
    )
    head, _, tail = theirs.split(".")
    assert isinstance(decode(with_signature(record, f"{head}..{tail}"), RULES), Fact)


def test_the_signed_bytes_are_what_the_documents_say() -> None:
    record = a_record("shipment.lost", {"order_id": "o-1", "shipment_id": "s"})
    what = covered(record.topic, record.key, record.value, last_headers(record.headers))
    assert payload_of(what) == (
        b"19:escrow.shipments.v1,3:o-1,3:1.0,5:/shop,4:id-1,13:shipment.lost,-,"
        b'16:application/json,36:{"order_id":"o-1","shipment_id":"s"},'
    )


def test_what_is_no_cloudevent_cannot_be_signed() -> None:
    with pytest.raises(Unsigned, match="no CloudEvent"):
        signature_header(signing("shop"), "t", b"k", b"{}", [])
