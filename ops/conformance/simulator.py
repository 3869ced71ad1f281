"""The gateway simulator as a rig: its own store, its magic amounts, and death between any two steps."""

import itertools
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from consumers.engine.publishing import binary_headers
from ops.conformance.relay_key import jwks_of, new_key
from ops.conformance.rig import Given, Moved, Said, Trick
from ops.local.gateway import effects
from ops.local.gateway.deciding import work_on
from ops.local.gateway.store import Store
from ops.local.gateway.wire import SOURCE, Channels
from schemas.commands import COMMAND_TOPIC, PaymentCommand
from schemas.keys import KeyRing

NOW_MS: Final = 1_772_359_200_000
_DIGITS: Final[dict[Trick, int]] = {
    "refuses_for_now": 9901,
    "refuses_for_good": 9910,
    "silent_before": 9920,
    "silent_after": 9921,
    "comes_back": 9950,
    "dies_after_the_effect": 4200,
}


class _Read(NamedTuple):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class SimulatorRig:
    """What `escrow gateway` does, without the two Kafka clients around it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="escrow-conformance-")
        self._path = Path(self._folder.name)
        self._store = Store(self._path, "conformance")
        self._offsets = itertools.count()
        self._said: list[Said] = []
        self._dies = False
        self.relay_key = new_key()
        self._ring = KeyRing.from_jwks(jwks_of(self.relay_key))

    def now(self) -> int:
        return NOW_MS

    def arrange(self, trick: Trick, command: PaymentCommand) -> PaymentCommand:
        self._dies = trick == "dies_after_the_effect"
        return command.model_copy(update={"amount_minor": 10_000 + _DIGITS[trick]})

    def give(self, *records: Given) -> None:
        read = [
            _Read(
                COMMAND_TOPIC[given.kind],
                0,
                next(self._offsets),
                given.t,
                given.key.encode(),
                given.value,
                given.headers,
            )
            for given in records
        ]
        self._store.keep(work_on(self._store, read, Channels().kinds, self._ring))
        if self._dies:
            self._dies = False
            self.restart()
        due = self._store.due(all_of_them=True)
        for _, answer in due:
            headers = tuple(binary_headers(SOURCE, answer.type, answer.id))
            self._said.append(Said(answer.key, headers, answer.value))
        self._store.forget(n for n, _ in due)

    def said(self) -> list[Said]:
        return list(self._said)

    def moved(self) -> list[Moved]:
        return [
            Moved(one.command_id, one.party_id, one.amount_minor, one.currency)
            for one in effects(self._path)
        ]

    def restart(self) -> None:
        self._store.close()
        self._store = Store(self._path, "conformance")

    def close(self) -> None:
        self._store.close()
        self._folder.cleanup()


make = SimulatorRig
