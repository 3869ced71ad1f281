"""The rig of this adapter: its own file, and a bank on loopback that can be told to behave badly."""

import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from examples.http_gateway.adapter import Adapter, Answer, Bank, Unknown
from examples.http_gateway.bank import Bank as BankServer
from examples.http_gateway.bank import Manner
from ops.conformance.rig import Given, Moved, Said, Trick
from schemas.commands import PaymentCommand

MANNERS: Final[dict[Trick, list[Manner]]] = {
    "refuses_for_now": ["declines_for_now"],
    "refuses_for_good": ["declines"],
    "silent_before": ["breaks_before", "error_500", "breaks_before"],
    "silent_after": ["breaks_after", "error_500", "breaks_before"],
    "comes_back": ["returns"],
    "dies_after_the_effect": [],
}


class Killed(Exception):
    """The process is gone; only its file is left."""


class _Deadly(Bank):
    """The bank as seen by an adapter that does not live to read the answer."""

    @override
    def pay(self, key: str, command: dict[str, Any]) -> dict[str, Any]:
        super().pay(key, command)
        raise Killed


class HttpRig:
    """One adapter, one bank."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="escrow-http-gateway-")
        self._bank = BankServer()
        self._said: list[Said] = []
        self._adapter = self._start(Bank(self._bank.url))

    def _start(self, bank: Bank) -> Adapter:
        return Adapter(Path(self._folder.name) / "adapter.sqlite3", bank)

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def arrange(self, trick: Trick, command: PaymentCommand) -> PaymentCommand:
        self._bank.manners[command.command_id] = list(MANNERS[trick])
        if trick == "dies_after_the_effect":
            self._adapter.close()
            self._adapter = self._start(_Deadly(self._bank.url))
        return command

    def give(self, *records: Given) -> None:
        for given in records:
            type_name = dict(given.headers)["ce_type"].decode()
            try:
                answers = self._adapter.take(given.kind, type_name, given.value, self.now())
            except Killed:
                self.restart()  # and Kafka delivers again what was not committed
                answers = self._adapter.take(given.kind, type_name, given.value, self.now())
            self._said += map(_as_record, answers)
        try:
            self._said += map(_as_record, self._adapter.returned())
        except Unknown:
            return  # asked again next time

    def said(self) -> list[Said]:
        return list(self._said)

    def moved(self) -> list[Moved]:
        orders = [one["order"] for one in self._bank.executed()]
        return [Moved(o["reference"], o["to"], o["amount_minor"], o["currency"]) for o in orders]

    def restart(self) -> None:
        self._adapter.close()
        self._adapter = self._start(Bank(self._bank.url))

    def close(self) -> None:
        self._adapter.close()
        self._bank.close()
        self._folder.cleanup()


def _as_record(answer: Answer) -> Said:
    return Said(answer.data["order_id"], headers_of(answer), json.dumps(answer.data).encode())


def headers_of(answer: Answer) -> tuple[tuple[str, bytes], ...]:
    """The envelope of an answer, in binary mode."""
    return (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", answer.id.encode()),
        ("ce_source", b"/examples/http-gateway"),
        ("ce_type", answer.type.encode()),
    )


make = HttpRig
