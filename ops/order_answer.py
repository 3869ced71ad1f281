"""One order, answered from one snapshot: its rows, what they mean, and both as JSON for programs."""

from typing import Any, NamedTuple

from consumers.engine.config import Settings
from ops.explain import Explanation, explain
from ops.redecide import (
    Elsewhere,
    Redecided,
    Unreadable,
    claimed_elsewhere,
    payment_ids,
    read_facts,
    redecide,
)
from storage.attention import rules_now
from storage.dead_letter_reading import LetterRow, letters
from storage.dossiers import Dossier, read_order
from storage.facts import FACT_COLUMNS
from storage.reading import Snapshot

LETTERS_MAX = 100


class Answer(NamedTuple):
    """All there is to know about an order. `now`: ms UTC, as rules know it."""

    dossier: Dossier
    explanation: Explanation
    again: Redecided | None  # None: its facts cannot be decided again; the explanation says so
    letters: list[LetterRow]
    now: int


def answer(connection: Snapshot, settings: Settings, order_id: str, wall_ms: int) -> Answer | None:
    """Everything about one order; None if no fact of it has come."""
    dossier = read_order(connection, order_id)
    if dossier is None:
        return None
    dead = letters(connection, limit=LETTERS_MAX, order_id=order_id)
    now = rules_now(connection, wall_ms, settings.timestamp_type)
    elsewhere: dict[str, Elsewhere] = {}
    again = None
    try:
        facts = read_facts(dossier)
        _, elsewhere = claimed_elsewhere(connection, {order_id: payment_ids(facts)})
        again = redecide(order_id, facts, elsewhere)
    except (Unreadable, AssertionError, LookupError, TypeError, ValueError):
        pass  # the explanation says so
    return Answer(dossier, explain(dossier, dead, elsewhere, now), again, dead, now)


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """What it means, as JSON values."""
    parts = ("why", "next", "waiting", "ignored")
    return explanation._asdict() | {
        name: [part._asdict() for part in getattr(explanation, name)] for name in parts
    }


def rows_json(dossier: Dossier) -> dict[str, Any]:
    """All rows of the order, named as their columns."""
    facts = [
        {
            "decision_no": stored.no,
            "seq": stored.seq,
            "outcome": stored.outcome,
            "code": stored.code,
            **dict(zip(FACT_COLUMNS, stored.columns, strict=True)),
            "text": stored.text,
        }
        for stored in dossier.facts
    ]
    plain_rows = ("resolutions", "parked", "postings", "shipments", "offers", "evidence")
    return {
        "order": None if dossier.row is None else dossier.row._asdict(),
        "facts": facts,
        "commands": [
            {
                **sent.command._asdict(),
                "decision_no": sent.no,
                "hold": sent.hold,
                "unsent": sent.unsent,
            }
            for sent in dossier.commands
        ],
        **{
            name: [row._asdict() for row in getattr(dossier, name)]
            for name in (*plain_rows, "chargebacks", "deadlines", "silences")
        },
    }
