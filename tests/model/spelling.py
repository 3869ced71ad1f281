"""How one fact can be written down as a record: both envelope modes, any spacing, escapes and key order."""

import base64
import json
import random
from dataclasses import dataclass, field

from tests.model.strict_json import Json, Number, compact

STRUCTURED_TYPES = [
    "application/cloudevents+json",
    "application/cloudevents+json; charset=utf-8",
    "Application/CloudEvents+JSON;x=1",
]
BINARY_TYPES = ["application/json", "application/json; charset=UTF-8", "APPLICATION/JSON"]


@dataclass
class Draft:
    """A record before it is written down; hostile hands change it."""

    topic: str
    key: str | None
    t: int
    attributes: dict[str, Json]  # CloudEvents attributes, extensions too
    data: dict[str, Json]
    structured: bool = True
    headers: dict[str, str] = field(default_factory=dict)  # added last, over the others
    dropped_headers: set[str] = field(default_factory=set)
    members: dict[str, Json] = field(default_factory=dict)  # over the members of a structured event
    dropped_members: set[str] = field(default_factory=set)


def spell(rng: random.Random, value: Json) -> str:
    """The same JSON value, spelled some other way."""
    blank = rng.choice(["", "", " ", "\n", "\t\r\n "])
    if isinstance(value, dict):
        names = list(value)
        rng.shuffle(names)
        members = [f"{spell(rng, n)}{blank}:{blank}{spell(rng, value[n])}" for n in names]
        return "{" + blank + f"{blank},".join(members) + "}"
    if isinstance(value, list):
        return "[" + f",{blank}".join(spell(rng, each) for each in value) + blank + "]"
    if isinstance(value, str):
        return spell_text(rng, value)
    if isinstance(value, Number):
        return value.text
    return json.dumps(value)


def spell_text(rng: random.Random, text: str) -> str:
    if rng.random() < 0.7:
        return json.dumps(text, ensure_ascii=rng.random() < 0.5)
    return '"' + "".join(spell_char(rng, char) for char in text) + '"'


def spell_char(rng: random.Random, char: str) -> str:
    if char == "/":
        return rng.choice(["/", "\\/"])
    if rng.random() < 0.8:
        return json.dumps(char, ensure_ascii=False)[1:-1]
    units = char.encode("utf-16-be")
    escapes = (units[i : i + 2].hex() for i in range(0, len(units), 2))
    return "".join("\\u" + (e.upper() if rng.random() < 0.5 else e) for e in escapes)


def headers_and_content(rng: random.Random, draft: Draft) -> tuple[dict[str, str], Json]:
    """The headers, and the JSON value the record carries."""
    if draft.structured:
        content: Json = {**draft.attributes, "data": draft.data, **draft.members}
        assert isinstance(content, dict)
        content = {n: v for n, v in content.items() if n not in draft.dropped_members}
        headers = {"content-type": rng.choice(STRUCTURED_TYPES)} if rng.random() < 0.5 else {}
        if rng.random() < 0.05:
            headers |= {"content-type": STRUCTURED_TYPES[0], "ce_specversion": "9", "ce_id": ""}
    else:
        content = draft.data
        headers = {"content-type": rng.choice(BINARY_TYPES)}
        headers |= {f"ce_{n}": v for n, v in draft.attributes.items() if isinstance(v, str)}
        if rng.random() < 0.05:
            headers |= {"ce_datacontenttype": "text/plain", "ce_data_base64": "eA==", "other": ""}
    headers |= draft.headers
    return {n: v for n, v in headers.items() if n not in draft.dropped_headers}, content


def write_line(
    rng: random.Random, draft: Draft, headers: dict[str, str], content: "Json | bytes"
) -> bytes:
    """One line of RULES 5; `content` is a JSON value, or bytes that are to arrive as they are."""
    line: dict[str, Json] = {"topic": draft.topic, "key": draft.key, "timestamp_ms": draft.t}
    if headers:
        line["headers"] = dict(headers)
    if isinstance(content, dict) and rng.random() < 0.5:
        line["value"] = content
    else:
        raw = content if isinstance(content, bytes) else spell(rng, content).encode()
        add_bytes(rng, line, raw)
    if rng.random() < 0.9:
        return compact(line).encode()
    return spell_line(rng, line).encode()


def spell_line(rng: random.Random, line: dict[str, Json]) -> str:
    """Another spelling of a line: a line ends at a line feed, so there is none in it."""
    return spell(rng, line).replace("\n", " ") + rng.choice(["", "\r", " \t"])


def add_bytes(rng: random.Random, line: dict[str, Json], raw: bytes) -> None:
    try:
        as_text = raw.decode()
    except UnicodeDecodeError:
        as_text = None
    if as_text is None or rng.random() < 0.4:
        line["value_base64"] = base64.b64encode(raw).decode()
    else:
        line["value"] = as_text
