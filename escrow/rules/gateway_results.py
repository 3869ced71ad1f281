"""A command ends once; what a gateway says of money never changes an order's status (RULES 4.6)."""

from typing import assert_never

from escrow.decision import Alarm, Applied, Outcome, Parked, Refused
from escrow.policy import policy_of
from escrow.state import Command, Order
from schemas.door import Fact
from schemas.gateway_results import (
    GatewayAccepted,
    GatewayFailed,
    GatewayReturned,
    GatewaySettled,
)
from schemas.reasons import AlarmCode, RefusalCode

GatewayResult = GatewayAccepted | GatewaySettled | GatewayFailed | GatewayReturned

_FINAL: dict[str, RefusalCode] = {
    "SETTLED": "command_is_settled",
    "RETURNED": "command_is_returned",
    "FAILED": "command_is_failed",
}


def result(order: Order, fact: Fact, data: GatewayResult) -> Outcome:
    """Any status of the order; the command's own state decides."""
    command = order.commands.get(data.command_id)
    if command is None:
        return Parked("awaiting_command")
    if (data.amount_minor, data.currency) != (command.amount_minor, command.currency):
        return Refused("amount_mismatch", alarms=(_alarm("gateway_mismatch", command),))
    match data:
        case GatewayAccepted():
            return _accepted(order, command)
        case GatewaySettled():
            return _settled(order, command)
        case GatewayFailed():
            return _failed(order, fact, command, retryable=data.retryable is True)
        case GatewayReturned():
            return _returned(order, command)
        case _:
            assert_never(data)


def _accepted(order: Order, command: Command) -> Outcome:
    if command.state in _FINAL:
        return Applied(order.escrow)
    return Applied(order.escrow, children=(command._replace(state="ACCEPTED"),))


def _settled(order: Order, command: Command) -> Outcome:
    if command.state in ("SETTLED", "RETURNED"):
        return Refused(_FINAL[command.state])
    alarms: tuple[Alarm, ...] = ()
    holds: tuple[str, ...] = ()
    if command.reissue_id is not None:  # the same money may now move twice: a person decides
        alarms = (_alarm("settled_after_reissue", command),)
        holds = (command.reissue_id,)
    return Applied(
        order.escrow, children=(command._replace(state="SETTLED"),), alarms=alarms, holds=holds
    )


def _failed(order: Order, fact: Fact, command: Command, *, retryable: bool) -> Outcome:
    if command.state in _FINAL:
        return Refused(_FINAL[command.state])
    failed = command._replace(failures=command.failures + 1)
    attempts = policy_of(order.escrow.policy_version, fact.t).max_attempts
    if retryable and command.failures < attempts - 1:
        again = failed._replace(state="PENDING", attempt=command.attempt + 1, asked_at=fact.t)
        return Applied(order.escrow, children=(again,), sends=(again,))
    return Applied(
        order.escrow,
        children=(failed._replace(state="FAILED"),),
        alarms=(_alarm("command_failed", command),),
    )


def _returned(order: Order, command: Command) -> Outcome:
    if command.state == "RETURNED":
        return Refused("command_is_returned")
    return Applied(
        order.escrow,
        children=(command._replace(state="RETURNED"),),
        alarms=(_alarm("command_returned", command),),
    )


def _alarm(code: AlarmCode, command: Command) -> Alarm:
    return Alarm(code, (("command_id", command.command_id),))
