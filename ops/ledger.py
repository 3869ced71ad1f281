"""A trial balance from movements: for each currency debits and credits are equal, or the ledger lies.

Pure; amounts in minor units, never added across currencies.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Final, NamedTuple

from escrow.postings import ACCOUNTS
from ops.spreadsheet import write_csv
from schemas.order_events import rfc3339
from storage.ledger_reading import Booking

COLUMNS: Final = ("at", *Booking._fields)


class Line(NamedTuple):
    """One account: what left it, what came to it."""

    account: str
    debit_minor: int
    credit_minor: int

    @property
    def balance_minor(self) -> int:
        """Credits less debits: what lies there; negative where money has left for others."""
        return self.credit_minor - self.debit_minor


class TrialBalance(NamedTuple):
    """One currency's accounts. `held_by_orders`: what the orders' rows say, where that was asked."""

    currency: str
    movements: int
    lines: list[Line]
    held_by_orders: int | None

    @property
    def debit_minor(self) -> int:
        return sum(line.debit_minor for line in self.lines)

    @property
    def credit_minor(self) -> int:
        return sum(line.credit_minor for line in self.lines)

    @property
    def balances(self) -> bool:
        """Debits are credits, nothing is held that was not paid in, and orders say the same."""
        held = next((line.balance_minor for line in self.lines if line.account == "held"), 0)
        return (
            self.debit_minor == self.credit_minor
            and held >= 0
            and self.held_by_orders in (None, held)
        )


def trial_balances(
    sums: Iterable[tuple[str, str, str, int, int]], held: Mapping[str, int] | None = None
) -> list[TrialBalance]:
    """By currency, from (currency, debit, credit, sum, number). `held`: what orders hold, if now."""
    debits: dict[str, Counter[str]] = defaultdict(Counter)
    credits_: dict[str, Counter[str]] = defaultdict(Counter)
    movements: Counter[str] = Counter()
    for currency, debit, credit, amount, number in sums:
        debits[currency][debit] += amount
        credits_[currency][credit] += amount
        movements[currency] += number
    currencies = sorted({*movements, *(held or ())})
    return [
        TrialBalance(
            currency,
            movements[currency],
            [
                Line(account, debits[currency][account], credits_[currency][account])
                for account in ACCOUNTS
                if account in debits[currency] or account in credits_[currency]
            ],
            None if held is None else held.get(currency, 0),
        )
        for currency in currencies
    ]


def write_bookings(out: IO[str], bookings: Iterable[Booking], *, as_csv: bool) -> int:
    """All of them, as CSV or JSON Lines; returns how many."""
    if as_csv:
        return write_csv(out, COLUMNS, _rows(bookings))
    count = 0
    for row in _rows(bookings):
        out.write(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) + "\n")
        count += 1
    return count


def _rows(bookings: Iterable[Booking]) -> Iterator[tuple[object, ...]]:
    return ((rfc3339(booking.t), *booking) for booking in bookings)
