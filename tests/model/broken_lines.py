"""Files with lines that are not, or only just, records of RULES 5: most end with exit code 2.

Also the other way round: spellings of a line that look broken and are not.
"""

import json
import random

from tests.model.generator import generate
from tests.model.strict_json import Json, Number, compact

NAMES = ["topic", "key", "timestamp_ms", "headers", "value", "value_base64", "partition", ""]
ODD_VALUES: list[Json] = [
    None,
    True,
    False,
    0,
    -1,
    5,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    Number("-0"),
    Number("1.0"),
    Number("1e3"),
    Number("1e400"),
    Number("9" * 5000),
    "",
    "x",
    "\ud800",
    "\udc00\ud800",
    "a\u2028\u0085b",
    "e30=",
    "e30",
    "e31=",
    "e3 0=",
    "e30=\n",
    "-_-_",
    "====",
    "é===",
    [],
    ["x"],
    {},
    {"": ""},
    {"a": None},
    {"a": 5},
    {"a": "\udc00"},
    {"\udc00": "a"},
    {"content-type": "application/json"},
    {"specversion": "\ud800"},
    {"a": [Number("1e400"), Number("5.0"), "\ud83d\ude00"]},
]
BLANKS = [
    b"",
    b" ",
    b"\t \r",
    b"\x0c",
    b"\x0b",
    b"\xc2\xa0",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\x00",
]
WHOLE = [b"{}", b"[]", b"null", b"5", b'"x"', b"{", b"nul", b"\xff", b"//", b"{'a':1}"]


def other_member(rng: random.Random, line: bytes) -> bytes:
    parsed = json.loads(line)
    parsed.pop(rng.choice(list(parsed)), None) if rng.random() < 0.3 else None
    if rng.random() < 0.85:
        parsed[rng.choice(NAMES)] = rng.choice(ODD_VALUES)
    return compact(parsed).encode()


def other_byte(rng: random.Random, line: bytes) -> bytes:
    at = rng.randrange(len(line) + 1)
    new = bytes([rng.choice([*b'{}[]",:\\ \t\r\x00\x0c019-.eNtfu/', rng.randrange(256)])])
    return line[:at] + new + line[at + rng.choice([0, 1]) :]


def other_word(rng: random.Random, line: bytes) -> bytes:
    """A number or word that Python's own parser would take, or spell in another way."""
    parsed = json.loads(line)
    parsed["value"] = {"a": "MARK"} if rng.random() < 0.7 else "MARK"
    parsed.pop("value_base64", None)
    words = [b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b"1.", b".1", b"-0", b"-0.0", b"1E5"]
    words += [b'"\\ud800"', b'"\\uD83D\\uDE00"', b'"\\u0000"', b'"\x7f"', b'"\t"', b'"\\/"', b"{}"]
    words += [b'{"a":1,"\\u0061":2}', b'{"a":' * 40 + b"1" + b"}" * 40, b"[" * 3000 + b"]" * 3000]
    words += [b"[" * 3000 + b"]" * 2999, b"[" * 1500 + b"}" + b"]" * 1499]
    return compact(parsed).encode().replace(b'"MARK"', rng.choice(words))


def broken_file(seed: int) -> bytes:
    """A short file with one odd line, seldom two."""
    rng = random.Random(f"lines {seed}")
    lines = generate(1000 * seed + 1, 1, 6, 0.2)[0].split(b"\n")
    lines = [line for line in lines if line.strip()]
    for _ in range(rng.choice([1, 1, 1, 2])):
        at = rng.randrange(len(lines))
        hand = rng.random()
        if hand < 0.4:
            lines[at] = rng.choice([other_member, other_word])(rng, compact_line(lines[at]))
        elif hand < 0.75:
            lines[at] = other_byte(rng, lines[at])
        elif hand < 0.85:
            lines.insert(at, rng.choice(BLANKS))
        elif hand < 0.95:
            lines[at] = rng.choice(BLANKS) + lines[at] + rng.choice(BLANKS)
        else:
            lines.insert(at, rng.choice(WHOLE))
    return rng.choice([b"\n", b"\n", b"\r\n"]).join(lines)


def compact_line(line: bytes) -> bytes:
    """Something that Python's own parser can read back, whatever was in the line."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return b'{"topic":"foo","key":null,"timestamp_ms":1,"value":{}}'
    return line
