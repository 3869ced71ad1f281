"""What a change of the contract breaks, named: who speaks or listens as before must go on being understood.

Both ways: facts that were valid must stay valid (senders keep their release), and what we send must
fit the schema that readers already have. The other direction breaks nobody, but asks for an order
of deployment: that is a caution.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from ops.contract.json_schemas import Schema, closed
from ops.contract.messages import BY_TOPIC, MESSAGES

# Keywords that the models lead to, and this module understands; a test holds the schemas to them.
KEYWORDS: Final = frozenset(
    [
        "$schema",
        "$defs",
        "$ref",
        "title",
        "description",
        "type",
        "enum",
        "const",
        "pattern",
        "format",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "items",
        "properties",
        "required",
        "additionalProperties",
        "propertyNames",
        "anyOf",
    ]
)
_LOWER: Final = ("minLength", "minimum", "minItems", "minProperties")
_UPPER: Final = ("maxLength", "maximum", "maxItems", "maxProperties")
Contract = Mapping[str, Any]


class Change(NamedTuple):
    """One difference that matters."""

    weight: Literal["breaking", "caution"]
    where: str  # a topic or a type, with the field
    what: str


def contract() -> dict[str, Any]:
    """The contract as it is now: topics with keys and types, and each type with its closed schema."""
    return {
        "topics": {
            topic.name: {
                "key": topic.key,
                "partitions": topic.partitions,
                "retention_ms": topic.retention_ms,
                "types": list(topic.types),
            }
            for topic in BY_TOPIC.values()
        },
        "types": {
            message.name: {"flow": message.flow, "schema": closed(message.name)}
            for message in MESSAGES.values()
        },
    }


def changes(old: Contract, new: Contract) -> list[Change]:
    """All that matters of what differs, breaking changes first."""
    found = [*_topics(old["topics"], new["topics"]), *_types(old["types"], new["types"])]
    return sorted(found, key=lambda change: change.weight != "breaking")


def _topics(old: Contract, new: Contract) -> Iterator[Change]:
    for name, was in old.items():
        topic = new.get(name)
        if topic is None:
            yield Change("breaking", name, "the topic is gone")
            continue
        for field in ("key", "partitions"):
            if was[field] != topic[field]:
                text = f"{field} was {was[field]}, is {topic[field]}: an order's records change their place"
                yield Change("breaking", name, text)
        if topic["retention_ms"] < was["retention_ms"]:
            yield Change("breaking", name, "records are kept for a shorter time")
        for gone in sorted(set(was["types"]) - set(topic["types"])):
            yield Change("breaking", name, f"no longer carries {gone}")
        for come in sorted(set(topic["types"]) - set(was["types"])):
            yield Change(
                "caution",
                name,
                f"carries {come} besides: readers must pass over what they do not know",
            )


def _types(old: Contract, new: Contract) -> Iterator[Change]:
    for name, was in old.items():
        now = new.get(name)
        if now is None:
            yield Change("breaking", name, "the type is gone")
            continue
        before, after = was["schema"], now["schema"]
        if was["flow"] == "fact":
            for where, what in refusals(before, after, is_open=False):
                yield Change(
                    "breaking",
                    f"{name} {where}".strip(),
                    f"what senders may write today is refused: {what}",
                )
            for where, what in refusals(after, before, is_open=False):
                text = f"the release before refuses it: {what}; deploy every stage before a sender uses it"
                yield Change("caution", f"{name} {where}".strip(), text)
        else:
            for where, what in refusals(after, before, is_open=True):
                yield Change(
                    "breaking",
                    f"{name} {where}".strip(),
                    f"readers of today do not expect it: {what}",
                )
            for where, what in refusals(before, after, is_open=True):
                text = f"records written before do not fit the new schema: {what}"
                yield Change("caution", f"{name} {where}".strip(), text)


def refusals(written: Schema, read: Schema, *, is_open: bool) -> list[tuple[str, str]]:
    """(field, why) for all that the schema `written` allows and the schema `read` does not.

    `is_open`: the reader passes over fields that it does not know.
    """
    return list(_Comparison(written, read, is_open).at(written, read, ""))


class _Comparison:
    """Two whole schemas, whose references are followed."""

    def __init__(self, written: Schema, read: Schema, is_open: bool) -> None:
        self._written, self._read, self._is_open = written, read, is_open

    def at(self, written: Schema, read: Schema, where: str) -> Iterator[tuple[str, str]]:
        written, may_be_null = _plain(self._written, written)
        read, takes_null = _plain(self._read, read)
        if may_be_null and not takes_null:
            yield where, "it may be null"
        written_type = _type(written)
        if "type" in read and written_type != read["type"]:
            yield where, f"{written_type or 'anything'} in place of {read['type']}"
            return
        yield from ((where, what) for what in _words(written, read))
        if "items" in written and "items" in read:
            yield from self.at(written["items"], read["items"], f"{where}[]")
        if written_type == "object":
            yield from self._fields(written, read, where)

    def _fields(self, written: Schema, read: Schema, where: str) -> Iterator[tuple[str, str]]:
        there, known = written.get("properties", {}), read.get("properties", {})
        dot = f"{where}." if where else ""
        rest = read.get("additionalProperties", True)
        for name, schema in there.items():
            if name in known:
                yield from self.at(schema, known[name], f"{dot}{name}")
            elif isinstance(rest, dict):
                yield from self.at(schema, rest, f"{dot}{name}")
            elif rest is False and not self._is_open:
                yield f"{dot}{name}", "the field is unknown"
        for name in sorted(set(read.get("required", ())) - set(written.get("required", ()))):
            yield (
                f"{dot}{name}",
                "the field may be absent" if name in there else "the field is missing",
            )
        others = written.get("additionalProperties", True)
        if isinstance(others, dict):
            if isinstance(rest, dict):
                yield from self.at(others, rest, f"{where}{{}}")
            elif rest is False and not self._is_open:
                yield where, "names of any kind"
        names = (written.get("propertyNames", {}), read.get("propertyNames", {}))
        yield from ((f"{where}{{}}", f"names: {what}") for what in _words(*names))


def _plain(root: Schema, node: Schema) -> tuple[Schema, bool]:
    """What stands behind a reference, and whether null may stand in its place."""
    if "$ref" in node:
        return _plain(root, root["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        choices = [part for part in node["anyOf"] if part.get("type") != "null"]
        assert len(choices) == 1, "a field is of one kind, or null"
        return _plain(root, choices[0])[0], len(choices) < len(node["anyOf"])
    return node, node.get("type") == "null"


def _type(schema: Schema) -> str | None:
    """As declared, or that of the values of an enumeration; None: nothing is said."""
    values = _values(schema) or {None}
    if "type" not in schema and all(isinstance(value, str) for value in values):
        return "string"
    return schema.get("type")


def _values(schema: Schema) -> set[Any] | None:
    if "const" in schema:
        return {schema["const"]}
    return set(schema["enum"]) if "enum" in schema else None


def _words(written: Schema, read: Schema) -> Iterator[str]:
    """Limits of one value: what `written` lets through and `read` does not."""
    may, takes = _values(written), _values(read)
    if takes is not None:
        if may is None:
            yield "any value where there were a few"
        elif may - takes:
            yield f"the value {', '.join(sorted(map(str, may - takes)))}"
    if may is None or takes is None:
        for name in ("pattern", "format"):
            if name in read and written.get(name) != read[name]:
                yield f"{name} {written.get(name, 'of any kind')} in place of {read[name]}"
    for names, is_beyond in ((_LOWER, int.__lt__), (_UPPER, int.__gt__)):
        for name in names:
            if name not in read or (may is not None and takes is not None):
                continue
            if name not in written or is_beyond(written[name], read[name]):
                yield f"{name} {written.get(name, 'of any size')} where it was {read[name]}"
