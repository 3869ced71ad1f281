"""How much goes out without a person: what is over a cap is held, and too much in an hour stops everything.

Counted before it is sent, once an attempt, by one relay at a time. A crash between counting and
sending counts what is then sent again under the same attempt: never more goes out than was counted.
"""

import json
import time
from collections.abc import Sequence
from typing import Final

import structlog

from consumers.engine.safeguards import SendingSettings
from schemas.commands import COMMAND_TYPE
from schemas.money import format_amount
from storage import grants, sending
from storage.engine import Connection
from storage.grants import Payable
from storage.relaying import Unsent

PAYING: Final = {type_name: kind for kind, type_name in COMMAND_TYPE.items()}
_Stopped = tuple[Payable, str, str]  # what, why, in words

log = structlog.get_logger()


class Caps:
    """Amounts in minor units by currency; what is not named has no cap."""

    def __init__(self, settings: SendingSettings) -> None:
        self._command_max = settings.command_max
        self._supplier_hour_max = settings.supplier_hour_max
        self._hour_max = settings.hour_max

    def let_through(self, connection: Connection, rows: Sequence[Unsent]) -> list[Unsent]:
        """Those rows that may go out now; the others are held, or everything is paused."""
        asked = {row.id: payable(row) for row in rows if row.type in PAYING}
        grants.lock(connection)
        grants.forget_old_grants(connection)
        counting = _Counting(connection, list(asked.values()))
        through: list[Payable] = []
        stopped: list[_Stopped] = []
        gone: set[int] = set()
        trip: str | None = None
        for id_, one in asked.items():
            if one[:3] in counting.granted:
                continue
            if trip is None and (why := self._over(one, counting)) is not None:
                stopped.append((one, *why))
                gone.add(id_)
                continue
            trip = trip or self._trips(one, counting)
            if trip is not None:
                gone.add(id_)
                continue
            counting.count(one)
            through.append(one)
        grants.grant(connection, through)
        sending.hold_by_cap(connection, stopped)
        if trip is not None:
            sending.open_breaker(connection, trip, time.time_ns() // 1_000_000)
        _say(stopped, trip)
        return [row for row in rows if row.id not in gone]

    def _over(self, one: Payable, counting: "_Counting") -> tuple[str, str] | None:
        """Why this command needs a person; None where none is needed, or one has released it."""
        if (one.order_id, one.command_id) in counting.released:
            return None
        cap = self._command_max.get(one.currency)
        if cap is not None and one.amount_minor > cap:
            return "command_cap", f"over {format_amount(cap, one.currency)} in one command"
        cap = self._supplier_hour_max.get(one.currency)
        if cap is not None and one.kind == "payout":
            paid = counting.paid.get((one.party_id, one.currency), 0)
            if paid + one.amount_minor > cap:
                within = f"over {format_amount(cap, one.currency)} to one supplier within an hour"
                return "supplier_cap", within
        return None

    def _trips(self, one: Payable, counting: "_Counting") -> str | None:
        """The breaker opens before what would be too much, not after it."""
        cap = self._hour_max.get(one.currency)
        if (one.order_id, one.command_id) in counting.released:
            return None
        if cap is None or counting.spent.get(one.currency, 0) + one.amount_minor <= cap:
            return None
        return f"over {format_amount(cap, one.currency)} within an hour"


class _Counting:
    """What has gone out so far, as of this transaction."""

    def __init__(self, connection: Connection, asked: Sequence[Payable]) -> None:
        self.granted = grants.granted(connection, asked)
        self.released = grants.released(connection, asked)
        self.paid = grants.paid_within_the_hour(connection, (one.party_id for one in asked))
        self.spent = grants.spent_within_the_hour(connection)

    def count(self, one: Payable) -> None:
        self.spent[one.currency] = self.spent.get(one.currency, 0) + one.amount_minor
        if one.kind == "payout":
            key = (one.party_id, one.currency)
            self.paid[key] = self.paid.get(key, 0) + one.amount_minor


def payable(row: Unsent) -> Payable:
    """What a command of the outbox would pay."""
    said = json.loads(row.payload)
    return Payable(
        row.key,
        said["command_id"],
        said["attempt"],
        PAYING[row.type],
        said["party_id"],
        said["currency"],
        said["amount_minor"],
    )


def _say(stopped: Sequence[_Stopped], trip: str | None) -> None:
    for one, why, note in stopped:
        log.error(
            "command held for a person",
            order_id=one.order_id,
            command_id=one.command_id,
            why=why,
            note=note,
        )
    if trip is not None:
        log.error("sending paused by the breaker", note=trip)
