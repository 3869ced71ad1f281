"""One check in progress: commands with ids of their own, and what came of them.

Whatever a check is about, `sound` holds at its end: no answer that the pipeline would not take, no
second effect, and no last word that the gateway's truth contradicts.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

from ops.conformance.relay_key import new_key
from ops.conformance.rig import Given, Patient, Rig, Said, Trick, Verifying
from schemas.commands import COMMAND_TOPIC, COMMAND_TYPE, Cause, Kind, PaymentCommand
from schemas.door import Fact, Record, decode
from schemas.facts import GATEWAY_RESULTS
from schemas.keys import Signing
from schemas.order_events import rfc3339
from schemas.signatures import signature_header

AMOUNT_MINOR: Final = 4200
VALID_MS: Final = 86_400_000
LOOK_SECONDS: Final = 0.05
_PAID: Final = ("gateway.settled", "gateway.returned")


class NotTried(Exception):
    """The rig cannot bring about what the check needs."""


class Trial:
    """A rig, and the commands that it was given."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._patience_seconds = rig.patience_seconds if isinstance(rig, Patient) else 0.0
        self._key = rig.relay_key if isinstance(rig, Verifying) else None
        self._commands: dict[str, PaymentCommand] = {}

    def command(self, kind: Kind = "payout", *, expired: bool = False) -> PaymentCommand:
        """A new command of an order of its own."""
        return new_command(kind, self.rig.now() + (-1 if expired else 1) * VALID_MS)

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
        self.rig.give(*(self._signed(self.record(command, kind, **more)) for command in commands))

    def give_raw(self, type_name: str, value: bytes, kind: Kind = "payout") -> None:
        """Any record at all."""
        id_ = uuid4().hex
        given = Given(kind, self.rig.now(), "order-x", _headers(type_name, id_), value)
        self.rig.give(self._signed(given))

    def forge(self, command: PaymentCommand) -> None:
        """The same, signed by nobody, and by a key that is not the relay's. Raises NotTried."""
        self.must_verify()
        self._commands.setdefault(command.command_id, command)
        unsigned = self.record(command)
        self.rig.give(unsigned, signed(unsigned, new_key()))

    def forge_from(self, command: PaymentCommand, **changes: Any) -> None:
        """What the relay has signed for this command, over another value. Raises NotTried."""
        self.must_verify()
        self._commands.setdefault(command.command_id, command)
        true = self._signed(self.record(command))
        self.rig.give(true._replace(value=self.record(self.again(command, **changes)).value))

    def must_verify(self) -> None:
        """Raises NotTried where signatures are off."""
        if self._key is None:
            raise NotTried("signatures are off: the rig has no key of the relay")

    def ask(self, command: PaymentCommand, kind: Kind = "payout") -> None:
        """`command.status_requested`."""
        data = {"command_id": command.command_id, "order_id": command.order_id}
        headers = _headers("command.status_requested", uuid4().hex)
        value = json.dumps(data).encode()
        self.rig.give(self._signed(Given(kind, self.rig.now(), command.order_id, headers, value)))

    def until(self, holds: Callable[[], bool]) -> bool:
        """Whether it holds, at last where the adapter takes its time."""
        deadline = time.monotonic() + self._patience_seconds
        while not holds():
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True

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
        wanted = "gateway.settled" if times else "gateway.failed"
        self.until(lambda: self.word(command) == wanted)
        assert self.moved(command) == times, f"money moved {self.moved(command)} times, not {times}"
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

    def record(self, command: PaymentCommand, kind: Kind = "payout", **more: Any) -> Given:
        """As the relay writes it, but for its signature."""
        return record_of(command, kind, self.rig.now(), **more)

    def _signed(self, given: Given) -> Given:
        return given if self._key is None else signed(given, self._key)


def new_command(kind: Kind, not_after_ms: int) -> PaymentCommand:
    """A command that nobody has seen, of an order of its own, for an amount without magic."""
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
        not_after=rfc3339(not_after_ms),
    )


def record_of(command: PaymentCommand, kind: Kind, t: int, **more: Any) -> Given:
    """A command as its topic has it; `more` are fields of a later release."""
    data = {**command.model_dump(mode="json"), **more}
    headers = _headers(COMMAND_TYPE[kind], f"{command.command_id}.{command.attempt}")
    return Given(kind, t, command.order_id, headers, json.dumps(data).encode())


def signed(given: Given, key: Signing) -> Given:
    """The record with this key's signature as its last header."""
    topic, headers = COMMAND_TOPIC[given.kind], list(given.headers)
    header = signature_header(key, topic, given.key.encode(), given.value, headers)
    return given._replace(headers=(*given.headers, header))


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
