"""What a decision tells others: commands, changes of status, refusals, alarms (RULES 4.6, 4.8).

Ids are deterministic, so that whoever hears a thing twice can tell.
"""

from collections.abc import Iterator
from typing import NamedTuple

from escrow.arrival import Decided
from escrow.decision import Alarm, Applied, Refused
from escrow.policy import policy_of
from escrow.state import Command, Escrow
from schemas.commands import COMMAND_TOPIC, COMMAND_TYPE, Cause, PaymentCommand
from schemas.door import Fact
from schemas.order_events import (
    ORDER_EVENTS,
    AlarmRaised,
    FactRefused,
    MediationAvailable,
    OrderChanged,
    rfc3339,
    sent_id,
)
from schemas.words import WireModel


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
    cause = Cause(source=fact.source, id=fact.id)
    for index, change in enumerate(decided.changes):
        yield _event(fact, "order.changed", index, _changed(change.old, change.escrow, cause))
    if isinstance(result, Refused):
        refused = FactRefused(
            order_id=fact.order_id or "",
            cause=cause,
            type=fact.type,
            code=result.code,
            detail=dict(result.detail) or None,
        )
        yield _event(fact, "fact.refused", 0, refused)
    if result is not None:
        for index, alarm in enumerate(result.alarms):
            yield _event(fact, "alarm.raised", index, _alarm(fact, alarm, cause))
    if isinstance(result, Applied):
        if result.mediation_available:
            yield _event(fact, "mediation.available", 0, _available(escrow))
        for command in result.sends:
            yield command_record(escrow, command, fact)


def id_conflict_alarm(fact: Fact) -> Outgoing:
    """RULES 3.2: one source used one id for two things. Its own id names the record's place."""
    alarm = AlarmRaised(
        order_id=fact.order_id,
        alarm="id_conflict",
        cause=Cause(source=fact.source, id=fact.id),
        detail={"type": fact.type},
    )
    place = f"{fact.topic}/{fact.partition}/{fact.offset}"
    return Outgoing(
        ORDER_EVENTS,
        _key(fact),
        "alarm.raised",
        sent_id(place, "alarm.raised", 0),
        fact.t,
        alarm.model_dump_json(),
    )


def command_record(escrow: Escrow, command: Command, fact: Fact) -> Outgoing:
    """The command as its gateway reads it; `fact` asks for this attempt."""
    valid_for_ms = policy_of(escrow.policy_version).command_valid_for_ms
    data = PaymentCommand(
        command_id=command.command_id,
        order_id=escrow.order_id,
        payment_id=command.payment_id,
        party_id=command.party_id,
        amount_minor=command.amount_minor,
        currency=command.currency,
        purpose=command.purpose,
        decided_by=command.decided_by,
        cause=Cause(source=command.cause_source, id=command.cause_id),
        attempt=command.attempt,
        not_after=rfc3339(command.asked_at + valid_for_ms),
    )
    return Outgoing(
        COMMAND_TOPIC[command.kind],
        escrow.order_id,
        COMMAND_TYPE[command.kind],
        f"{command.command_id}.{command.attempt}",
        fact.t,
        data.model_dump_json(),
        command.command_id,
        fact.extensions,
        command.purpose == "reissue",
    )


def _event(fact: Fact, type_name: str, index: int, data: WireModel) -> Outgoing:
    return Outgoing(
        ORDER_EVENTS,
        _key(fact),
        type_name,
        sent_id(f"{fact.source}\n{fact.id}", type_name, index),
        fact.t,
        data.model_dump_json(),
        None,
        fact.extensions,
    )


def _key(fact: Fact) -> str:
    return fact.order_id or fact.data.supplier_id  # type: ignore[union-attr]


def _changed(old: str | None, escrow: Escrow, cause: Cause) -> OrderChanged:
    return OrderChanged(
        order_id=escrow.order_id,
        from_status=old,
        to_status=escrow.status or "",
        held_minor=escrow.held_minor,
        refunded_minor=escrow.refunded_minor,
        paid_out_minor=escrow.paid_out_minor,
        currency=escrow.currency,
        decided_by=escrow.decided_by,
        cause=cause,
        decision_no=escrow.decision_no,
        chain_head=escrow.chain_head.hex(),
    )


def _alarm(fact: Fact, alarm: Alarm, cause: Cause) -> AlarmRaised:
    return AlarmRaised(
        order_id=fact.order_id, alarm=alarm.code, cause=cause, detail=dict(alarm.detail) or None
    )


def _available(escrow: Escrow) -> MediationAvailable:
    assert escrow.first_requested_at is not None
    assert escrow.request_id is not None
    return MediationAvailable(
        order_id=escrow.order_id,
        request_id=escrow.request_id,
        first_requested_at=rfc3339(escrow.first_requested_at),
    )
