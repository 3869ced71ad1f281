"""Hands that spoil, or nearly spoil, a record before it is written down: one function an idea.

Some change the data, some the envelope, some the bytes; many have harmless twins just inside the limit.
"""

import random
from collections.abc import Callable

from tests.model.shapes import AMOUNT_MAX
from tests.model.spelling import Draft
from tests.model.strict_json import Json, Number

Data = dict[str, Json]
DataHand = Callable[[random.Random, Data], None]
DraftHand = Callable[[random.Random, Draft], None]
ByteHand = Callable[[random.Random, bytes], bytes]

CARDS = [
    "4111111111111111",
    "4111 1111-1111 1111",
    "pay5500005555555559now",
    "2223003122003222",
    "6011-1111 1111 1117",
    "3530111333300000",
    "12 4111111111111111 9",  # groups before and behind
    "4222222222222",  # 13 digits
    "6304000000000000000",  # 19 digits
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "999-4111-1111-1111-1111-999",
]
NEARLY_CARDS = [
    "4111111111111112",  # Luhn
    "1111111111111117",  # begins with 1
    "7111111111111115",
    "4111  1111 1111 1111",  # two spaces
    "4111.1111.1111.1111",
    "4111\u00a01111\u00a01111\u00a01111",
    "4111–1111–1111–1111",
    "04111111111111111",  # inside a group
    "41111111111111119999",  # a group of 20
    "٤١١١١١١١١١١١١١١١",  # digits, but not ASCII
    "42222222222",  # too short
    "4111 -1111 -1111 -1111",
]
BAD_INTEGERS: list[Json] = [
    0,
    -1,
    Number("5.0"),
    Number("1e2"),
    Number("1E0"),
    Number("5.5"),
    Number("1e400"),
    Number("-1e-9999"),
    Number("9" * 5000),
    Number("18446744073709551616"),
    AMOUNT_MAX + 1,
    True,
    False,
    "5",
    None,
    [],
    {},
]
TEXTS = ["x" * 200, "x" * 201, "\U0001f600" * 200, "\U0001f600" * 201, "", "a\u0000", "a\u001f"]
TEXTS += ["a\u007f", "a\u0085", "\u009fa", "a\tb", "a\nb", "\u2028\ufeff\uffff", " ", "a\u00adb"]
IDS: list[Json] = ["a" * 64, "a" * 65, "", "-a", "a b", "a\n", "é", "٣", "A_.:-9", 5, None, "a/b"]
INTEGER_NAMES = ("amount_minor", "size_bytes", "refund_minor")
LONG_TEXTS = {"note": 2000, "rationale": 4000, "uri": 2000}
CARD_FIELDS = {
    "reason": "note",
    "reissue_id": "note",
    "ruling_id": "rationale",
    "report_id": "note",
}
CARD_FIELDS |= {"evidence_id": "uri", "packaging": "signed_by"}
SHORT_TEXTS: tuple[str, ...] = (
    "carrier",
    "tracking_number",
    "signed_by",
    "media_type",
    "gateway_reference",
)
SHORT_TEXTS += ("reason_code", "asked_for")


def pick(rng: random.Random, data: Data, *names: str) -> str | None:
    present = [name for name in names if name in data]
    return rng.choice(present) if present else None


# the data


def bad_integer(rng: random.Random, data: Data) -> None:
    if name := pick(rng, data, *INTEGER_NAMES):
        data[name] = rng.choice(BAD_INTEGERS)


def unknown_field(rng: random.Random, data: Data) -> None:
    data[rng.choice(["extra", "Order_id", "amount_minor ", "buyer_id?"])] = rng.choice([None, 1])


def missing_field(rng: random.Random, data: Data) -> None:
    del data[rng.choice(list(data))]


def null_field(rng: random.Random, data: Data) -> None:
    data[rng.choice(list(data))] = None


def wrong_kind(rng: random.Random, data: Data) -> None:
    values: list[Json] = [5, "text", True, [], {}, ["a"], {"a": 1}, Number("0.1")]
    data[rng.choice(list(data))] = rng.choice(values)


def odd_text(rng: random.Random, data: Data) -> None:
    if name := pick(rng, data, *SHORT_TEXTS, *LONG_TEXTS):
        data[name] = rng.choice(TEXTS)


def long_text(rng: random.Random, data: Data) -> None:
    if name := pick(rng, data, *LONG_TEXTS):
        most = LONG_TEXTS[name]
        data[name] = rng.choice(["é" * most, "é" * (most + 1), "\t\n\r", "a\vb", ""])


def card(rng: random.Random, data: Data) -> None:
    names = ("note", "rationale", "signed_by", "asked_for", "uri")
    allowed = [n for owner, n in CARD_FIELDS.items() if owner in data]
    name = pick(rng, data, *names) or pick(rng, data, *SHORT_TEXTS)
    if allowed and rng.random() < 0.8:
        name = rng.choice(allowed)
    if name:
        data[name] = rng.choice(["", "a", " "]) + rng.choice(CARDS + NEARLY_CARDS)


def odd_id(rng: random.Random, data: Data) -> None:
    if name := pick(rng, data, *(each for each in data if each.endswith("_id"))):
        data[name] = rng.choice(IDS)


def odd_currency(rng: random.Random, data: Data) -> None:
    if "currency" in data:
        codes = ["usd", "XAU", "XXX", "XTS", "CLF", "UYW", "DEM", "US", "USDX", "USD ", "", "840"]
        data["currency"] = rng.choice([*codes, "JPY", "KWD", "UYI", "CHE"])


def odd_digest(rng: random.Random, data: Data) -> None:
    if "sha256" in data:
        data["sha256"] = rng.choice(["A" * 64, "a" * 63, "a" * 65, "g" * 64, "a" * 64 + "\n"])


def odd_word(rng: random.Random, data: Data) -> None:
    names = ("reason", "by", "outcome", "cause", "packaging", "paid_through", "kind")
    if name := pick(rng, data, *names):
        data[name] = rng.choice(["Buyer", "", "other ", "lost", "won", None, 1])


def odd_method(rng: random.Random, data: Data) -> None:
    if "method" in data:
        data["method"] = rng.choice(["Visa", "", "a" * 32, "a" * 33, "visa\n", "a-b", "_"])


def odd_flag(rng: random.Random, data: Data) -> None:
    if name := pick(rng, data, "agreement_accepted", "retryable"):
        data[name] = rng.choice([0, 1, "true", None])


def odd_ruling(rng: random.Random, data: Data) -> None:
    if "ruling_id" in data:
        data["outcome"] = rng.choice(["refund_full", "refund_partial", "release"])
        data["refund_minor"] = rng.choice([None, 1, 0])


def odd_order(rng: random.Random, data: Data) -> None:
    """Lines, options and sums at and over their limits."""
    if "paid_through" not in data:
        return
    amount = data.get("amount_minor")
    line: Data = {"line_id": "l", "sku": "s", "quantity": 1, "unit_minor": 0}
    order: Data = {"lines": [line], "shipping_minor": amount}
    count = rng.choice([0, 200, 201, 1])
    options: list[Json] = [
        {f"n{i}": "v" for i in range(20)},
        {f"n{i}": "v" for i in range(21)},
        {rng.choice(CARDS): "v"},
        {"n": rng.choice(CARDS)},
        {"n": None},
        {"n": 5},
        {"": "v"},
        {"n": "x" * 201},
        [],
    ]
    changes: list[Callable[[], None]] = [
        lambda: order.update(lines=[line] * count),
        lambda: order.update(lines=None),
        lambda: order.update(shipping_minor=0),
        lambda: order.update(extra=1),
        lambda: order.update(promised_by=rng.choice(TIMES)),
        lambda: order.update(delivery_address_sha256="A" * 64),
        lambda: line.update(quantity=rng.choice([10**6, 10**6 + 1, 0])),
        lambda: line.update(unit_minor=rng.choice([-1, 1, AMOUNT_MAX, None])),
        lambda: line.update(unit_minor=Number("-0")),
        lambda: line.update(options=rng.choice(options)),
        lambda: line.update(sku=rng.choice(TEXTS)),
        lambda: line.update(line_id=rng.choice(IDS)),
    ]
    rng.choice(changes)()
    data["order"] = order


def same_party(_: random.Random, data: Data) -> None:
    if "supplier_id" in data:
        data["supplier_id"] = data["buyer_id"]


def odd_due(rng: random.Random, data: Data) -> None:
    if "due_at" in data:
        data["due_at"] = rng.choice(TIMES)


# the envelope

TIMES: list[Json] = [
    "2026-01-31T10:00:00Z",
    "2026-01-31T10:00:00.123456789+00:00",
    "2024-02-29T23:59:59-23:59",
    "2026-01-31T10:00:00-00:00",
    "2025-02-29T10:00:00Z",
    "2026-01-32T10:00:00Z",
    "2026-13-01T10:00:00Z",
    "2026-01-31T24:00:00Z",
    "2026-01-31T10:60:00Z",
    "2026-01-31T10:00Z",
    "2026-01-31 10:00:00Z",
    "2026-01-31T10:00:00",
    "2026-01-31T10:00:00.Z",
    "2026-01-31T10:00:00,5Z",
    "2026-01-31T10:00:00+0100",
    "2026-01-31T10:00:00+01",
    "2026-01-31T10:00:00+24:00",
    "2026-01-31T10:00:00+01:60",
    "20260131T100000Z",
    "2026-W05-6T10:00:00Z",
    "2026-01-31",
    "2026-01-31T10:00:00Z ",
    "٢٠٢٦-01-31T10:00:00Z",
    "1769853600",
    "",
]
NAMES = ["", "n" * 256, "n" * 257, "é\U0001f600" * 128, "a\u0000b", "a\u009f", " ", "/x?y#z"]


def odd_time(rng: random.Random, draft: Draft) -> None:
    more: list[Json] = [None, 5, ["2026-01-31T10:00:00Z"]] if draft.structured else []
    draft.attributes["time"] = rng.choice(TIMES + more)


def odd_attribute(rng: random.Random, draft: Draft) -> None:
    name = rng.choice(["specversion", "id", "source", "type"])
    values: list[Json] = [*NAMES, "1.1", "1.0 ", "0.3", "1"]
    if draft.structured:
        values += [None, 1, Number("1.0"), True, {}, ["1.0"]]
    draft.attributes[name] = rng.choice(values)


def missing_attribute(rng: random.Random, draft: Draft) -> None:
    del draft.attributes[rng.choice(["specversion", "id", "source", "type"])]


def odd_type(rng: random.Random, draft: Draft) -> None:
    types = ["payment.Captured", "payment.captured ", "refund.issue", "command.status_requested"]
    draft.attributes["type"] = rng.choice([*types, "order.changed", "x\u0000", "x" * 300])


def other_type(rng: random.Random, draft: Draft) -> None:
    draft.attributes["type"] = rng.choice(["shipment.lost", "ruling.issued", "gateway.settled"])


def other_topic(rng: random.Random, draft: Draft) -> None:
    topics = ["escrow.payments.v1", "escrow.shipments.v1", "escrow.order-events.v1", "foo", ""]
    draft.topic = rng.choice(topics)


def odd_subject(rng: random.Random, draft: Draft) -> None:
    about = draft.data.get("order_id") or draft.data.get("supplier_id")
    values: list[Json] = [about, about, "someone", "", f"{about} "]
    if draft.structured:
        values += [None, 5, [about]]
    draft.attributes["subject"] = rng.choice(values)


def odd_key(rng: random.Random, draft: Draft) -> None:
    draft.key = rng.choice([None, "", "someone", f"{draft.key} ", f"{draft.key}".swapcase()])


def odd_extension(rng: random.Random, draft: Draft) -> None:
    values: list[Json] = ["4111111111111111", "x\u0000y"]
    if draft.structured:
        values += [None, True, {"deep": [Number("1e400")]}, Number("9" * 400), ["a", {}]]
    draft.attributes[rng.choice(["traceparent", "Foo-Bar", "", "dataschema"])] = rng.choice(values)


def odd_content_type(rng: random.Random, draft: Draft) -> None:
    values = ["text/plain", "application/cloudevents-batch+json", "", "application/json+x", "json"]
    values += ["application/cloudevents+json", "application/json", "application/cloudevents", ";"]
    draft.headers[rng.choice(["content-type", "content-type", "Content-Type"])] = rng.choice(values)


def dropped_header(rng: random.Random, draft: Draft) -> None:
    draft.dropped_headers |= {rng.choice(["content-type", "ce_specversion", "ce_id", "ce_type"])}


def stray_header(rng: random.Random, draft: Draft) -> None:
    draft.headers[rng.choice(["ce_specversion", "CE_ID", "ce_", "ce_time"])] = rng.choice(
        ["1.0", ""]
    )


def odd_datacontenttype(rng: random.Random, draft: Draft) -> None:
    good = ["application/json", "application/json; charset=utf-8", "Application/JSON", None]
    draft.members["datacontenttype"] = rng.choice([*good, "text/plain", "application/xml", 5, ""])


def odd_data_base64(rng: random.Random, draft: Draft) -> None:
    draft.members["data_base64"] = rng.choice([None, "eyJ9", "", 5])


def odd_data(rng: random.Random, draft: Draft) -> None:
    if rng.random() < 0.3:
        draft.dropped_members |= {"data"}
    else:
        draft.members["data"] = rng.choice([None, [], "{}", 5, {}, True])


def negative_t(rng: random.Random, draft: Draft) -> None:
    draft.t = rng.choice([-1, -(2**63 - 1), -5, 0])


# the bytes


def cut(rng: random.Random, raw: bytes) -> bytes:
    return raw[: rng.randrange(len(raw))]


def garbage(rng: random.Random, _: bytes) -> bytes:
    things = [b"", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b"{}", b"[{}]", b"{]", b" ", b"\x00"]
    things += [b"[" * 33, b"[" * 60_000, b'{"a":' * 30_000, b"{'a':1}", b"{a:1}", b"true", b"nul"]
    return rng.choice(things)


def around(rng: random.Random, raw: bytes) -> bytes:
    before = [b"\xef\xbb\xbf", b" ", b"\n\t\r ", b"\x0c", "\u00a0".encode(), b"//c\n", b""]
    after = [b"", b" \n", b"}", b",", b"\x00", b"{}", b"\x0b", "\u2028".encode()]
    return rng.choice(before) + raw + rng.choice(after)


def other_encoding(rng: random.Random, raw: bytes) -> bytes:
    return raw.decode().encode(rng.choice(["utf-16", "utf-16-le", "utf-32", "utf-8-sig"]))


def member(rng: random.Random, raw: bytes) -> bytes:
    """One more member in the outermost object: an odd value, or a name that is there already."""
    values = [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"01", b"1.", b".5", b"+1", b"-", b"-0"]
    values += [b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\ud83dx"', b'"\xff"']
    values += [b'"\\u12"', b'"\\x41"', b'"\t"', b'"\\u0000"', b"0x10", b"True", b"1_000", b'"\x7f"']
    values += [b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'"\xf4\x90\x80\x80"', b"[1,]", b"{,}", b"'a'"]
    values += [b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'[{"b":{"a":0,"a":NaN}}]', b"1 2", b"5"]
    values += [b"[" * n + b"]" * n for n in (30, 31, 32)] + [
        b'{"":' * n + b"1" + b"}" * n for n in (31, 32)
    ]
    name = rng.choice([b"zz", b"order_id", b"\\u006frder_id", b"id", b"i\\u0064", b"\\ud800", b""])
    at = raw.index(b"{") + 1
    rest = raw[at:].lstrip()
    comma = b"" if rest.startswith(b"}") else b","
    return raw[:at] + b'"' + name + b'":' + rng.choice(values) + comma + raw[at:]


def deep(rng: random.Random, raw: bytes) -> bytes:
    """An extension exactly as deep as allowed, or one deeper; harmless only in a structured event."""
    n = rng.choice([31, 32])
    opened, closed = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    inner = b"" if opened == b"[" else b"1"
    at = raw.rindex(b"}")
    return raw[:at] + b',"ext":' + opened * n + inner + closed * n + raw[at:]


def padded(rng: random.Random, raw: bytes) -> bytes:
    return raw + b" " * (65_536 + rng.choice([0, 0, 1]) - len(raw))


def flipped(rng: random.Random, raw: bytes) -> bytes:
    at = rng.randrange(len(raw))
    return raw[:at] + bytes([rng.randrange(256)]) + raw[at + 1 :]


DATA_HANDS: list[DataHand] = [
    bad_integer,
    unknown_field,
    missing_field,
    null_field,
    wrong_kind,
    odd_text,
    long_text,
    card,
    card,
    odd_id,
    odd_currency,
    odd_digest,
    odd_word,
    odd_method,
    odd_flag,
    odd_ruling,
    odd_order,
    same_party,
    odd_due,
]
DRAFT_HANDS: list[DraftHand] = [
    odd_time,
    odd_attribute,
    missing_attribute,
    odd_type,
    other_type,
    other_topic,
    odd_subject,
    odd_key,
    odd_extension,
    odd_content_type,
    dropped_header,
    stray_header,
    odd_datacontenttype,
    odd_data_base64,
    odd_data,
    negative_t,
]
BYTE_HANDS: list[ByteHand] = [
    cut,
    garbage,
    around,
    other_encoding,
    member,
    member,
    member,
    deep,
    padded,
    flipped,
]
