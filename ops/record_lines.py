"""A line of the dry run's input is exactly one record, or it is none (RULES 5).

An object's bytes are what was written, made compact: no number is rounded, no name is lost.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from schemas.door import VALUE_BYTES_MAX, Record

_INT64: Final = 2**63
_NEEDED: Final = {"topic", "key", "timestamp_ms"}
_NAMES: Final = _NEEDED | {"headers", "value", "value_base64"}
_BLANK: Final = b" \t\r\n"
_LAYER: Final = 64  # deeper than any value may be nested, far from where parsers give up
_SIZE: Final = VALUE_BYTES_MAX + 3  # too large, the quotes counted
_BRACKETS: Final = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"', re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class NotARecord(ValueError):
    """Line {number} is not a record of the dry run's input format."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number} is not a record: {why}")


def read_records(lines: Iterable[bytes]) -> Iterator[Record]:
    """One record a line, numbered from 1 without blank lines; raises NotARecord."""
    number = 0
    for line in lines:
        if line.strip(_BLANK):
            number += 1
            try:
                yield _read(line.decode("utf-8"), number)
            except (ValueError, RecursionError) as error:
                raise NotARecord(number, str(error)) from None


class _Number:
    """A number as it was written: 1e400 must not become Infinity."""

    def __init__(self, literal: str) -> None:
        self.literal = literal


class _Doubled:
    """An object with one name twice: the door must find it as it stands there."""

    def __init__(self, members: list[tuple[str, Any]]) -> None:
        self.members = members


def _object(members: list[tuple[str, Any]]) -> dict[str, Any] | _Doubled:
    found = dict(members)
    return found if len(found) == len(members) else _Doubled(members)


def _integer(literal: str) -> int | _Number:
    return int(literal) if len(literal) < 4_000 else _Number(literal)


def _refuse_constant(literal: str) -> Any:
    raise ValueError(f"{literal} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=_Number,
    parse_int=_integer,
    parse_constant=_refuse_constant,
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def _read(line: str, number: int) -> Record:
    try:
        return _record(line, number)
    except RecursionError:
        return _record(_shallow(line), number)


def _record(line: str, number: int) -> Record:
    row = _DECODER.decode(line)
    if not isinstance(row, dict) or not row.keys() <= _NAMES:
        raise ValueError("not an object of the known names, each once")
    if not row.keys() >= _NEEDED:
        raise ValueError("topic, key and timestamp_ms are needed")
    topic, key, timestamp_ms = row["topic"], row["key"], row["timestamp_ms"]
    if not isinstance(topic, str) or not isinstance(key, str | None):
        raise ValueError("topic is a text, key a text or null")
    if type(timestamp_ms) is not int or not -_INT64 <= timestamp_ms < _INT64:
        raise ValueError("timestamp_ms is an integer")
    topic.encode()
    return Record(
        topic,
        0,
        number,
        timestamp_ms,
        None if key is None else key.encode(),
        _value(row),
        _headers(row.get("headers")),
    )


def _headers(headers: Any) -> list[tuple[str, bytes | None]]:
    if headers is None:
        return []
    if isinstance(headers, _Doubled):
        members = headers.members
    elif isinstance(headers, dict):
        members = list(headers.items())
    else:
        members = [("", None)]
    if not all(isinstance(text, str) for _, text in members):
        raise ValueError("headers is an object of texts")
    "".join(name for name, _ in members).encode()  # names are texts as well: no lone surrogate
    return [(name, text.encode()) for name, text in members]


def _value(row: dict[str, Any]) -> bytes | None:
    if ("value" in row) == ("value_base64" in row):
        raise ValueError("one of value and value_base64")
    if "value_base64" in row:
        text = row["value_base64"]
        if not isinstance(text, str):
            raise ValueError("value_base64 is a text")
        try:
            return base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"value_base64: {error}") from None
    value = row["value"]
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict | _Doubled):
        return _compact(value)
    raise ValueError("value is an object, a text or null")


def _compact(value: Any) -> bytes:
    """Compact UTF-8 JSON, numbers as they were written, lone surrogates as the escapes they were."""
    try:
        text = _ENCODER.encode(value)
    except TypeError:  # a _Number or a _Doubled, of which the encoder knows nothing
        text = "".join(_tokens(value))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(lambda m: f"\\u{ord(m[0]):04x}", text).encode()


def _tokens(value: Any) -> Iterator[str]:
    if isinstance(value, dict | _Doubled):
        yield "{"
        members = value.items() if isinstance(value, dict) else value.members
        for index, (name, member) in enumerate(members):
            yield ("," if index else "") + _ENCODER.encode(name) + ":"
            yield from _tokens(member)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for index, item in enumerate(value):
            yield "," if index else ""
            yield from _tokens(item)
        yield "]"
    elif isinstance(value, _Number):
        yield value.literal
    else:
        yield _ENCODER.encode(value)


def _shallow(line: str) -> str:
    """The line with what stands 64 levels deep, if it is JSON, replaced by texts of its size.

    What is left no parser gives up on, and the door answers as before: it still is nested too
    deeply, and too large if it was.
    """
    outer: list[list[str]] = [[]]
    depth = at = 0
    for match in _BRACKETS.finditer(line):
        sign = match[0]
        if sign in "[{":
            depth += 1
            if depth % _LAYER == 0:
                outer[-1].append(line[at : match.start()])
                at = match.start()
                outer.append([])
        elif sign in "]}":
            if depth > 0 and depth % _LAYER == 0:
                layer = "".join(outer.pop()) + line[at : match.end()]
                at = match.end()
                size = min(len(_compact(_DECODER.decode(layer))), _SIZE)
                outer[-1].append('"' + "x" * (size - 2) + '"')
            depth -= 1
    return "".join(part for parts in outer for part in parts) + line[at:]
