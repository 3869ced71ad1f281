"""RULES 2, the envelope: CloudEvents 1.0 on Kafka; which mode, and what is well formed."""

import pytest

from tests.builders import a_record, rejects
from tests.unit.records import BOTH, Mode, structured, takes, with_headers

# --- the mode (2) ---


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/cloudevents+json",
        b"Application/CloudEvents+JSON",
        b"application/cloudevents+json; charset=utf-8",
        b" application/cloudevents+json ;x",
    ],
)
def test_the_content_type_says_structured(content_type: bytes) -> None:
    takes(structured()._replace(headers=[("content-type", content_type)]))


def test_no_content_type_and_no_specversion_is_structured() -> None:
    takes(structured()._replace(headers=[]))
    takes(structured()._replace(headers=[("ce_type", b"x"), ("ce_id", b"\xff")]))
    takes(structured()._replace(headers=[("Content-Type", b"text/plain")]))
    takes(structured()._replace(headers=[("content-type", None), ("ce_specversion", None)]))


def test_in_structured_mode_ce_headers_are_ignored() -> None:
    headers = [("content-type", b"application/cloudevents+json"), ("ce_id", b""), ("ce_x", b"\xff")]
    assert takes(structured()._replace(headers=headers)).id == "id-1"


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"APPLICATION/JSON",
        b"application/json;charset=utf-8",
        b"application/json ;",
    ],
)
def test_binary_content_types(content_type: bytes) -> None:
    takes(with_headers(("content-type", content_type)))


@pytest.mark.parametrize(
    "content_type",
    [
        b"",
        b"text/plain",
        b"application/xml",
        b"application/cloudevents",
        b"application/jsonx",
        b"\xff",
    ],
)
def test_any_other_content_type_is_a_bad_envelope(content_type: bytes) -> None:
    rejects(with_headers(("content-type", content_type)), "bad_envelope")
    rejects(structured()._replace(headers=[("content-type", content_type)]), "bad_envelope")


def test_binary_mode_without_a_content_type_is_a_bad_envelope() -> None:
    rejects(with_headers(without="content-type"), "bad_envelope")
    rejects(with_headers(("content-type", None)), "bad_envelope")


# --- the envelope (2) ---


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
@pytest.mark.parametrize("mode", BOTH)
def test_required_attributes(name: str, mode: Mode) -> None:
    if mode == "structured":
        wrong: tuple[object, ...] = (..., None, "", 1, True, {}, [], 1.0)
        for value in wrong:
            rejects(structured(**{name: value}), "bad_envelope")
    else:
        rejects(with_headers(without=f"ce_{name}"), "bad_envelope")
        for raw in (b"", b"\xff", None):
            record = with_headers((f"ce_{name}", raw))
            # without `ce_specversion` and with a content type it is binary all the same
            rejects(record, "bad_envelope")


@pytest.mark.parametrize("version", ["1.1", "0.3", "1", "1.0 "])
def test_only_specversion_1_0(version: str) -> None:
    rejects(structured(specversion=version), "bad_envelope")
    rejects(with_headers(("ce_specversion", version.encode())), "bad_envelope")


@pytest.mark.parametrize("name", ["id", "source"])
@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("x" * 256, True),
        ("x" * 257, False),
        ("\U0001f600" * 256, True),
        ("\U0001f600" * 257, False),
        ("a b", True),
        (" ", True),
        ("\u2028\ufeff", True),
        ("a\nb", False),
        ("\x00", False),
        ("\x7f", False),
        ("\x85", False),
        ("\x9f", False),
        ("\xa0", True),
    ],
)
def test_ids_and_sources_have_256_code_points_and_no_controls(
    name: str, text: str, passes: bool
) -> None:
    for record in (with_headers((f"ce_{name}", text.encode())), structured(**{name: text})):
        if passes:
            assert getattr(takes(record), name) == text
        else:
            rejects(record, "bad_envelope")


def test_of_several_headers_with_one_name_the_last_counts() -> None:
    assert takes(with_headers(("ce_id", b"second"))).id == "second"
    assert takes(with_headers(("ce_id", b"\xff"), ("ce_id", b"third"))).id == "third"
    assert takes(with_headers(("ce_subject", b"x"), ("ce_subject", None))).id == "id-1"


def test_header_names_match_exactly() -> None:
    rejects(with_headers(("CE_ID", b"x"), without="ce_id"), "bad_envelope")
    assert takes(with_headers(("CE_ID", b"x"), ("Ce_Time", b"x"))).id == "id-1"


def test_only_the_values_we_read_must_be_utf_8() -> None:
    takes(with_headers(("trace", b"\xff\xfe")))
    rejects(with_headers(("ce_anything", b"\xff")), "bad_envelope")


@pytest.mark.parametrize("value", ["AAAA", "", {}, 5, False])
def test_data_base64_is_a_bad_envelope(value: object) -> None:
    rejects(structured(data_base64=value), "bad_envelope")
    rejects(structured(data_base64=value, data=...), "bad_envelope")
    takes(structured(data_base64=None))
    takes(with_headers(("ce_data_base64", b"AAAA")))


@pytest.mark.parametrize(
    ("content_type", "passes"),
    [
        (None, True),
        ("application/json", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("text/json", True),
        ("application/foo+json", True),
        ("text/plain", False),
        ("json", False),
        ("", False),
        (5, False),
        ({}, False),
    ],
)
def test_datacontenttype_must_be_json(content_type: object, passes: bool) -> None:
    record = structured(datacontenttype=content_type)
    if passes:
        takes(record)
    else:
        rejects(record, "bad_envelope")
    takes(with_headers(("ce_datacontenttype", b"text/plain")))


def test_time_must_be_rfc_3339() -> None:
    for time in ("", "yesterday", "2026-01-31", "2026-01-31T10:00:00"):
        rejects(structured(time=time), "bad_envelope")
        rejects(with_headers(("ce_time", time.encode())), "bad_envelope")
    rejects(structured(time=5), "bad_envelope")
    takes(structured(time=None))


@pytest.mark.parametrize("mode", BOTH)
def test_a_record_without_a_timestamp_is_a_bad_envelope(mode: Mode) -> None:
    takes(a_record("payment.captured", mode=mode, t=0))
    rejects(a_record("payment.captured", mode=mode, t=-1), "bad_envelope")
