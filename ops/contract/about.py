"""All that there is to say about one type, gathered once for the page, the console and the terminal."""

import json
from typing import Any, Final, NamedTuple

from ops.contract.examples import example, headers
from ops.contract.fields import Field, fields
from ops.contract.json_schemas import ALSO
from ops.contract.messages import MESSAGES, Message
from ops.contract.trying import Met, dead_letters, met, refusals, standings, waits
from schemas.facts import FACT_TYPES
from schemas.reasons import DEAD_LETTERS, NOT_PROTECTED, PARKED, REFUSALS

_NUMBERS: Final = "a number is an integer, written without fraction or exponent"
_NULLS: Final = "null is the same as absent"


class About(NamedTuple):
    """One type. Codes come with their sentences; `rows` is (standing, what becomes of the fact)."""

    message: Message
    sender: str  # who may send it, in a sentence
    also: tuple[str, ...]  # what no schema says
    fields: list[Field]
    headers: dict[str, str]
    example: str  # JSON
    meets: str  # what the first column of `rows` is
    rows: list[tuple[str, list[str]]]
    refused: list[tuple[str, str]]
    parked: list[tuple[str, str]]
    dead: list[tuple[str, str]]


def about(type_name: str) -> About:
    """The page of this type. Raises KeyError for a type that is none."""
    message = MESSAGES[type_name]
    is_fact = message.flow == "fact"
    names_command = is_fact and "PENDING" in standings(type_name)
    return About(
        message,
        _sender(message),
        (*ALSO.get(type_name, ()), *((_NUMBERS, _NULLS) if is_fact else ())),
        fields(type_name),
        headers(type_name, "example-1"),
        json.dumps(example(type_name), ensure_ascii=False, indent=2),
        "command" if names_command else "order",
        _rows(type_name, "no such command" if names_command else "no escrow") if is_fact else [],
        _said(REFUSALS, refusals(type_name)) if is_fact else [],
        _said(PARKED, waits(type_name)) if is_fact else [],
        _said(DEAD_LETTERS, dead_letters(type_name)) if is_fact else [],
    )


def _sender(message: Message) -> str:
    if message.flow == "sent":
        return f"Sent by the pipeline ({message.written_by}), source escrow, in binary mode."
    if message.name == "deadline.reached":
        return (
            "Written by the ticker, source escrow-ticker; the source rules should name nobody else."
        )
    rule = json.dumps({message.name: ["/your/source*"]})
    return (
        f"Written by: {message.written_by}. Outside local stacks the source rules must name the source,"
        f" as in {rule}; else the record is a dead letter unauthorized_source."
    )


def _rows(type_name: str, nothing: str) -> list[tuple[str, list[str]]]:
    if type_name not in FACT_TYPES or not met(type_name):
        return [("whatever there is", ["applied: it is recorded"])]
    return [
        (stood or nothing, [_words(one) for one in mets]) for stood, mets in met(type_name).items()
    ]


def _words(one: Met) -> str:
    code = (
        ""
        if one.code is None
        else f" ({one.code})"
        if one.outcome == "applied"
        else f": {one.code}"
    )
    return f"{one.outcome}{code}" + ("" if one.after is None else f" → {one.after}")


def _said(sentences: dict[str, str], codes: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(code, sentences[code]) for code in codes]


def glossary_of(type_name: str) -> list[tuple[str, str]]:
    """Codes that an applied fact of this type may carry."""
    return list(NOT_PROTECTED.items()) if type_name == "payment.captured" else []


def as_json(type_name: str) -> dict[str, Any]:
    """For programs."""
    page = about(type_name)
    return {
        "type": type_name,
        "flow": page.message.flow,
        "topics": list(page.message.topics),
        "key": page.message.key,
        "summary": page.message.summary,
        "example": example(type_name),
        "becomes": dict(page.rows),
        "refused": dict(page.refused),
        "parked": dict(page.parked),
        "dead_letters": dict(page.dead),
    }
