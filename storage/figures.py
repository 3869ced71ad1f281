"""Orders, money and what waits, counted in one snapshot: the figures that gauges and pages show.

Ages count by the rules' clock, which is given; nothing here reads one.
"""

from typing import Final, NamedTuple

from storage import attention, pulse, totals
from storage.reading import Snapshot
from storage.rows import fetch
from storage.sending import Pause, pauses


class Money(NamedTuple):
    """One currency, minor units, over all orders."""

    captured: int
    held: int
    refunded: int
    paid_out: int
    charged_back: int
    debt: int
    loss: int

    @property
    def imbalance(self) -> int:
        """What is not accounted for; always 0."""
        return self.captured - self.held - self.refunded - self.paid_out - self.charged_back


class Group(NamedTuple):
    """How many of a kind wait, and since when the oldest does (ms UTC)."""

    number: int
    oldest_at: int | None


class Figures(NamedTuple):
    """One moment."""

    money: dict[str, Money]  # by currency
    orders: dict[str, int]  # by status
    commands: dict[tuple[str, str], int]  # by kind and state
    open_minor: dict[tuple[str, str], int]  # by kind and currency: without a final answer
    silent: dict[str, Group]  # by kind: without a final answer, and not kept back
    unresolved: dict[str, int]  # by kind: failed or returned, and not reissued
    held_back: int
    unsent: Group
    dead_letters: dict[str, Group]  # by code: nobody has done anything about them
    parked: dict[str, Group]  # by code
    overdue: int
    paused: tuple[Pause, ...] = ()  # commands of these scopes are not sent


_OPEN: Final = """
SELECT kind, currency, sum(amount_minor)::bigint, count(*) FILTER (WHERE NOT held),
  min(asked_at) FILTER (WHERE NOT held)
FROM (SELECT c.kind, c.currency, c.amount_minor, c.asked_at, EXISTS (
        SELECT FROM command_holds h WHERE h.order_id = c.order_id AND h.command_id = c.command_id)
        AS held
      FROM commands c WHERE state IN ('PENDING', 'ACCEPTED')) o
GROUP BY kind, currency
"""
_UNRESOLVED: Final = """
SELECT kind, count(*) FROM commands
WHERE state IN ('FAILED', 'RETURNED') AND reissue_id IS NULL GROUP BY kind
"""


def figures(connection: Snapshot, now: int) -> Figures:
    """All of them; `now` is the rules' clock, ms UTC, by which deadlines are overdue."""
    rows = totals.read_totals(connection)
    open_rows = fetch(connection, _OPEN)
    silent: dict[str, Group] = {}
    for kind, _, _, number, oldest in open_rows:
        before = silent.get(kind, Group(0, None))
        silent[kind] = Group(before.number + number, _older(before.oldest_at, oldest))
    return Figures(
        _money(rows),
        _orders(rows),
        pulse.command_states(connection),
        {(kind, currency): amount for kind, currency, amount, *_ in open_rows},
        silent,
        dict(fetch(connection, _UNRESOLVED)),
        attention.held_back(connection),
        Group(*attention.unsent(connection)),
        _groups(attention.letters(connection)),
        _groups(attention.parked(connection, now)),
        attention.overdue(connection, now).number,
        tuple(pauses(connection)),
    )


def _groups(waiting: list[attention.Waiting]) -> dict[str, Group]:
    return {one.what: Group(one.number, one.oldest_at) for one in waiting}


def _older(one: int | None, other: int | None) -> int | None:
    known = [at for at in (one, other) if at is not None]
    return min(known) if known else None


def _money(rows: list[totals.Total]) -> dict[str, Money]:
    sums: dict[str, Money] = {}
    for row in rows:
        before = sums.get(row.currency, Money(0, 0, 0, 0, 0, 0, 0))
        sums[row.currency] = Money(*(a + b for a, b in zip(before, row[3:], strict=True)))
    return sums


def _orders(rows: list[totals.Total]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in rows:
        sums[row.status] = sums.get(row.status, 0) + row.orders
    return sums
