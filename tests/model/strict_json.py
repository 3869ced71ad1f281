"""JSON by RFC 8259, character by character, and nothing more (RULES 3.1 `invalid_json`, `duplicate_key`).

Small integers become `int`; every other number keeps its spelling as `Number`, so that no number is too long.
"""

import json
import re
from dataclasses import dataclass
from typing import TypeAlias


class NotJson(Exception):
    """The text is not JSON, is nested too deep, or escapes a lone surrogate."""


@dataclass(frozen=True)
class Number:
    """A number with a fraction, an exponent or more than 30 digits: never a valid integer for us."""

    text: str


@dataclass(frozen=True)
class Doubled:
    """An object with one name twice, as it stands in a line of the dry run."""

    members: "list[tuple[str, Json]]"


Json: TypeAlias = "bool | int | str | Number | list[Json] | dict[str, Json] | Doubled | None"

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
LONE = re.compile("[\ud800-\udfff]")
ESCAPES = {
    '"': '"',
    "\\": "\\",
    "/": "/",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
}
WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


class _Reader:
    def __init__(self, text: str, depth_max: int | None, *, as_written: bool) -> None:
        self.text = text
        self.as_written = as_written
        self.at = 0
        self.depth_max = depth_max
        self.doubled = False

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def take(self, expected: str) -> None:
        if self.peek() != expected:
            raise NotJson(f"{expected!r} expected at {self.at}")
        self.at += 1

    def blanks(self) -> None:
        while self.peek() and self.peek() in " \t\n\r":
            self.at += 1

    def value(self, depth: int) -> Json:
        """`depth` is how many objects and arrays are open around this value."""
        char = self.peek()
        if char and char in "{[":
            if self.depth_max is not None and depth + 1 > self.depth_max:
                raise NotJson("nested too deep")
            return self.object(depth + 1) if char == "{" else self.array(depth + 1)
        if char == '"':
            return self.string()
        for word, meaning in WORDS.items():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return meaning
        return self.number()

    def number(self) -> int | Number:
        match = NUMBER.match(self.text, self.at)
        if match is None:
            raise NotJson(f"no value at {self.at}")
        self.at = match.end()
        spelling = match.group()
        whole = match.group(1) is None and match.group(2) is None
        return int(spelling) if whole and len(spelling) <= 30 else Number(spelling)

    def object(self, depth: int) -> dict[str, Json] | Doubled:
        found: list[tuple[str, Json]] = []
        self.take("{")
        self.blanks()
        if self.peek() == "}":
            self.at += 1
            return {}
        while True:
            self.blanks()
            name = self.string()
            self.blanks()
            self.take(":")
            self.blanks()
            found.append((name, self.value(depth)))
            self.blanks()
            if self.peek() == "}":
                self.at += 1
                return self.members(found)
            self.take(",")

    def members(self, found: "list[tuple[str, Json]]") -> dict[str, Json] | Doubled:
        doubled = len(dict(found)) != len(found)
        self.doubled = self.doubled or doubled
        return Doubled(found) if doubled and self.as_written else dict(found)

    def array(self, depth: int) -> list[Json]:
        found: list[Json] = []
        self.take("[")
        self.blanks()
        if self.peek() == "]":
            self.at += 1
            return found
        while True:
            self.blanks()
            found.append(self.value(depth))
            self.blanks()
            if self.peek() == "]":
                self.at += 1
                return found
            self.take(",")

    def string(self) -> str:
        self.take('"')
        parts: list[str] = []
        while True:
            char = self.peek()
            if char == "" or char < " ":
                raise NotJson("a string without end, or a control character in it")
            self.at += 1
            if char == '"':
                return "".join(parts)
            parts.append(self.escape() if char == "\\" else char)

    def escape(self) -> str:
        char = self.peek()
        self.at += 1
        if char in ESCAPES:
            return ESCAPES[char]
        if char != "u":
            raise NotJson("an unknown escape")
        unit = self.hex4()
        if 0xD800 <= unit <= 0xDBFF and self.text.startswith("\\u", self.at):
            after_high = self.at
            self.at += 2
            low = self.hex4()
            if 0xDC00 <= low <= 0xDFFF:
                return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
            self.at = after_high
        if 0xD800 <= unit <= 0xDFFF and not self.as_written:
            raise NotJson("a lone surrogate")
        return chr(unit)

    def hex4(self) -> int:
        digits = self.text[self.at : self.at + 4]
        if not re.fullmatch(r"[0-9A-Fa-f]{4}", digits):
            raise NotJson("four hex digits expected")
        self.at += 4
        return int(digits, 16)


def parse(raw: bytes, depth_max: int | None, *, as_written: bool = False) -> tuple[Json, bool]:
    """The value, and whether some object in it has one name twice (compared after unescaping).

    `as_written` keeps lone surrogates and doubled names: a line's object is not yet a value.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson("not UTF-8") from error
    # a BOM is no JSON blank, so it is refused as any other character
    reader = _Reader(text, depth_max, as_written=as_written)
    reader.blanks()
    value = reader.value(0)
    reader.blanks()
    if reader.at != len(text):
        raise NotJson("something after the value")
    return value, reader.doubled


def compact(value: Json) -> str:
    """Compact JSON; numbers as they were spelled, and escapes only where UTF-8 has no bytes."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts)


def _write(value: Json, parts: list[str]) -> None:
    if isinstance(value, dict | Doubled):
        mark = "{"
        for name, member in value.items() if isinstance(value, dict) else value.members:
            parts.append(mark)
            _write(name, parts)
            parts.append(":")
            _write(member, parts)
            mark = ","
        parts.append("{}" if mark == "{" else "}")
    elif isinstance(value, list):
        mark = "["
        for item in value:
            parts.append(mark)
            _write(item, parts)
            mark = ","
        parts.append("[]" if mark == "[" else "]")
    elif isinstance(value, Number):
        parts.append(value.text)
    else:
        spelled = json.dumps(value, ensure_ascii=False)
        parts.append(LONE.sub(lambda found: f"\\u{ord(found.group()):04x}", spelled))
