"""Records that must end as dead letters, each marked with the code that it must end with.

The mark is a header that the door does not look at; `planted_code` reads it. Good records have none.
"""

import json
import random
from collections.abc import Callable
from typing import Any, Final

from schemas.door import VALUE_BYTES_MAX, Record

MARK: Final = "planted"

Hand = Callable[[random.Random, Record], Record]


def planted_code(record: Record) -> str | None:
    """The dead-letter code that this record was made for; None for a good record."""
    for name, value in record.headers:
        if name == MARK and value is not None:
            return value.decode()
    return None


def spoil(rng: random.Random, record: Record, identity: str) -> Record:
    """A bad twin of a good record; its id is `identity`, where the fault leaves it one."""
    code = rng.choice(_CODES)
    bad = rng.choice(_HANDS[code])(rng, with_header(record, "ce_id", identity.encode()))
    return bad._replace(headers=(*bad.headers, (MARK, code.encode())))


def conflict(record: Record) -> Record:
    """The same identity with other data, to be sent after the good one: `id_conflict`."""
    data = json.loads(record.value or b"{}")
    for name in ("note", "tracking_number", "asked_for", "rationale"):
        if name in data:
            data[name] = "something else"
            break
    else:
        name = next(name for name in data if name.endswith("_id") and name != _key_field(data))
        data[name] = f"{data[name]}-x"
    return _with(record, data)._replace(headers=(*record.headers, (MARK, b"id_conflict")))


def with_header(record: Record, name: str, value: bytes | None) -> Record:
    """The record with one header replaced, or without it."""
    headers = [header for header in record.headers if header[0] != name]
    if value is not None:
        headers.append((name, value))
    return record._replace(headers=tuple(headers))


def _key_field(data: dict[str, Any]) -> str:
    return "order_id" if "order_id" in data else "supplier_id"


def _with(record: Record, data: dict[str, Any]) -> Record:
    return record._replace(value=_compact(data))


def _compact(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def _value(make: Callable[[random.Random, bytes], bytes | None]) -> Hand:
    return lambda rng, record: record._replace(value=make(rng, record.value or b""))


def _data(**other: Any) -> Hand:
    return lambda _, record: _with(record, {**json.loads(record.value or b"{}"), **other})


def _header(name: str, value: bytes | None) -> Hand:
    return lambda _, record: with_header(record, name, value)


def _long(_: random.Random, value: bytes) -> bytes:
    return value + b" " * (VALUE_BYTES_MAX + 1 - len(value))


def _deep(_: random.Random, value: bytes) -> bytes:
    return value[:-1] + b',"deep":' + b"[" * 40 + b"]" * 40 + b"}"


def _noise(rng: random.Random, _: bytes) -> bytes:
    return b"\xff" + rng.randbytes(rng.randint(0, 200))


def _with_card(_: random.Random, record: Record) -> Record:
    data = {
        "order_id": (record.key or b"").decode(),
        "request_id": "req-card",
        "buyer_id": "buyer-1",
        "reason": "other",
        "amount_minor": 1,
        "currency": "EUR",
        "note": "please refund to 4111 1111 1111 1111",
    }
    spoken = with_header(record, "ce_type", b"refund.requested")
    return _with(spoken, data)._replace(topic="escrow.refund-requests.v1")


def _elsewhere(_: random.Random, record: Record) -> Record:
    topic = "escrow.shipments.v1"
    return record._replace(topic="escrow.payments.v1" if record.topic == topic else topic)


_HANDS: Final[dict[str, tuple[Hand, ...]]] = {
    "invalid_json": (
        _value(_noise),
        _value(_deep),
        _value(lambda rng, value: value[: rng.randint(0, len(value) - 1)]),
        _value(lambda _, value: b"\xef\xbb\xbf" + value),
        _value(lambda _, value: value[:-1] + b',"more":NaN}'),
        _value(lambda _, value: value[:-1] + b',"more":"\\ud800"}'),
        _value(lambda _, value: b"[" + value + b"]"),
        _value(lambda _, __: None),
    ),
    "duplicate_key": (
        _value(lambda _, value: value[:-1] + b',"order_id":"twice","\\u006frder_id":"twice"}'),
    ),
    "invalid_data": (
        _data(unknown_field=1),
        _data(order_id=5),
        _data(amount_minor=5.5),
        _data(currency="XAU", amount_minor="5"),
        _value(lambda _, __: b"{}"),
        _value(lambda _, value: value[:-1] + b',"amount_minor_":1e400}'),
    ),
    "bad_envelope": (
        _header("ce_id", b""),
        _header("ce_source", None),
        _header("ce_specversion", b"0.3"),
        _header("ce_time", b"yesterday"),
        _header("ce_source", b"\xff\xfe"),
        _header("content-type", b"text/plain"),
    ),
    "unknown_type": (_header("ce_type", b"payment.dreamt"),),
    "wrong_topic": (_elsewhere,),
    "key_mismatch": (
        _header("ce_subject", b"someone-else"),
        lambda _, record: record._replace(key=b"someone-else"),
        lambda _, record: record._replace(key=None),
    ),
    "card_number": (_with_card,),
    "too_large": (_value(_long),),
}
# too_large is rare: it fills logs
_CODES: Final = tuple(code for code in _HANDS for _ in range(1 if code == "too_large" else 10))
