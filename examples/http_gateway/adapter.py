"""A gateway adapter to copy: commands in, HTTP with idempotency keys out, true answers back.

What it keeps (RULES 4.6): a command is written down before the bank is asked; a key is the command and its attempt; a
new attempt is made only where the bank itself has declined the one before. What is not known is asked
again, never guessed. `escrow conformance gateway --adapter examples.http_gateway.rig` holds it to that.
"""

import json
import sqlite3
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from examples.http_gateway.iso20022 import Told, told

TRIES: Final = 3
TIMEOUT_SECONDS: Final = 5.0
EXPIRED: Final = Told("gateway.failed", "not_after_passed", retryable=False)
_SAME: Final = ("order_id", "kind", "party_id", "amount_minor", "currency", "purpose")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS commands (
  command_id TEXT PRIMARY KEY, attempt INTEGER NOT NULL, command TEXT NOT NULL,
  type TEXT, reason_code TEXT, retryable INTEGER  -- the last answer; none: it is being tried
)
"""


class Answer(NamedTuple):
    """One result to send; equal answers have equal ids, so that a repetition is a duplicate."""

    id: str
    type: str
    data: dict[str, Any]


class Unknown(Exception):
    """The bank did not say what became of it."""


class Bank:
    """The bank's API, as this adapter needs it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def pay(self, key: str, command: dict[str, Any]) -> dict[str, Any]:
        """What became of the payment of this key. Raises Unknown."""
        order = {
            "reference": command["command_id"],
            "to": command["party_id"],
            "amount_minor": command["amount_minor"],
            "currency": command["currency"],
        }
        return self._ask("/payments", json.dumps(order).encode(), {"Idempotency-Key": key})

    def status(self, key: str) -> dict[str, Any] | None:
        """The same without paying; None: no payment of this key ever came. Raises Unknown."""
        try:
            return self._ask(f"/payments/{key}", None, {})
        except LookupError:
            return None

    def returns(self) -> list[dict[str, Any]]:
        """What has come back. Raises Unknown."""
        found: list[dict[str, Any]] = self._ask("/returns", None, {})["returns"]
        return found

    def _ask(self, path: str, body: bytes | None, headers: dict[str, str]) -> dict[str, Any]:
        request = Request(self._url + path, body, headers)  # noqa: S310  the operator's own URL
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
                said: dict[str, Any] = json.loads(answer.read())
                return said
        except HTTPError as error:
            with error:
                if error.code == 404:
                    raise LookupError(path) from None
                raise Unknown(f"{error.code}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise Unknown(type(error).__name__) from None


class Adapter:
    """The decisions, over a file of its own. One process at a time."""

    def __init__(self, path: Path, bank: Bank) -> None:
        self._bank = bank
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")

    def close(self) -> None:
        self._db.close()

    def take(self, kind: str, type_name: str, value: bytes, now_ms: int) -> list[Answer]:
        """What to answer to one record. Records that it cannot read are none of its business."""
        try:
            data = json.loads(value)
            if type_name == "command.status_requested":
                return self._asked(data["command_id"], now_ms)
            if type_name not in ("refund.issue", "payout.release"):
                return []
            return self._ordered({**data, "kind": kind}, now_ms)
        except (ValueError, KeyError, TypeError):
            return []

    def returned(self) -> list[Answer]:
        """What the bank says has come back, each told once."""
        told_now = []
        for one in self._bank.returns():
            known = self._known(one["reference"])
            if known is not None and known[2] is not None and known[2].type == "gateway.settled":
                answer = Told("gateway.returned", one["reason"])
                told_now.append(self._note(known[0], known[1], answer))
        return told_now

    def _ordered(self, command: dict[str, Any], now_ms: int) -> list[Answer]:
        known = self._known(command["command_id"])
        if known is not None:
            before, attempt, last = known
            if any(before[name] != command[name] for name in _SAME):
                return []  # one id, one payment: somebody's mistake, never acted upon
            is_new = (
                last is not None and last.type == "gateway.failed" and command["attempt"] > attempt
            )
            if not is_new:
                return self._resume(before, attempt, last, now_ms)
        if now_ms > _ms(command["not_after"]):
            return [self._note(command, command["attempt"], EXPIRED)]
        self._write(command, command["attempt"], None)  # before the bank is asked
        return self._resume(command, command["attempt"], None, now_ms)

    def _asked(self, command_id: str, now_ms: int) -> list[Answer]:
        known = self._known(command_id)
        return [] if known is None else self._resume(*known, now_ms)

    def _resume(
        self, command: dict[str, Any], attempt: int, last: Told | None, now_ms: int
    ) -> list[Answer]:
        """Say the last word again; where there is none, or it is not final, find out."""
        if last is not None and last.type != "gateway.accepted":
            return [_answer(command, attempt, last)]
        key = f"{command['command_id']}.{attempt}"
        for _ in range(TRIES):
            try:
                if now_ms <= _ms(command["not_after"]):
                    said = self._bank.pay(key, command)  # of a key that it knows, it only says
                elif (found := self._bank.status(key)) is not None:
                    said = found
                else:
                    return [self._note(command, attempt, EXPIRED)]  # it never came there
            except Unknown:
                continue
            result = told(said["status"], said["reason"])
            return [] if result is None else [self._note(command, attempt, result)]
        return []  # silence: the pipeline asks in a quarter of an hour

    def _note(self, command: dict[str, Any], attempt: int, result: Told) -> Answer:
        self._write(command, attempt, result)
        return _answer(command, attempt, result)

    def _write(self, command: dict[str, Any], attempt: int, result: Told | None) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO commands VALUES (?, ?, ?, ?, ?, ?)",
            (command["command_id"], attempt, json.dumps(command), *(result or (None, None, None))),
        )

    def _known(self, command_id: str) -> tuple[dict[str, Any], int, Told | None] | None:
        row = self._db.execute(
            "SELECT command, attempt, type, reason_code, retryable FROM commands WHERE command_id = ?",
            (command_id,),
        ).fetchone()
        if row is None:
            return None
        retryable = None if row[4] is None else bool(row[4])
        return (
            json.loads(row[0]),
            row[1],
            None if row[2] is None else Told(row[2], row[3], retryable),
        )


def _answer(command: dict[str, Any], attempt: int, result: Told) -> Answer:
    names = ("order_id", "command_id", "amount_minor", "currency")
    data = {name: command[name] for name in names}
    more = {"reason_code": result.reason_code, "retryable": result.retryable}
    data |= {name: value for name, value in more.items() if value is not None}
    word = result.type.removeprefix("gateway.")
    return Answer(f"{command['command_id']}.{attempt}.{word}", result.type, data)


def _ms(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp() * 1000)
