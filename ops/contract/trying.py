"""What each fact does in each status, found by trying: the rules themselves decide, nothing is retold.

Every past is lived through, then each fact comes to it, as its golden example and with the changes
that matter (ops/contract/pasts.py). A test holds the findings against the table of transitions,
the catalogue of codes and much random traffic.
"""

import json
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple, get_args

from escrow.arrival import Decided
from escrow.replay import Replay
from escrow.state import CommandState, Order
from escrow.transitions import STATUSES
from ops.contract.examples import ORDER, example, headers
from ops.contract.pasts import BEFORE, BESIDES, PASTS, TRIED, Past, Said
from schemas.door import Fact, Record, decode
from schemas.facts import FACT_TYPES
from schemas.reasons import DEAD_LETTERS, Outcome

T0: Final = 1_772_359_200_000  # 2026-03-01T10:00:00Z
_TEXTS: Final = frozenset({"note", "rationale", "signed_by", "asked_for", "uri", "order"})
# Decided by the command that they name, whatever the order's status (RULES 4.6).
_OF_COMMANDS: Final = frozenset({"gateway_results", "operator_actions"})
COMMAND_STATES: Final[tuple[str | None, ...]] = (None, *get_args(CommandState))


class Met(NamedTuple):
    """One thing that may become of a fact; `after` only where it changes how things stand."""

    outcome: Outcome
    code: str | None
    after: str | None


def standings(type_name: str) -> tuple[str | None, ...]:
    """What a fact of this type may meet: the order's status, or the state of a command."""
    return COMMAND_STATES if FACT_TYPES[type_name].stage in _OF_COMMANDS else STATUSES


def standing(fact: Fact, order: Order | None) -> str | None:
    """How that stands with this order; None: there is nothing yet."""
    if order is None:
        return None
    if FACT_TYPES[fact.type].stage in _OF_COMMANDS:
        command = order.commands.get(getattr(fact.data, "command_id", ""))
        return None if command is None else command.state
    return order.escrow.status


@cache
def met(type_name: str) -> dict[str | None, tuple[Met, ...]]:
    """Standing → all that may become of a fact of this type, applied first; {} for reports."""
    if type_name == "supplier.reported":
        return {}
    found: dict[str | None, set[Met]] = {}
    besides = BESIDES.get(type_name, ())
    for past in PASTS:
        further = [past._replace(facts=past.facts + more) for more in besides if past.facts]
        for said in (Said(type_name), *TRIED.get(type_name, ())):
            for lived in (past, *further):
                before, one = _try(lived, said)
                found.setdefault(before, set()).add(one)
    order = standings(type_name)
    return {one: tuple(sorted(found[one], key=_rank)) for one in order if one in found}


def refusals(type_name: str) -> tuple[str, ...]:
    """Every code with which a fact of this type may be refused."""
    return _codes(type_name, "refused")


def waits(type_name: str) -> tuple[str, ...]:
    """Every code with which it may be parked."""
    return _codes(type_name, "parked")


def dead_letters(type_name: str) -> tuple[str, ...]:
    """Every code with which a record of this type may end as a dead letter."""
    never = {"unknown_type"}
    if not FACT_TYPES[type_name].model.model_fields.keys() & _TEXTS:
        never.add("card_number")
    if not waits(type_name):
        never |= {"parked_too_long", "parking_full"}
    if type_name == "ruling.issued":  # it waits as long as it must
        never.add("parked_too_long")
    return tuple(code for code in DEAD_LETTERS if code not in never)


def _codes(type_name: str, outcome: Outcome) -> tuple[str, ...]:
    mets = (one for many in met(type_name).values() for one in many)
    return tuple(sorted({one.code for one in mets if one.outcome == outcome and one.code}))


def _rank(one: Met) -> tuple[int, int, str]:
    places = (*STATUSES, *COMMAND_STATES)
    outcomes = ("applied", "parked", "refused")
    return outcomes.index(one.outcome), places.index(one.after), one.code or ""


def _try(past: Past, said: Said) -> tuple[str | None, Met]:
    """How things stood, and what became of the fact."""
    replay = Replay()
    *before, fact = facts((BEFORE, *past.facts, said))
    for one in before:
        steps = replay.take(one)
        assert isinstance(steps, tuple), (one.type, steps)
        assert [s.outcome for s in steps if isinstance(s, Decided)] == ["applied"], (one.type, past)
    order = replay.orders.get(ORDER)
    assert (None if order is None else order.escrow.status) == past.status, past
    stood = standing(fact, order)
    steps = replay.take(fact)
    assert isinstance(steps, tuple), (fact.type, steps)
    (decided,) = steps
    assert isinstance(decided, Decided)
    stands = standing(fact, replay.orders[ORDER])
    return stood, Met(decided.outcome, decided.code, None if stands == stood else stands)


def facts(story: tuple[Said, ...]) -> Iterator[Fact]:
    """The story as facts, past the door, each under an id of its own."""
    t = T0
    for number, said in enumerate(story):
        t += said.wait_ms
        data = {**example(said.type), **said.changes}
        data = {name: value for name, value in data.items() if value is not None}
        if "order" in data and data["amount_minor"] != example(said.type)["amount_minor"]:
            del data["order"]
        encoded = [
            (name, text.encode()) for name, text in headers(said.type, f"n-{number}").items()
        ]
        topic = FACT_TYPES[said.type].topic
        key = str(data["order_id"]).encode()
        fact = decode(Record(topic, 0, number, t, key, json.dumps(data).encode(), encoded))
        assert isinstance(fact, Fact), fact
        yield fact
