"""The gateway behind a program of any language, as its author describes it: which amounts misbehave, and what was paid.

A sandbox pays for its own tricks (`amounts`); `payments` is its word on what has moved, one JSON object
each, from a command's output or an address.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol
from urllib.request import urlopen

from ops.conformance.rig import Moved, Trick
from schemas.commands import PaymentCommand

TIMEOUT_SECONDS: Final = 10.0


class NoAnswer(Exception):
    """What has moved cannot be told; the text says why."""


class Sandbox(Protocol):
    """The gateway behind an adapter, without the adapter."""

    def arrange(self, trick: Trick, command: PaymentCommand) -> PaymentCommand | None:
        """As a rig's: make it behave so; None where this cannot be made."""

    def moved(self) -> list[Moved]:
        """All payments that it has ever made."""


class Described(NamedTuple):
    """A sandbox with magic amounts and a list of payments."""

    payments: tuple[str, ...]  # a command, or one http address
    amounts: Mapping[Trick, int]  # amount_minor that brings it about
    env: Mapping[str, str] = MappingProxyType({})  # of that command, beside ours

    def arrange(self, trick: Trick, command: PaymentCommand) -> PaymentCommand | None:
        if trick in self.amounts:
            return command.model_copy(update={"amount_minor": self.amounts[trick]})
        return command if trick == "dies_after_the_effect" else None  # the kit kills it

    def moved(self) -> list[Moved]:
        """Raises NoAnswer."""
        try:
            return [_moved(one) for one in _objects(self._said())]
        except (OSError, subprocess.SubprocessError) as error:
            raise NoAnswer(f"the list of payments: {error}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise NoAnswer(
                f"the list of payments is none: {type(error).__name__} {error}"
            ) from None

    def _said(self) -> str:
        if self.payments[0].startswith(("http://", "https://")):
            with urlopen(self.payments[0], timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  the author's
                text: str = answer.read().decode()
                return text
        return subprocess.run(
            self.payments,
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        ).stdout


def _objects(text: str) -> list[dict[str, Any]]:
    """A JSON array, or one object a line."""
    if text.lstrip().startswith("["):
        listed: list[dict[str, Any]] = json.loads(text)
        return listed
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _moved(one: dict[str, Any]) -> Moved:
    amount = one["amount_minor"]
    if type(amount) is not int:
        raise TypeError("amount_minor is a whole number")
    return Moved(str(one["command_id"]), str(one["party_id"]), amount, str(one["currency"]))
