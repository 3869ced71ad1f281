"""The gateway's side of the line: a command is acted on only if it is one, and the relay has signed it.

Made for gateways to use or to rebuild; the cases in tests/vectors hold every rebuilding to the same
answers. What makes repetitions harmless (RULES 4.6) is the gateway's own book of command ids.
"""

from collections.abc import Iterable
from typing import Final

from pydantic import ValidationError

from schemas.commands import (
    COMMAND_TOPIC,
    COMMAND_TYPE,
    CommandStatusRequested,
    Kind,
    PaymentCommand,
)
from schemas.envelope import BadEnvelope, from_headers, last_headers
from schemas.keys import KeyRing
from schemas.order_events import SOURCE
from schemas.signatures import HEADER, Covered, Unsigned, signers
from schemas.strict_json import DuplicateKey, NotJson, parse_object

KIND_OF_TOPIC: Final[dict[str, Kind]] = {
    COMMAND_TOPIC["refund"]: "refund",
    COMMAND_TOPIC["payout"]: "payout",
}


class Unreadable(ValueError):
    """The record is not a command; the text says why, without a value of it."""


def read_command(
    kind: Kind, headers: Iterable[tuple[str, bytes | None]], value: bytes | None
) -> PaymentCommand | CommandStatusRequested:
    """Decode a record of the topic with commands of this kind. Raises Unreadable.

    Fields that it does not know are passed over: a later release may send some.
    """
    try:
        envelope = from_headers(last_headers(headers))
        if envelope.type == COMMAND_TYPE[kind]:
            return PaymentCommand.model_validate_json(value or b"", extra="ignore")
        if envelope.type == "command.status_requested":
            return CommandStatusRequested.model_validate_json(value or b"", extra="ignore")
    except BadEnvelope as error:
        raise Unreadable(str(error)) from None
    except ValidationError as error:
        raise Unreadable(f"{error.error_count()} faults in its data") from None
    raise Unreadable("a type that does not belong here")


def read_signed_command(
    ring: KeyRing,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
    t: int,
) -> PaymentCommand | CommandStatusRequested:
    """The command of a record, if the relay's key has signed it for this topic and order.

    A key that may sign every type, in the name of its own source, commands nothing. `t`: ms UTC of
    the record, or now where its time cannot be believed. Raises Unsigned for what the relay did not
    write, Unreadable for what is no command.
    """
    headers = list(headers)
    last = last_headers(headers)
    try:
        sent = from_headers(last)
    except BadEnvelope as error:
        raise Unreadable(str(error)) from None
    if sent.source != SOURCE:
        raise Unsigned("it is not said in the name of the pipeline")
    what = Covered(topic, key, sent, last.get("content-type"), value)
    signers(ring, what, last.get(HEADER), t, revoked_for_all_time=True)
    kind = KIND_OF_TOPIC.get(topic)
    if kind is None:
        raise Unreadable("not a topic of commands")
    try:
        parse_object(value)  # one name twice would be read differently by different gateways
    except (NotJson, DuplicateKey) as error:
        raise Unreadable(f"not JSON as it should be: {error}") from None
    command = read_command(kind, headers, value)
    if key != command.order_id.encode():
        raise Unreadable("its key is not its order")
    return command


__all__ = ["KIND_OF_TOPIC", "Unreadable", "Unsigned", "read_command", "read_signed_command"]
