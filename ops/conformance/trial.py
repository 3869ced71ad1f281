"""One check in progress: commands with ids of their own, and what came of them.

Whatever a check is about, `sound` holds at its end: no answer that the pipeline would not take, no
second effect, and no last word that the gateway's truth contradicts.
"""

import json
from typing import Any, Final
from uuid import uuid4

from ops.conformance.rig import Given, Rig, Said, Trick
from schemas.commands import COMMAND_TYPE, Cause, Kind, PaymentCommand
from schemas.door import Fact, Record, decode
from schemas.facts import GATEWAY_RESULTS
from schemas.order_events import rfc3339

AMOUNT_MINOR: Final = 4200
VALID_MS: Final = 86_400_000
_PAID: Final = ("gateway.settled", "gateway.returned")


class NotTried(Exception):
    """The rig cannot bring about what the check needs."""


class Trial:
    """A rig, and the commands that it was given."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._commands: dict[str, PaymentCommand] = {}

    def command(self, kind: Kind = "payout", *, expired: bool = False) -> PaymentCommand:
        """A new command of an order of its own."""
        not_after = self.rig.now() + (-1 if expired else 1) * VALID_MS
        command_id = uuid4().hex
        return PaymentCommand(
            command_id=command_id,
            order_id=f"order-{command_id[:12]}",
            payment_id=f"pay-{command_id[:12]}",
            party_id="acme" if kind == "payout" else "anna",
            amount_minor=AMOUNT_MINOR,
            currency="EUR",
            purpose="settlement",
            decided_by="buyer",
            cause=Cause(source="/conformance", id=command_id),
            attempt=1,
            not_after=rfc3339(not_after),
        )

    def arranged(self, trick: Trick, kind: Kind = "payout") -> PaymentCommand:
        """A new command, for which the gateway behaves so. Raises NotTried."""
        command = self.rig.arrange(trick, self.command(kind))
        if command is None:
            raise NotTried(f"the rig cannot arrange {trick}")
        return command

    def again(self, command: PaymentCommand, **changes: Any) -> PaymentCommand:
        """The same command with other words: another attempt, a later not_after."""
        return command.model_copy(update=changes)

    def late(self) -> str:
        """A not_after that has passed."""
        return rfc3339(self.rig.now() - VALID_MS)

    def give(self, *commands: PaymentCommand, kind: Kind = "payout", **more: Any) -> None:
        """Let the adapter read them; `more` are fields of a later release."""
        for command in commands:
            self._commands.setdefault(command.command_id, command)
        self.rig.give(*(self._record(command, kind, more) for command in commands))

    def give_raw(self, type_name: str, value: bytes, kind: Kind = "payout") -> None:
        """Any record at all."""
        id_ = uuid4().hex
        self.rig.give(Given(kind, self.rig.now(), "order-x", _headers(type_name, id_), value))

    def ask(self, command: PaymentCommand, kind: Kind = "payout") -> None:
        """`command.status_requested`."""
        data = {"command_id": command.command_id, "order_id": command.order_id}
        headers = _headers("command.status_requested", uuid4().hex)
        value = json.dumps(data).encode()
        self.rig.give(Given(kind, self.rig.now(), command.order_id, headers, value))

    def moved(self, command: PaymentCommand) -> int:
        """How often money has moved for it."""
        return sum(one.command_id == command.command_id for one in self.rig.moved())

    def words(self, command: PaymentCommand) -> list[str]:
        """The types of all answers about it, in order."""
        return [fact.type for fact in self._facts() if _about(fact) == command.command_id]

    def word(self, command: PaymentCommand) -> str | None:
        """The last one."""
        words = self.words(command)
        return words[-1] if words else None

    def answers(self, command: PaymentCommand) -> list[Fact]:
        return [fact for fact in self._facts() if _about(fact) == command.command_id]

    def pays(self, command: PaymentCommand, *, times: int = 1) -> None:
        """Its effect has taken place, and its last word says so; or neither."""
        assert self.moved(command) == times, f"money moved {self.moved(command)} times, not {times}"
        wanted = "gateway.settled" if times else "gateway.failed"
        assert self.word(command) == wanted, f"its last word is {self.word(command)}, not {wanted}"

    def sound(self) -> None:
        """What holds after every check."""
        known: dict[str, bytes] = {}
        for fact in self._facts():
            data: Any = fact.data
            command = self._commands.get(data.command_id)
            assert command is not None, f"an answer about {data.command_id}, which nobody ordered"
            said = (data.order_id, data.amount_minor, data.currency)
            ordered = (command.order_id, command.amount_minor, command.currency)
            assert said == ordered, f"an answer of {said} to a command of {ordered}"
            same = known.setdefault(fact.id, fact.digest)
            assert same == fact.digest, f"one id for two different answers: {fact.id}"
        for command in self._commands.values():
            times, word = self.moved(command), self.word(command)
            assert times <= 1, f"money moved {times} times for one command_id"
            assert word not in _PAID or times == 1, f"it said {word}, and nothing has moved"
            assert word != "gateway.failed" or times == 0, "it said failed, and money has moved"
        for one in self.rig.moved():
            command = self._commands.get(one.command_id)
            assert command is not None, f"money moved for {one.command_id}, which nobody ordered"
            moved = (one.party_id, one.amount_minor, one.currency)
            ordered = (command.party_id, command.amount_minor, command.currency)
            assert moved == ordered, f"{moved} was paid where {ordered} was ordered"

    def _facts(self) -> list[Fact]:
        return [_fact(said) for said in self.rig.said()]

    def _record(self, command: PaymentCommand, kind: Kind, more: dict[str, Any]) -> Given:
        data = {**command.model_dump(mode="json"), **more}
        headers = _headers(COMMAND_TYPE[kind], f"{command.command_id}.{command.attempt}")
        return Given(kind, self.rig.now(), command.order_id, headers, json.dumps(data).encode())


def _fact(said: Said) -> Fact:
    """An answer, past our own door."""
    record = Record(GATEWAY_RESULTS, 0, 0, 0, said.key.encode(), said.value, said.headers)
    fact = decode(record)
    assert isinstance(fact, Fact), (
        f"the pipeline would not take this answer: {fact.code}, {fact.detail}"
    )
    return fact


def _about(fact: Fact) -> str:
    return str(fact.data.command_id)  # type: ignore[union-attr]


def _headers(type_name: str, id_: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", id_.encode()),
        ("ce_source", b"escrow"),
        ("ce_type", type_name.encode()),
    )
