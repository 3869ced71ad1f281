"""What the model says must be sent for each fact, RULES 4.6 and 4.8; found by comparing before and after.

A conflict of identities raises its alarm at the door of the database and is not looked at here.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tests.model import policy
from tests.model.door import Fact
from tests.model.state import Answer, Order
from tests.model.strict_json import Json


class Told(NamedTuple):
    """One record: its topic, type and data (of a `detail` only what RULES name)."""

    topic: str
    type: str
    data: dict[str, Json]


EVENTS = "escrow.order-events.v1"
COMMANDS = {
    "refund": ("escrow.refund-commands.v1", "refund.issue"),
    "payout": ("escrow.payout-commands.v1", "payout.release"),
}

NAMED = {
    "order.changed": "from to held_minor refunded_minor paid_out_minor currency decided_by cause",
    "fact.refused": "cause type code",
    "alarm.raised": "alarm cause",
    "mediation.available": "",
}


def comparable(told: Told) -> str:
    """Of an event the members that RULES 4.8 names (but `detail`); of a command all."""
    data = told.data
    if told.type in NAMED:
        data = {name: value for name, value in data.items() if name in NAMED[told.type].split()}
    return json.dumps([told.topic, told.type, data], sort_keys=True)


@dataclass
class Before:
    """What of an order can change in a decision and is told."""

    status: str | None
    attempts: dict[str, int]
    alarms: int

    @classmethod
    def of(cls, order: Order) -> "Before":
        attempts = {command.command_id: command.attempt for command in order.commands}
        return cls(order.status, attempts, len(order.alarms))


def tell(order: Order, fact: Fact, before: Before, answer: Answer) -> list[Told]:
    """What one decision about `fact` sends."""
    cause: Json = {"source": fact.source, "id": fact.id}
    said = tell_commands(order, fact, before)
    if order.status != before.status:
        said.append(Told(EVENTS, "order.changed", changed(order, before.status, cause)))
    if answer.outcome == "refused":
        said.append(
            Told(EVENTS, "fact.refused", {"cause": cause, "type": fact.type, "code": answer.code})
        )
    alarms = order.alarms[before.alarms :]
    said += [Told(EVENTS, "alarm.raised", {"alarm": each, "cause": cause}) for each in alarms]
    if answer.outcome == "applied" and is_available(order, fact):
        said.append(Told(EVENTS, "mediation.available", {}))
    return said


def changed(order: Order, old: str | None, cause: Json) -> dict[str, Json]:
    return {
        "from": old,
        "to": order.status,
        "held_minor": order.held,
        "refunded_minor": order.refunded,
        "paid_out_minor": order.paid_out,
        "currency": order.currency,
        "decided_by": order.settled_by,
        "cause": cause,
    }


def is_available(order: Order, fact: Fact) -> bool:
    """RULES 4.7: the tick's condition still holds."""
    return (
        fact.type == "deadline.reached"
        and fact.data["kind"] == "mediation_available"
        and order.status == "DISPUTED"
        and order.first_requested_at is not None
        and fact.t >= order.first_requested_at + policy.MEDIATION_AFTER
    )


def rfc3339(t: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=t)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def tell_commands(order: Order, fact: Fact, before: Before) -> list[Told]:
    """New commands, and old ones that are to be tried again."""
    said: list[Told] = []
    for command in order.commands:
        if command.command_id not in before.attempts:
            command.cause = {"source": fact.source, "id": fact.id}
            if command.purpose == "settlement":
                command.decided_by = order.settled_by
        elif before.attempts[command.command_id] == command.attempt:
            continue
        data: dict[str, Json] = {
            "command_id": command.command_id,
            "order_id": order.order_id,
            "payment_id": command.payment_id,
            "party_id": command.party_id,
            "amount_minor": command.amount_minor,
            "currency": command.currency,
            "purpose": command.purpose,
            "decided_by": command.decided_by,
            "cause": dict(command.cause),
            "attempt": command.attempt,
            "not_after": rfc3339(fact.t + policy.COMMAND_VALID_FOR),
        }
        said.append(Told(*COMMANDS[command.kind], data))
    return said
