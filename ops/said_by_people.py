"""What a person of ours has to say goes onto its topic as a fact, like everybody else's words.

The record has passed the door before it is sent; what becomes of it, a stage decides.
"""

from typing import Any
from uuid import uuid4

from schemas.door import Fact, Record, Rejected, decode
from schemas.facts import FACT_TYPES


class CannotSay(Exception):
    """The fact would not pass the door; the text says why."""


def fact_record(
    type_name: str, source: str, key: str, data: dict[str, Any], t: int
) -> tuple[Record, Fact]:
    """The record to publish, in binary mode under a new id, and the fact that a stage will make of it.

    `t`: ms UTC, where the broker sets no time of its own. Raises CannotSay.
    """
    known = FACT_TYPES[type_name]
    try:
        value = known.model.model_validate(data).model_dump_json(exclude_none=True).encode()
    except ValueError as error:
        raise CannotSay(f"not valid: {error}") from None
    headers = envelope_headers(type_name, source)
    record = Record(known.topic, 0, 0, t, key.encode(), value, headers)
    fact = decode(record)
    if isinstance(fact, Rejected):  # a card number in a note, for one
        raise CannotSay(f"the record would not pass the door: {fact.code} ({fact.detail})")
    return record, fact


def envelope_headers(type_name: str, source: str) -> list[tuple[str, bytes]]:
    """A CloudEvent in binary mode, under a new id."""
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": uuid4().hex,
        "ce_source": source,
        "ce_type": type_name,
    }
    return [(name, text.encode()) for name, text in headers.items()]
