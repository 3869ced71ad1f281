"""A payment gateway that keeps its word (RULES 4.6): a command takes effect at most once, whatever comes twice.

What it answers follows from the amount and the attempt, so that a schedule's records are always the same.
"""

import json
from functools import lru_cache
from typing import Any, Final

from schemas.commands import PAYOUT_COMMANDS, REFUND_COMMANDS
from schemas.facts import GATEWAY_RESULTS
from tests.simulation.broker import Broker, Entry
from tests.simulation.scheduler import Scheduler
from tests.simulation.stories import Sent, record

COMMANDS: Final = (REFUND_COMMANDS, PAYOUT_COMMANDS)
DUPLICATES: Final = 0.05


class Gateway:
    """Reads commands, books effects, answers."""

    def __init__(self, scheduler: Scheduler, broker: Broker) -> None:
        self.effects: list[dict[str, Any]] = []
        self._scheduler, self._broker = scheduler, broker
        self._waiting: list[Entry] = []
        self._answers: dict[str, list[Sent]] = {}  # command id → all that was answered
        self._attempt: dict[str, int] = {}  # the last one that was looked at
        self._failed: set[str] = set()

    @property
    def has_work(self) -> bool:
        return bool(self._waiting)

    def look(self, entry: Entry) -> None:
        """A record has come to a topic that is no input."""
        if entry.topic in COMMANDS:
            if not self._waiting:
                self._scheduler.ready.append(self.work)
            self._waiting.append(entry)

    def work(self) -> bool:
        """The next command, in the order in which they came."""
        entry = self._waiting.pop(0)
        command = parsed(entry.value or b"")
        command_id = command["command_id"]
        if "attempt" not in command:  # asked about
            for sent in self._answers.get(command_id, ())[-1:]:
                self._send(sent)
        else:
            self._execute(command, entry)
        return bool(self._waiting)

    def _execute(self, command: dict[str, Any], entry: Entry) -> None:
        id_, attempt = command["command_id"], command["attempt"]
        before = self._attempt.get(id_, 0)
        if before and not (attempt > before and id_ in self._failed):
            if self._scheduler.random() < 0.5:
                for sent in self._answers[id_][-1:]:
                    self._send(sent)
            return
        self._attempt[id_] = attempt
        self._failed.discard(id_)
        for type_name, retryable in answers(command["amount_minor"], attempt, command["purpose"]):
            if type_name == "gateway.failed":
                self._failed.add(id_)
            if type_name == "gateway.settled":
                kind = "refund" if entry.topic == REFUND_COMMANDS else "payout"
                names = ("command_id", "order_id", "party_id", "amount_minor", "currency")
                effect = {name: command[name] for name in names}
                self.effects.append({**effect, "kind": kind, "came_back": False})
            if type_name == "gateway.returned":
                self.effects[-1]["came_back"] = True
            sent = result(
                command["order_id"], id_, command["amount_minor"], command["currency"],
                type_name, attempt, entry.timestamp, retryable,
            )  # fmt: skip
            self._answers.setdefault(id_, []).append(sent)
            self._send(sent)

    def _send(self, sent: Sent) -> None:
        for _ in range(2 if self._scheduler.random() < DUPLICATES else 1):
            self._broker.append(sent.topic, sent.key, sent.value, sent.headers, sent.t)


@lru_cache(maxsize=4_096)
def parsed(value: bytes) -> dict[str, Any]:
    command: dict[str, Any] = json.loads(value)
    return command


def answers(amount: int, attempt: int, purpose: str) -> tuple[tuple[str, bool], ...]:
    """What becomes of an attempt: type of the answer, and whether to try again."""
    if purpose != "reissue" and amount % 10 == 7:
        return (("gateway.failed", False),)
    if amount % 100 == 50 and attempt < 3:
        return (("gateway.failed", True),)
    if amount % 10 == 1:
        return (
            ("gateway.accepted", False),
            ("gateway.settled", False),
            ("gateway.returned", False),
        )
    return (("gateway.settled", False),)


@lru_cache(maxsize=4_096)
def result(
    order_id: str, command_id: str, amount: int, currency: str, type_name: str, attempt: int,
    t: int, retryable: bool,
) -> Sent:  # fmt: skip
    data: dict[str, Any] = {
        "order_id": order_id, "command_id": command_id, "amount_minor": amount, "currency": currency,
    }  # fmt: skip
    if retryable:
        data["retryable"] = True
    number = f"{command_id}.{attempt}.{type_name[8:]}.{t}"
    sent = record(type_name, order_id, number, t, data)
    assert sent.topic == GATEWAY_RESULTS
    return sent
