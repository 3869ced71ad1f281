r"""RULES 3.1, `invalid_json` and `duplicate_key`: what is JSON, by RFC 8259 and by nothing else.

Every value stands in place of `1` in `{"order_id":"o-1","shipment_id":1}`: as JSON it may be
right, as data it never is, so that `invalid_data` here means "this was JSON".
"""

import json
from contextlib import suppress

import pytest
from hypothesis import given, strategies

from schemas.door import Fact, decode
from schemas.strict_json import DuplicateKey, NotJson, parse_object
from tests.builders import a_record, rejects

BINARY = a_record("shipment.lost")
STRUCTURED = a_record("shipment.lost", mode="structured")
SENT = b'"order_id":"o-1","shipment_id":"sh-1"'


def nested(depth: int) -> bytes:
    """An array in which the innermost one lies at this depth; the outermost object is 1."""
    return b"[" * (depth - 1) + b"]" * (depth - 1)


IS_JSON = {
    "integer": b"5",
    "minus zero": b"-0",
    "fraction": b"5.0",
    "exponent": b"1e400",
    "exponent, signs": b"-1.5E+3",
    "a long integer": b"9" * 5_000,
    "a long fraction": b"0." + b"1" * 5_000,
    "a huge exponent": b"1e" + b"9" * 500,
    "true": b"true",
    "null": b"null",
    "depth 32": nested(32),
    "a surrogate pair": rb'"\ud83d\ude00"',
    "an escaped NUL": rb'"\u0000"',
    "all escapes": rb'"\"\\\/\b\f\n\r\t"',
    "a noncharacter": b'"\xef\xbf\xbf"',
    "U+2028": b'"\xe2\x80\xa8"',
    "DEL": b'"\x7f"',
    "blanks of all four kinds": b" \t\r\n5 \t\r\n",
    "an empty name": b'{"":1}',
    "the same name in two objects": b'[{"a":1},{"a":1}]',
    "names that differ in case": b'{"a":1,"A":1}',
    "names that differ in form": '{"\u00e9":1,"e\u0301":1}'.encode(),
}
IS_NOT = {
    "nothing": b"",
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "True": b"True",
    "undefined": b"undefined",
    "a leading zero": b"05",
    "a leading plus": b"+5",
    "a bare point": b".5",
    "a bare fraction": b"5.",
    "a bare exponent": b"5e",
    "hexadecimal": b"0x5",
    "an underscore": b"1_000",
    "single quotes": b"'5'",
    "a trailing comma": b"[5,]",
    "a comment": b"5/**/",
    "depth 33": nested(33),
    "depth 33, objects": b'{"a":' * 32 + b"1" + b"}" * 32,
    "depth 10,000": nested(10_000),
    "never closed": b"[" * 30_000,
    "a high surrogate alone": rb'"\ud83d"',
    "a low surrogate alone": rb'"\ude00"',
    "a pair the wrong way round": rb'"\ude00\ud83d"',
    "a lone surrogate as a name": rb'{"\ud800":1}',
    "a lone surrogate deep inside": rb'[{"a":["\udfff"]}]',
    "a surrogate in UTF-8": b'"\xed\xa0\xbd"',
    "a control character": b'"\x01"',
    "a raw newline": b'"\n"',
    "a raw tab": b'"\t"',
    "a bad escape": rb'"\x41"',
    "a short escape": rb'"\u12"',
    "Latin-1": b'"\xe9"',
    "an overlong form": b'"\xc0\xaf"',
    "a form feed": b"\x0c5",
    "a no-break blank": b"\xc2\xa05",
}
WHOLE = {
    "a BOM": b"\xef\xbb\xbf{%s}" % SENT,
    "UTF-16": (b"{%s}" % SENT).decode().encode("utf-16"),
    "an array": b"[{%s}]" % SENT,
    "a text": b'"{}"',
    "a number": b"5",
    "null": b"null",
    "two objects": b"{%s}{}" % SENT,
    "text behind": b"{%s}x" % SENT,
    "NUL behind": b"{%s}\x00" % SENT,
    "text before": b"x{%s}" % SENT,
    "an array around a doubled name": b'[{"a":1,"a":1}]',
    "broken after a doubled name": b'{"a":1,"a":1,%s' % SENT,
    "too deep after a doubled name": b'{"a":1,"a":1,"b":%s}' % nested(33),
}
DOUBLED = {
    "at the top": b'{%s,"order_id":"o-1"}' % SENT,
    "at the top, the very same": b'{"order_id":"o-1",%s}' % SENT,
    "unknown names": b'{%s,"x":1,"x":2}' % SENT,
    "three times": b'{%s,"x":1,"x":2,"x":3}' % SENT,
    "deep inside": b'{%s,"x":[[{"y":{"z":1,"z":1}}]]}' % SENT,
    "escaped": rb'{%s,"\u006frder_id":"o-1"}' % SENT,
    "both escaped": rb'{%s,"x\u00e9":1,"x\u00E9":2}' % SENT,
    "a pair and its letter": '{%s,"\U0001f600":1,"\\ud83d\\ude00":2}'.encode() % SENT,
    "blanks before the colon": b'{%s,"order_id" :"o-1"}' % SENT,
    "empty names": b'{%s,"":1,"":1}' % SENT,
}


def structured(data: bytes) -> bytes:
    return b'{"specversion":"1.0","id":"i","source":"s","type":"shipment.lost","data":%s}' % data


@pytest.mark.parametrize("value", IS_JSON.values(), ids=IS_JSON)
def test_this_is_json(value: bytes) -> None:
    data = b'{"order_id":"o-1","shipment_id":%s}' % value
    depth_33 = value == nested(32)  # one object further out, in structured mode
    if b'"' not in value or value[:1] in b"{[":
        rejects(BINARY._replace(value=data), "invalid_data")
    else:
        assert parse_object(data)["shipment_id"] is not None
    rejects(
        STRUCTURED._replace(value=structured(data)), "invalid_json" if depth_33 else "invalid_data"
    )


@pytest.mark.parametrize("value", IS_NOT.values(), ids=IS_NOT)
def test_this_is_not(value: bytes) -> None:
    data = b'{"order_id":"o-1","shipment_id":%s}' % value
    rejects(BINARY._replace(value=data), "invalid_json")
    rejects(STRUCTURED._replace(value=structured(data)), "invalid_json")
    with_it = structured(b'{%s},"extension":%s' % (SENT, value))
    rejects(STRUCTURED._replace(value=with_it), "invalid_json")


@pytest.mark.parametrize("value", WHOLE.values(), ids=WHOLE)
def test_the_whole_value_is_one_object(value: bytes) -> None:
    rejects(BINARY._replace(value=value), "invalid_json")
    rejects(STRUCTURED._replace(value=value), "invalid_json")


@pytest.mark.parametrize("value", DOUBLED.values(), ids=DOUBLED)
def test_no_name_stands_twice(value: bytes) -> None:
    rejects(BINARY._replace(value=value), "duplicate_key")
    rejects(STRUCTURED._replace(value=structured(value)), "duplicate_key")


@pytest.mark.parametrize("name", [b"id", b"source", b"data", b"extension", b"spe\\u0063version"])
def test_no_attribute_stands_twice(name: bytes) -> None:
    value = structured(b'{%s},"extension":1' % SENT)[:-1] + b',"%s":null}' % name
    rejects(STRUCTURED._replace(value=value), "duplicate_key")


def test_a_doubled_name_among_options_is_found() -> None:
    line = b'{"line_id":"l","sku":"k","quantity":1,"unit_minor":1000,"options":{"a":"b","a":"b"}}'
    record = a_record("payment.captured")
    assert record.value is not None
    order = b',"order":{"lines":[%s],"shipping_minor":0}}' % line
    rejects(record._replace(value=record.value[:-1] + order), "duplicate_key")
    once = order.replace(b',"a":"b"}', b"}")
    assert isinstance(decode(record._replace(value=record.value[:-1] + once)), Fact)


def test_depth_32_passes_where_an_extension_may_be_deep() -> None:
    value = structured(b'{%s},"extension":%s' % (SENT, nested(32)))
    assert isinstance(decode(STRUCTURED._replace(value=value)), Fact)


def test_a_quote_and_colon_inside_a_text_is_no_name() -> None:
    for text in (b":", b":::", b'\\":\\":', b"a:b"):
        fact = decode(
            a_record("shipment.delivered")._replace(
                value=b'{"order_id":"o-1","shipment_id":"sh-1","signed_by":"%s"}' % text
            )
        )
        assert isinstance(fact, Fact)


JSON_TEXT = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-(10**30), 10**30)
    | strategies.text(max_size=5),
    lambda inner: (
        strategies.lists(inner, max_size=4)
        | strategies.dictionaries(strategies.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(strategies.dictionaries(strategies.text(max_size=3), JSON_TEXT, max_size=4))
def test_what_pythons_own_writer_writes_is_read_back(value: dict[str, object]) -> None:
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        try:
            raw = text.encode()
        except UnicodeEncodeError:
            continue
        assert parse_object(raw) == value


@given(
    strategies.binary(max_size=40)
    | strategies.text(alphabet='{}[]":,\\u0d8 1eE.+-ntrue').map(str.encode)
)
def test_any_bytes_are_an_object_or_refused(raw: bytes) -> None:
    with suppress(NotJson, DuplicateKey):
        assert isinstance(parse_object(raw), dict)
