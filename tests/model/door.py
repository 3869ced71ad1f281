"""The door, RULES 2 (envelope) and 3.1: a record is a fact, or a dead letter with the first code that fits."""

import unicodedata
from dataclasses import dataclass

from tests.model import shapes
from tests.model.cards import has_card_number
from tests.model.rfc3339 import is_time
from tests.model.strict_json import Json, NotJson, parse

VALUE_BYTES_MAX = 65_536
DEPTH_MAX = 32


class Rejected(Exception):
    """The record is a dead letter of the door; `args[0]` is the code."""


@dataclass(frozen=True)
class Record:
    """What Kafka brings; `t` is its timestamp in milliseconds."""

    topic: str
    key: str | None
    t: int
    headers: dict[str, str]
    value: bytes | None


@dataclass(frozen=True)
class Fact:
    """A record that is past the door; `order_id` is None for `supplier.reported` only."""

    source: str
    id: str
    type: str
    t: int
    order_id: str | None
    data: dict[str, Json]  # without nulls


def open_record(record: Record) -> Fact:
    """RULES 3.1, in its order."""
    if record.value is not None and len(record.value) > VALUE_BYTES_MAX:
        raise Rejected("too_large")
    if is_structured(record.headers):
        envelope = strict_object(record.value)
        attributes: dict[str, Json] = {}
        attributes.update((name, each) for name, each in envelope.items() if each is not None)
        check_envelope(attributes, record.t)
        if "data_base64" in attributes or not is_json_type(attributes.get("datacontenttype")):
            raise Rejected("bad_envelope")
        kind = known_type(attributes, record.topic)
        data: Json = envelope.get("data")
    else:
        attributes = binary_attributes(record.headers)
        check_envelope(attributes, record.t)
        if media_type(record.headers.get("content-type", "")) != "application/json":
            raise Rejected("bad_envelope")
        kind = known_type(attributes, record.topic)
        data = strict_object(record.value)
    if not shapes.valid_data(kind, data):
        raise Rejected("invalid_data")
    clean = shapes.without_nulls(data)
    assert isinstance(clean, dict)
    subject_name = "supplier_id" if kind == "supplier.reported" else "order_id"
    about = clean[subject_name]
    assert isinstance(about, str)
    if record.key != about or attributes.get("subject", about) != about:
        raise Rejected("key_mismatch")
    if any(has_card_number(text) for text in shapes.looked_at_texts(clean)):
        raise Rejected("card_number")
    source, fact_id = attributes["source"], attributes["id"]
    assert isinstance(source, str)
    assert isinstance(fact_id, str)
    order_id = None if kind == "supplier.reported" else about
    return Fact(source, fact_id, kind, record.t, order_id, clean)


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip(" \t").lower()


def is_structured(headers: dict[str, str]) -> bool:
    if "content-type" in headers:
        return media_type(headers["content-type"]) == "application/cloudevents+json"
    return "ce_specversion" not in headers


def binary_attributes(headers: dict[str, str]) -> dict[str, Json]:
    return {name.removeprefix("ce_"): v for name, v in headers.items() if name.startswith("ce_")}


def strict_object(value: bytes | None) -> dict[str, Json]:
    try:
        parsed, doubled = parse(value or b"", DEPTH_MAX)
    except NotJson as error:
        raise Rejected("invalid_json") from error
    if not isinstance(parsed, dict):
        raise Rejected("invalid_json")
    if doubled:
        raise Rejected("duplicate_key")
    return parsed


def check_envelope(attributes: dict[str, Json], t: int) -> None:
    kind = attributes.get("type")
    if (
        t < 0
        or attributes.get("specversion") != "1.0"
        or not is_name(attributes.get("id"))
        or not is_name(attributes.get("source"))
        or not isinstance(kind, str)
        or kind == ""
        or ("time" in attributes and not is_time(attributes["time"]))
    ):
        raise Rejected("bad_envelope")


def is_name(value: Json) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value) <= 256
        and all(unicodedata.category(c) != "Cc" for c in value)
    )


def is_json_type(declared: Json) -> bool:
    """Whether `datacontenttype` is JSON: absent, `*/json` or `*/*+json` (CloudEvents JSON format 3.1)."""
    if declared is None:
        return True
    if not isinstance(declared, str):
        return False
    main, slash, sub = media_type(declared).partition("/")
    return main != "" and slash == "/" and (sub == "json" or sub.endswith("+json"))


def known_type(attributes: dict[str, Json], topic: str) -> str:
    kind = attributes["type"]
    assert isinstance(kind, str)
    if kind not in shapes.TOPIC_OF:
        raise Rejected("unknown_type")
    if shapes.TOPIC_OF[kind] != topic:
        raise Rejected("wrong_topic")
    return kind
