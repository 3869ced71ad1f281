"""The fields of a type in people's words; they say what the closed schema says."""

from collections.abc import Iterator
from typing import NamedTuple

from ops.contract.json_schemas import CURRENCIES, Schema, closed
from schemas.words import ID_PATTERN


class Field(NamedTuple):
    """One field; of what lies inside another, `order.lines[].sku`."""

    name: str
    may_be: str
    is_needed: bool


def fields(type_name: str) -> list[Field]:
    """All fields of a type, those inside others after them."""
    schema = closed(type_name)
    return list(_fields(schema, schema, ""))


def _fields(root: Schema, node: Schema, prefix: str) -> Iterator[Field]:
    needed = node.get("required", ())
    for name, part in node.get("properties", {}).items():
        plain, nullable = _plain(root, part)
        words = _words(plain) + (" or null" if nullable else "")
        yield Field(f"{prefix}{name}", words, name in needed)
        inner, _ = _plain(root, plain.get("items", plain))
        if "properties" in inner:
            yield from _fields(root, inner, f"{prefix}{name}{'[]' if 'items' in plain else ''}.")


def _plain(root: Schema, node: Schema) -> tuple[Schema, bool]:
    """The schema behind a reference or beside a null."""
    if "$ref" in node:
        return _plain(root, root["$defs"][node["$ref"].rpartition("/")[2]])
    choices = [part for part in node.get("anyOf", ()) if part.get("type") != "null"]
    if choices:
        return _plain(root, choices[0])[0], True
    return node, False


def _words(node: Schema) -> str:
    values = node.get("enum", [node["const"]] if "const" in node else [])
    if values:
        return "ISO 4217 code" if values == CURRENCIES else ", ".join(map(str, values))
    if node.get("format") == "date-time":
        return "RFC 3339 time with an offset"
    match node.get("type"):
        case "array":
            return f"list of {node['minItems']} to {node['maxItems']}"
        case "object" if "properties" not in node:
            most = f", at most {node['maxProperties']}" if "maxProperties" in node else ""
            return f"names and texts{most}"
        case "integer":
            return f"integer{_limits(node, 'minimum', 'maximum')}"
        case "string" if "maxLength" in node:
            return f"text{_limits(node, 'minLength', 'maxLength')} characters"
        case "string" if node.get("pattern") == ID_PATTERN:
            return "id: 1 to 64 of `A-Z a-z 0-9 _ . : -`, a letter or digit first"
        case "string" if "pattern" in node:
            return f"text `{node['pattern']}`"
        case kind:
            return "text" if kind == "string" else str(kind)


def _limits(node: Schema, lower: str, upper: str) -> str:
    if lower not in node and upper not in node:
        return ""
    if upper not in node:
        return f", {node[lower]:,} at least"
    return f", {node.get(lower, 0):,} to {node[upper]:,}"
