"""Every type that others may send or will meet, once: facts come in, commands and events go out.

Views are ours alone and no part of the contract.
"""

from typing import Final, Literal, NamedTuple

from schemas.commands import COMMAND_TOPIC, COMMAND_TYPE, CommandStatusRequested, PaymentCommand
from schemas.facts import FACT_TYPES
from schemas.order_events import (
    DEAD_LETTERS,
    ORDER_EVENTS,
    AlarmRaised,
    DeadLettered,
    FactRefused,
    MediationAvailable,
    OrderChanged,
)
from schemas.topics import TOPICS, VIEWS, Topic
from schemas.words import WireModel

Flow = Literal["fact", "sent"]


class Message(NamedTuple):
    """One type. `flow`: facts are written by others, what is sent is read by others."""

    name: str  # CloudEvents type
    flow: Flow
    topics: tuple[str, ...]
    model: type[WireModel]

    @property
    def key(self) -> str:
        """The field that the record's key must equal."""
        return BY_TOPIC[self.topics[0]].key

    @property
    def summary(self) -> str:
        """What it says, in the words of its model."""
        return " ".join((self.model.__doc__ or "").split())

    @property
    def written_by(self) -> str:
        return BY_TOPIC[self.topics[0]].written_by

    @property
    def read_by(self) -> str:
        return BY_TOPIC[self.topics[0]].read_by


BY_TOPIC: Final[dict[str, Topic]] = {topic.name: topic for topic in TOPICS if topic.name != VIEWS}
_EVENTS: Final[dict[str, type[WireModel]]] = {
    "order.changed": OrderChanged,
    "fact.refused": FactRefused,
    "mediation.available": MediationAvailable,
    "alarm.raised": AlarmRaised,
}
MESSAGES: Final[dict[str, Message]] = {
    message.name: message
    for message in (
        *(Message(t.name, "fact", (t.topic,), t.model) for t in FACT_TYPES.values()),
        *(
            Message(COMMAND_TYPE[kind], "sent", (topic,), PaymentCommand)
            for kind, topic in COMMAND_TOPIC.items()
        ),
        Message(
            "command.status_requested",
            "sent",
            tuple(COMMAND_TOPIC.values()),
            CommandStatusRequested,
        ),
        *(Message(name, "sent", (ORDER_EVENTS,), model) for name, model in _EVENTS.items()),
        Message("fact.dead_lettered", "sent", (DEAD_LETTERS,), DeadLettered),
    )
}
