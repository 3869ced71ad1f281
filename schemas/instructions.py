"""What an operator tells the sending side: facts on his topic too, taken only where `operator_controls` is on.

They concern what is sent, never what is decided: no order's status or money knows of them.
"""

from typing import Annotated, Final, Literal

from pydantic import Field

from schemas.facts import OPERATOR_ACTIONS, FactType
from schemas.words import Id, Note, Text, WireModel

Scope = Literal["all", "refund", "payout"]  # which commands


class _Sending(WireModel):
    """`scope` is the record's key too, but for the word: all of these lie in one partition."""

    scope: Scope
    action_id: Id
    operator_id: Id
    note: Note

    @property
    def key(self) -> str:
        return "sending"

    @property
    def subject(self) -> str:
        """What it is about, in one word for lists."""
        return self.scope


class SendingPaused(_Sending):
    """No command of this scope is sent from here on; facts go on being decided."""


class SendingResumed(_Sending):
    """Commands of this scope are sent again; `all` takes every pause away."""


class _OneCommand(WireModel):
    order_id: Id
    command_id: Id
    action_id: Id
    operator_id: Id
    note: Note

    @property
    def key(self) -> str:
        return self.order_id

    @property
    def subject(self) -> str:
        return self.command_id


class CommandHeld(_OneCommand):
    """The command is not sent until it is released, whether it is decided already or not."""


class CommandReleased(_OneCommand):
    """The command may be sent, whoever or whatever held it; no cap stops it again."""


class DeadLetterDiscarded(WireModel):
    """A person has looked at this dead letter, and nothing is to be done about it."""

    topic: Text
    partition: Annotated[int, Field(ge=0, le=2**31 - 1)]
    offset: Annotated[int, Field(ge=0, le=2**63 - 1)]
    action_id: Id
    operator_id: Id
    note: Note

    @property
    def key(self) -> str:
        return self.subject

    @property
    def subject(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


InstructionData = (
    SendingPaused | SendingResumed | CommandHeld | CommandReleased | DeadLetterDiscarded
)
_MODELS: Final[dict[str, type[WireModel]]] = {
    "sending.paused": SendingPaused,
    "sending.resumed": SendingResumed,
    "command.held": CommandHeld,
    "command.released": CommandReleased,
    "dead_letter.discarded": DeadLetterDiscarded,
}
INSTRUCTION_TYPES: Final[dict[str, FactType]] = {
    name: FactType(name, OPERATOR_ACTIONS, "operator_actions", model)
    for name, model in _MODELS.items()
}
