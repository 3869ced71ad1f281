"""A person's wish that a failed or returned command be tried once more, as a fact on its topic.

Whether it is granted is decided where all facts are decided (RULES 4.6).
"""

from typing import Any, Final
from uuid import uuid4

from schemas.door import Fact, Record, Rejected, decode
from schemas.facts import OPERATOR_ACTIONS
from schemas.operator_actions import CommandReissued
from storage.command_reading import ListedCommand

SOURCE: Final = "/escrow/operators"


class CannotReissue(Exception):
    """The command cannot be reissued; the text says why."""


def reissue_record(
    listed: ListedCommand, *, operator_id: str, note: str | None, t: int
) -> tuple[Record, Fact]:
    """The record to publish, and the fact that a stage will make of it. Raises CannotReissue."""
    command = listed.command
    if command.state not in ("FAILED", "RETURNED"):
        raise CannotReissue(
            f"it is {command.state}: only a FAILED or RETURNED command can be reissued"
        )
    if command.reissue_id is not None:
        raise CannotReissue(f"it was reissued before, as {command.reissue_id}")
    unique = uuid4().hex
    data: dict[str, Any] = {
        "order_id": listed.order_id,
        "command_id": command.command_id,
        "reissue_id": unique,
        "operator_id": operator_id,
        "note": note,
    }
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": unique,
        "ce_source": SOURCE,
        "ce_type": "command.reissued",
    }
    try:
        value = CommandReissued(**data).model_dump_json(exclude_none=True).encode()
    except ValueError as error:
        raise CannotReissue(f"the operator id or the note is not valid: {error}") from None
    encoded = [(name, text.encode()) for name, text in headers.items()]
    record = Record(OPERATOR_ACTIONS, 0, 0, t, listed.order_id.encode(), value, encoded)
    fact = decode(record)
    if isinstance(fact, Rejected):  # a card number in the note, for one
        raise CannotReissue(f"the record would not pass the door: {fact.code}")
    return record, fact
