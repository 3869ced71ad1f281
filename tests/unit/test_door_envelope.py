"""RULES 2, envelope: which mode a record is in, and which attributes are well formed."""

from typing import Any

import pytest

from schemas.door import Fact, Record, decode
from tests.builders import a_record, compact, rejects, sample

STRUCTURED_TYPE = b"application/cloudevents+json"
Headers = list[tuple[str, bytes | None]]
BINARY = a_record("shipment.lost")
HEADERS: Headers = list(BINARY.headers)


def binary(*changes: tuple[str, bytes | None], without: str = "") -> Record:
    """The good binary record, with headers added behind, or one taken away."""
    return BINARY._replace(headers=[h for h in HEADERS if h[0] != without] + list(changes))


def structured(headers: Headers | None = None, /, **attributes: Any) -> Record:
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": "id-1",
        "source": "/shop",
        "type": "shipment.lost",
    }
    event |= {"data": sample("shipment.lost")} | attributes
    value = compact({name: value for name, value in event.items() if value is not ...})
    if headers is None:
        headers = [("content-type", STRUCTURED_TYPE)]
    return BINARY._replace(headers=headers, value=value)


def passes(record: Record) -> Fact:
    fact = decode(record)
    assert isinstance(fact, Fact), fact
    return fact


@pytest.mark.parametrize(
    "headers",
    [
        [("content-type", STRUCTURED_TYPE)],
        [("content-type", b"APPLICATION/CloudEvents+JSON")],
        [("content-type", b"application/cloudevents+json; charset=UTF-8")],
        [("content-type", b" application/cloudevents+json ;x")],
        [("content-type", b"text/plain"), ("content-type", STRUCTURED_TYPE)],
        [("content-type", STRUCTURED_TYPE), ("ce_specversion", b"0.3"), ("ce_id", b"\xff")],
        [],
        [("trace", b"\xff")],
        [("Content-Type", b"text/plain"), ("ce_id", b"x"), ("CE_SPECVERSION", b"1.0")],
        [("content-type", None)],
        [("content-type", STRUCTURED_TYPE), ("content-type", STRUCTURED_TYPE)],
        [("ce_specversion", b"1.0"), ("ce_specversion", None)],
    ],
)
def test_the_value_is_the_whole_event(headers: Headers) -> None:
    assert passes(structured(headers)).id == "id-1"


@pytest.mark.parametrize(
    "headers",
    [
        [("content-type", b"application/json")],
        [("content-type", b"application/cloudevents-batch+json")],
        [("content-type", b"application/cloudevents")],
        [("content-type", b"text/plain")],
        [("content-type", b"")],
        [("content-type", b"\xff")],
        [("content-type", STRUCTURED_TYPE), ("content-type", b"application/json")],
        [("ce_specversion", b"1.0")],
        [("ce_specversion", b"")],
    ],
)
def test_all_else_is_binary_and_here_lacks_its_attributes(headers: Headers) -> None:
    rejects(structured(headers), "bad_envelope")


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"Application/JSON",
        b"application/json; charset=utf-8",
        b"application/json ;v=1",
    ],
)
def test_binary_data_are_json(content_type: bytes) -> None:
    passes(binary(("content-type", content_type)))


@pytest.mark.parametrize(
    "content_type",
    [
        b"text/json",
        b"application/problem+json",
        b"application/octet-stream",
        b"",
        b"json",
        b"\xff",
        b"application/json\xff",
        None,
    ],
)
def test_binary_data_of_another_kind_are_a_bad_envelope(content_type: bytes | None) -> None:
    rejects(binary(("content-type", content_type)), "bad_envelope")


def test_binary_without_a_content_type_is_a_bad_envelope() -> None:
    rejects(binary(without="content-type"), "bad_envelope")


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type"])
def test_the_required_attributes_are_required(name: str) -> None:
    if name != "specversion":
        rejects(binary(without=f"ce_{name}"), "bad_envelope")
        rejects(binary((f"ce_{name}", None)), "bad_envelope")
    rejects(binary((f"ce_{name}", b"")), "bad_envelope")
    rejects(binary((f"ce_{name}", b"\xff")), "bad_envelope")
    for value in (..., None, "", 1, True, 1.0, ["1.0"], {"a": 1}):
        rejects(structured(**{name: value}), "bad_envelope")


@pytest.mark.parametrize("version", ["0.3", "1", "1.0.0", "1.1", "v1.0", " 1.0"])
def test_the_version_is_one_point_zero(version: str) -> None:
    rejects(binary(("ce_specversion", version.encode())), "bad_envelope")
    rejects(structured(specversion=version), "bad_envelope")


@pytest.mark.parametrize("name", ["id", "source"])
def test_id_and_source_have_1_to_256_code_points_without_control_characters(name: str) -> None:
    for good in ("x", "x" * 256, "\U0001f600" * 256, " ", "é\u2028\u200b", "a/b?c#d"):
        passes(binary((f"ce_{name}", good.encode())))
        assert getattr(passes(structured(**{name: good})), name) == good
    for bad in ("x" * 257, "\U0001f600" * 257, "a\nb", "a\n", "\t", "\0", "\x7f", "\x80", "\x9f"):
        rejects(binary((f"ce_{name}", bad.encode())), "bad_envelope")
        rejects(structured(**{name: bad}), "bad_envelope")


def test_a_type_of_any_other_text_is_unknown() -> None:
    for text in ("x", "Payment.captured", "payment.captured ", "\n", "x" * 5_000):
        rejects(binary(("ce_type", text.encode())), "unknown_type")
        rejects(structured(type=text), "unknown_type")


TIMES = [
    "2026-01-31T10:00:00Z",
    "2026-01-31T10:00:00.1Z",
    "2026-01-31T10:00:00.123456789123456789Z",
    "2026-01-31T10:00:00+00:00",
    "2026-01-31T10:00:00-00:00",
    "2026-01-31T10:00:00+23:59",
    "2026-01-31T23:59:59-12:34",
    "2026-01-31t10:00:00z",
    "2024-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "0000-02-29T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "1990-12-31T23:59:60Z",
    "1990-12-31T15:59:60-08:00",
    "1991-01-01T08:59:60.5+09:00",
]
NO_TIMES = [
    "",
    "2026-01-31",
    "2026-01-31T10:00:00",
    "2026-01-31 10:00:00Z",
    "2026-01-31T10:00Z",
    "2026-01-31T10Z",
    "20260131T100000Z",
    "2026-W05-6T10:00:00Z",
    "2026-031T10:00:00Z",
    "2026-01-31T10:00:00,5Z",
    "2026-01-31T10:00:00.Z",
    "2026-01-31T10:00:00+0000",
    "2026-01-31T10:00:00+00",
    "2026-01-31T10:00:00+24:00",
    "2026-01-31T10:00:00+00:60",
    "2026-01-31T24:00:00Z",
    "2026-01-31T10:60:00Z",
    "2026-01-31T10:00:60Z",
    "1990-12-31T23:59:61Z",
    "1990-12-31T23:59:60+01:00",
    "2026-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2026-04-31T00:00:00Z",
    "2026-00-01T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-00T00:00:00Z",
    "12026-01-31T10:00:00Z",
    "-2026-01-31T10:00:00Z",
    " 2026-01-31T10:00:00Z",
    "2026-01-31T10:00:00Z ",
    "2026-01-31T10:00:00Z\n",
    "２０２６-01-31T10:00:00Z",
    "2026-1-31T10:00:00Z",
    "now",
]


@pytest.mark.parametrize("time", TIMES)
def test_this_is_a_time(time: str) -> None:
    assert passes(binary(("ce_time", time.encode()))).time == time
    assert passes(structured(time=time)).time == time
    passes(a_record("deadline.reached", sample("deadline.reached", due_at=time)))


@pytest.mark.parametrize("time", NO_TIMES)
def test_this_is_none(time: str) -> None:
    rejects(binary(("ce_time", time.encode())), "bad_envelope")
    rejects(structured(time=time), "bad_envelope")
    rejects(a_record("deadline.reached", sample("deadline.reached", due_at=time)), "invalid_data")


def test_a_structured_time_of_another_shape_is_a_bad_envelope_and_null_is_absent() -> None:
    shapes: list[Any] = [0, 1.5, True, [], {}]
    for time in shapes:
        rejects(structured(time=time), "bad_envelope")
    assert passes(structured(time=None)).time is None


@pytest.mark.parametrize(
    ("content_type", "good"),
    [
        (None, True),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/json", True),
        ("application/problem+json", True),
        ("", False),
        ("json", False),
        ("text/plain", False),
        ("application/xml", False),
        ("application/jsonp", False),
        (5, False),
        (True, False),
        ({}, False),
    ],
)
def test_a_datacontenttype_that_is_not_json_is_a_bad_envelope(
    content_type: object, good: bool
) -> None:
    record = structured(datacontenttype=content_type)
    if good:
        passes(record)
    else:
        rejects(record, "bad_envelope")


@pytest.mark.parametrize("base64", ["", "e30=", 5, False, {}])
def test_data_in_base64_are_not_taken(base64: object) -> None:
    rejects(structured(data_base64=base64), "bad_envelope")
    rejects(structured(data_base64=base64, data=...), "bad_envelope")
    passes(structured(data_base64=None))


def test_a_structured_event_without_data_has_invalid_data() -> None:
    shapes: list[Any] = [..., None, [], "{}", 5, True]
    for data in shapes:
        rejects(structured(data=data), "invalid_data")
    rejects(structured(data=..., type="shipment.found"), "unknown_type")


def test_in_binary_mode_data_attributes_are_extensions_like_any_other() -> None:
    passes(binary(("ce_data", b"x"), ("ce_data_base64", b"x"), ("ce_datacontenttype", b"a/b")))


def test_extensions_are_carried_along() -> None:
    fact = passes(binary(("ce_traceparent", b"00-1"), ("ce_zone", b"eu"), ("zone", b"\xff")))
    assert fact.extensions == (("traceparent", "00-1"), ("zone", "eu"))
    fact = passes(structured(traceparent="00-1", sequence=7, dataschema="https://example.org"))
    assert dict(fact.extensions)["traceparent"] == "00-1"
    assert dict(fact.extensions)["sequence"] == 7


@pytest.mark.parametrize("value", [None, True, 1, 10**30, 1.5, "x", [], {"a": [1, {}]}])
def test_extensions_may_be_anything_that_json_is(value: object) -> None:
    assert passes(structured(extension=value)).order_id == "o-1"


def test_of_several_headers_the_last_counts_also_where_it_is_null() -> None:
    assert passes(binary(("ce_id", b"id-2"), ("ce_id", b"id-3"))).id == "id-3"
    passes(binary(("ce_time", b"soon"), ("ce_time", None)))
    rejects(binary(("ce_id", None)), "bad_envelope")
    assert passes(binary(("ce_id", None), ("ce_id", b"id-2"))).id == "id-2"


def test_header_names_match_exactly() -> None:
    rejects(binary(("CE_ID", b"x"), ("ce-id", b"x"), without="ce_id"), "bad_envelope")
    rejects(binary(("Content-Type", b"application/json"), without="content-type"), "bad_envelope")


def test_only_our_own_headers_must_be_utf_8() -> None:
    passes(binary(("trace", b"\xff"), ("cE_x", b"\xff")))
    rejects(binary(("ce_x", b"\xff")), "bad_envelope")
