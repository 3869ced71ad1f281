"""Hands that spoil, or nearly spoil, the bytes of a value (RULES 3.1 `invalid_json`, `duplicate_key`, `too_large`)."""

import random
from collections.abc import Callable

ByteHand = Callable[[random.Random, bytes], bytes]


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
