"""Hands that spoil, or nearly spoil, the data of a fact: one function an idea, many with harmless twins."""

import random
from collections.abc import Callable

from tests.model.shapes import AMOUNT_MAX
from tests.model.strict_json import Json, Number

Data = dict[str, Json]
DataHand = Callable[[random.Random, Data], None]

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
