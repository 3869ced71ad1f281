"""A person's wish that a failed or returned command be tried once more, as a fact on its topic.

Whether it is granted is decided where all facts are decided (RULES 4.6).
"""

from typing import Any, Final
from uuid import uuid4

from ops.said_by_people import CannotSay, fact_record
from schemas.door import Fact, Record
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
    data: dict[str, Any] = {
        "order_id": listed.order_id,
        "command_id": command.command_id,
        "reissue_id": uuid4().hex,
        "operator_id": operator_id,
        "note": note,
    }
    try:
        return fact_record("command.reissued", SOURCE, listed.order_id, data, t)
    except CannotSay as error:
        raise CannotReissue(str(error)) from None
