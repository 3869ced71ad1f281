"""What a decision tells others: commands, changes of status, refusals, alarms (RULES 4.6, 4.8).

Ids are deterministic, so that whoever hears a thing twice can tell.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic_core import to_json

from escrow.arrival import Decided
from escrow.decision import Alarm, Applied, Refused
from escrow.policy import policy_of
from escrow.state import Command, Escrow
from schemas.commands import COMMAND_TOPIC, COMMAND_TYPE
from schemas.door import Fact
from schemas.order_events import ORDER_EVENTS, rfc3339, sent_id


class Outgoing(NamedTuple):
    """One record to send; `id` is its CloudEvents id, `t` its timestamp in ms UTC."""

    topic: str
    key: str
    type: str
    id: str
    t: int
    payload: str
    command_id: str | None = None
    extensions: tuple[tuple[str, str | int], ...] = ()
    may_be_held: bool = False  # a reissue: should the old command settle, a person must decide


def tell(decided: Decided) -> Iterator[Outgoing]:
    """All that one decision sends, in order."""
    fact, result, escrow = decided.fact, decided.result, decided.escrow
    for index, change in enumerate(decided.changes):
        yield _event(fact, "order.changed", index, _changed(fact, change.old, change.escrow))
    if result is None:
        return
    if isinstance(result, Refused):
        yield _event(fact, "fact.refused", 0, _refused(fact, result))
    for index, alarm in enumerate(result.alarms):
        yield _event(fact, "alarm.raised", index, _alarm(fact, alarm))
    if isinstance(result, Applied):
        if result.mediation_available:
            yield _event(fact, "mediation.available", 0, _available(escrow))
        for command in result.sends:
            yield command_record(escrow, command, fact)


def id_conflict_alarm(fact: Fact) -> Outgoing:
    """RULES 3.2: one source used one id for two things. Its own id names the record's place."""
    place = f"{fact.topic}/{fact.partition}/{fact.offset}"
    data = _alarm(fact, Alarm("id_conflict", (("type", fact.type),)))
    id_ = sent_id(place, "alarm.raised", 0)
    return Outgoing(ORDER_EVENTS, _key(fact), "alarm.raised", id_, fact.t, _json(data))


def command_record(escrow: Escrow, command: Command, fact: Fact) -> Outgoing:
    """The command as its gateway reads it; `fact` asks for this attempt."""
    valid_for_ms = policy_of(escrow.policy_version, fact.t).command_valid_for_ms
    data = {
        "command_id": command.command_id,
        "order_id": escrow.order_id,
        "payment_id": command.payment_id,
        "party_id": command.party_id,
        "amount_minor": command.amount_minor,
        "currency": command.currency,
        "purpose": command.purpose,
        "decided_by": command.decided_by,
        "cause": {"source": command.cause_source, "id": command.cause_id},
        "attempt": command.attempt,
        "not_after": rfc3339(command.asked_at + valid_for_ms),
    }
    return Outgoing(
        COMMAND_TOPIC[command.kind],
        escrow.order_id,
        COMMAND_TYPE[command.kind],
        f"{command.command_id}.{command.attempt}",
        fact.t,
        _json(data),
        command.command_id,
        fact.extensions,
        may_be_held=command.purpose == "reissue",
    )


def _event(fact: Fact, type_name: str, index: int, data: dict[str, Any]) -> Outgoing:
    id_ = sent_id(f"{fact.source}\n{fact.id}", type_name, index)
    payload = _json(data)
    return Outgoing(
        ORDER_EVENTS, _key(fact), type_name, id_, fact.t, payload, None, fact.extensions
    )


def _json(data: dict[str, Any]) -> str:
    """The payload. A test holds every one of them against its model in `schemas`."""
    return to_json(data).decode()


def _key(fact: Fact) -> str:
    return fact.order_id or fact.data.supplier_id  # type: ignore[union-attr]


def _cause(fact: Fact) -> dict[str, str]:
    return {"source": fact.source, "id": fact.id}


def _changed(fact: Fact, old: str | None, escrow: Escrow) -> dict[str, Any]:
    return {
        "order_id": escrow.order_id,
        "from": old,
        "to": escrow.status,
        "held_minor": escrow.held_minor,
        "refunded_minor": escrow.refunded_minor,
        "paid_out_minor": escrow.paid_out_minor,
        "currency": escrow.currency,
        "decided_by": escrow.decided_by,
        "cause": _cause(fact),
        "decision_no": escrow.decision_no,
        "chain_head": escrow.chain_head.hex(),
    }


def _refused(fact: Fact, refused: Refused) -> dict[str, Any]:
    return {
        "order_id": fact.order_id,
        "cause": _cause(fact),
        "type": fact.type,
        "code": refused.code,
        "detail": dict(refused.detail) or None,
    }


def _alarm(fact: Fact, alarm: Alarm) -> dict[str, Any]:
    return {
        "order_id": fact.order_id,
        "alarm": alarm.code,
        "cause": _cause(fact),
        "detail": dict(alarm.detail) or None,
    }


def _available(escrow: Escrow) -> dict[str, Any]:
    assert escrow.first_requested_at is not None
    assert escrow.request_id is not None
    return {
        "order_id": escrow.order_id,
        "request_id": escrow.request_id,
        "first_requested_at": rfc3339(escrow.first_requested_at),
    }
