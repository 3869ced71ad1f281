"""The stored facts as records of the dry run: `escrow simulate` over them ends where the rows are.

The order of lines is the recorded order of decisions, which topics do not have between them.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Final

from schemas.facts import FACT_TYPES
from storage.exporting import ExportedFact

_TEXT_FIELD: Final = {"ruling.issued": "rationale"}  # all other free texts are notes


def export_lines(facts: Iterable[ExportedFact]) -> Iterator[str]:
    """One line of RULES 5 a fact, binary mode: its value is never longer than the original."""
    for fact in facts:
        key = fact.order_id if fact.order_id is not None else _supplier(fact)
        yield (
            f'{{"topic":{_text(FACT_TYPES[fact.type].topic)},"key":{_text(key)},'
            f'"timestamp_ms":{fact.t},"headers":{_headers(fact)},"value":{_value(fact)}}}\n'
        )


def write_export(
    facts: Iterable[ExportedFact], out: IO[str], done: Callable[[int], None] = lambda _: None
) -> int:
    """Write them all; returns how many. `done` hears of every thousandth."""
    count = 0
    for line in export_lines(facts):
        out.write(line)
        count += 1
        if count % 1_000 == 0:
            done(count)
    return count


def _value(fact: ExportedFact) -> str:
    """The payload as stored, with its free text where that is not forgotten."""
    if fact.text is None:
        return fact.payload
    field = _TEXT_FIELD.get(fact.type, "note")
    return f'{fact.payload[:-1]},"{field}":{_text(fact.text)}}}'


def _headers(fact: ExportedFact) -> str:
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": fact.id,
        "ce_source": fact.source,
        "ce_type": fact.type,
    }
    if fact.attributes is not None:
        if fact.attributes.get("time") is not None:
            headers["ce_time"] = fact.attributes["time"]
        for name, value in fact.attributes.get("extensions", {}).items():
            headers[f"ce_{name}"] = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(headers, ensure_ascii=False, separators=(",", ":"))


def _supplier(fact: ExportedFact) -> str:
    """Reports are keyed by their supplier."""
    return str(json.loads(fact.payload)["supplier_id"])


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
