"""JSON by the letter of RFC 8259: what this parser takes, every other parser takes the same way.

Python's own parser keeps the last of duplicate names, lets lone surrogates and NaN pass and
refuses long integers; RULES 3.1 asks otherwise.
"""

import json
from typing import Any, Final

DEPTH_MAX: Final = 32


class NotJson(ValueError):
    """The bytes are not the JSON object that RULES 3.1 asks for (`invalid_json`)."""


class DuplicateKey(ValueError):
    """One name stands twice in one object, compared after unescaping (`duplicate_key`)."""


class OutOfRangeNumber:
    """A JSON number that no field takes (a fraction, an exponent, too many digits)."""

    def __init__(self, literal: str) -> None:
        self.literal = literal


class _Pairs(list[tuple[str, Any]]):
    """An object's members as written, duplicates included."""


def _integer(literal: str) -> int | OutOfRangeNumber:
    return int(literal) if len(literal) <= 32 else OutOfRangeNumber(literal)


def _refuse_constant(literal: str) -> Any:
    raise NotJson(f"{literal} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_Pairs,
    parse_int=_integer,
    parse_float=OutOfRangeNumber,
    parse_constant=_refuse_constant,
)


def parse_object(value: bytes | None) -> dict[str, Any]:
    """Parse one JSON object, or raise NotJson, or DuplicateKey if all else is well."""
    if value is None:
        raise NotJson("no value")
    try:
        text = value.decode("utf-8")
        root = _DECODER.decode(text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise NotJson(type(error).__name__) from None
    if not isinstance(root, _Pairs):
        raise NotJson("not an object")
    builder = _Builder()
    result: dict[str, Any] = builder.build(root, 1)
    if builder.duplicate:
        raise DuplicateKey("a name stands twice")
    return result


class _Builder:
    """Turns pairs into dicts while it looks at depth, surrogates and duplicates everywhere."""

    def __init__(self) -> None:
        self.duplicate = False

    def build(self, node: Any, depth: int) -> Any:
        if isinstance(node, str):
            return self.text(node)
        if isinstance(node, _Pairs | list):
            if depth > DEPTH_MAX:
                raise NotJson("nested too deeply")
            if isinstance(node, _Pairs):
                members = {self.text(name): self.build(value, depth + 1) for name, value in node}
                self.duplicate |= len(members) != len(node)
                return members
            return [self.build(item, depth + 1) for item in node]
        return node

    @staticmethod
    def text(text: str) -> str:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise NotJson("an escape of a lone surrogate") from None
        return text
