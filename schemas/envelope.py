"""CloudEvents 1.0 on Kafka, both modes: which bytes are the envelope and which the data.

Every required attribute is present and well formed in an `Envelope`, or there is none (RULES 2).
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from schemas.words import is_rfc3339

_WELL_FORMED: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,256}")
_REQUIRED: Final = 4  # specversion, id, source, type
_OWN: Final = frozenset(
    ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data")
) | {"data_base64"}


class BadEnvelope(ValueError):
    """A required attribute is missing or malformed, or the content is not JSON."""


class Envelope(NamedTuple):
    """The attributes of one CloudEvent; `extensions` are carried along as they came."""

    source: str
    id: str
    type: str
    subject: Any  # text or None; anything else can never equal a key
    time: str | None
    extensions: tuple[tuple[str, str | int], ...]


def last_headers(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, bytes]:
    """Of several headers with one name the last counts; a null one is absent."""
    return {name: value for name, value in dict(headers).items() if value is not None}


def is_structured(headers: Mapping[str, bytes]) -> bool:
    """The value is the whole CloudEvent: by content type, or for want of any sign."""
    content_type = headers.get("content-type")
    if content_type is None:
        return "ce_specversion" not in headers
    return _media_type_of(content_type) == "application/cloudevents+json"


def media_type(content_type: str) -> str:
    """The media type alone, in lower case, without parameters."""
    return content_type.partition(";")[0].strip(" \t").lower()


def from_headers(headers: Mapping[str, bytes]) -> Envelope:
    """Binary mode: attributes are `ce_*` headers, the data are `application/json`."""
    if "content-type" not in headers:
        raise BadEnvelope("no content-type")
    if _media_type_of(headers["content-type"]) != "application/json":
        raise BadEnvelope("content-type is not application/json")
    try:
        attributes = {
            name[3:]: raw.decode() for name, raw in headers.items() if name.startswith("ce_")
        }
    except UnicodeDecodeError:
        raise BadEnvelope("a header is not UTF-8") from None
    return _envelope(attributes)


@lru_cache(maxsize=256)
def _media_type_of(content_type: bytes) -> str | None:
    """None for what is not even UTF-8."""
    try:
        return media_type(content_type.decode())
    except UnicodeDecodeError:
        return None


def from_event(event: Mapping[str, Any]) -> Envelope:
    """Structured mode: `event` is the parsed value; data in `data`, never in `data_base64`."""
    attributes = {name: value for name, value in event.items() if value is not None}
    if "data_base64" in attributes:
        raise BadEnvelope("data_base64 is not taken")
    content_type = attributes.get("datacontenttype", "application/json")
    if not isinstance(content_type, str) or not _is_json(media_type(content_type)):
        raise BadEnvelope("datacontenttype is not JSON")
    return _envelope(attributes)


def _is_json(media: str) -> bool:
    """CloudEvents 1.0, JSON format 3.1: subtype `json`, or a `+json` suffix."""
    kind, _, subtype = media.partition("/")
    return bool(kind) and (subtype == "json" or subtype.endswith("+json"))


def _envelope(attributes: dict[str, Any]) -> Envelope:
    """Raises BadEnvelope unless the required attributes and `time` are well formed."""
    get = attributes.get
    source, id_, type_name, time = get("source"), get("id"), get("type"), get("time")
    if get("specversion") != "1.0":
        raise BadEnvelope("specversion is not 1.0")
    if not isinstance(id_, str) or _WELL_FORMED.fullmatch(id_) is None:
        raise BadEnvelope("id is missing or malformed")
    if not isinstance(source, str) or _WELL_FORMED.fullmatch(source) is None:
        raise BadEnvelope("source is missing or malformed")
    if not isinstance(type_name, str) or not type_name:
        raise BadEnvelope("type is missing or malformed")
    if time is not None and not (isinstance(time, str) and is_rfc3339(time)):
        raise BadEnvelope("time is not RFC 3339")
    extensions = () if len(attributes) == _REQUIRED else _extensions(attributes)
    return Envelope(source, id_, type_name, get("subject"), time, extensions)


def _extensions(attributes: dict[str, Any]) -> tuple[tuple[str, str | int], ...]:
    """Whatever is not CloudEvents' own and not a structure is carried along."""
    return tuple(
        (name, value)
        for name, value in sorted(attributes.items())
        if name not in _OWN and isinstance(value, str | int)
    )
