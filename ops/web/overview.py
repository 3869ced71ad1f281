"""The first page: is money moving, who is behind, what waits. It asks no server: the watcher has.

Sums are made here of what was seen; nothing is decided.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops.lag import StageLag, by_stage
from ops.web.console import console_of
from ops.web.heat import HeatMap, heat_map
from ops.web.history import Column, Look, Wait
from ops.web.pages import page
from ops.web.verdict import judge
from ops.web.words import lower
from storage.overview import AGES_MS, Counted, Endings, HeldByAge
from storage.totals import Total

HELD_STATUSES: Final = ("HELD", "DISPUTED", "IN_MEDIATION", "FROZEN")
STATES: Final = ("PENDING", "ACCEPTED", "SETTLED", "FAILED", "RETURNED")
AGES: Final = ("up to 1 h", "1 h to 1 d", "1 to 3 d", "3 to 10 d", "10 to 30 d", "over 30 d")
_CELL: Final = 6
assert len(AGES) == len(AGES_MS) + 1


class StageRow(NamedTuple):
    """One stage as `escrow lag` has it, the longest wait in it, and its quarter of an hour."""

    lag: StageLag
    wait: Wait
    heat: HeatMap


class HeldRow(NamedTuple):
    """Money held in one currency."""

    currency: str
    by_status: list[int]
    held: int
    orders: int


class AgeRow(NamedTuple):
    """Money held for so long, by currency."""

    age: str
    orders: int
    amounts: list[int]


class Step(NamedTuple):
    """One step of the funnel: how many orders came so far; `depth` indents."""

    text: str
    orders: int
    depth: int
    of: int  # what it is a part of

    @property
    def percent(self) -> float:
        """Its share of what it is a part of."""
        return 100 * self.orders / self.of if self.of else 0.0


def stage_rows(look: Look, columns: tuple[Column, ...], cell: int = _CELL) -> list[StageRow]:
    """All stages in the order of the catalogue; a cell of the map is `cell` pixels high."""
    rows = []
    for lag in by_stage(look.report):
        partitions = look.stage(lag.stage)
        wait = max((look.wait(row) for row in partitions), key=lambda wait: wait.seconds)
        places = [(row.stage, row.partition) for row in partitions]
        rows.append(StageRow(lag, wait, heat_map(columns, places, cell)))
    return rows


def held_rows(money: list[Total]) -> list[HeldRow]:
    """Held money by currency, the statuses in a fixed order."""
    by_currency: defaultdict[str, dict[str, Total]] = defaultdict(dict)
    for part in money:
        if part.status in HELD_STATUSES:
            by_currency[part.currency][part.status] = part
    rows = []
    for currency, parts in sorted(by_currency.items()):
        held = [parts[status].held if status in parts else 0 for status in HELD_STATUSES]
        orders = sum(part.orders for part in parts.values())
        rows.append(HeldRow(currency, held, sum(held), orders))
    return rows


def age_rows(held: list[HeldByAge], currencies: list[str]) -> list[AgeRow]:
    """Held money by age, the youngest first."""
    amounts: defaultdict[tuple[int, str], int] = defaultdict(int)
    orders: defaultdict[int, int] = defaultdict(int)
    for part in held:
        amounts[part.age, part.currency] += part.held
        orders[part.age] += part.orders
    return [
        AgeRow(age, orders[index], [amounts[index, currency] for currency in currencies])
        for index, age in enumerate(AGES)
    ]


def funnel(endings: list[Endings]) -> list[Step]:
    """From a protected payment to how a dispute ended."""
    protected = [part for part in endings if part.status != "NOT_PROTECTED"]
    disputed = [part for part in protected if part.disputed]
    all_, asked = _orders(protected), _orders(disputed)

    def by(text: str, **wanted: str) -> Step:
        fits = (p for p in disputed if all(getattr(p, k) == v for k, v in wanted.items()))
        return Step(text, _orders(fits), 1, asked)

    return [
        Step("protected payments", all_, 0, all_),
        Step("a refund was asked for", asked, 0, all_),
        by("being negotiated now", status="DISPUTED"),
        by("before the mediator now", status="IN_MEDIATION"),
        by("settled by agreement", decided_by="agreement"),
        by("decided by the mediator", decided_by="ruling"),
        by("proved lost by the carrier", decided_by="carrier"),
        by("confirmed by the buyer after all", decided_by="buyer"),
    ]


def _orders(parts: Iterable[Endings]) -> int:
    return sum(part.orders for part in parts)


def command_rows(counted: Counted) -> list[tuple[str, list[int]]]:
    """Commands by kind, the states in a fixed order."""
    numbers = counted.rows.commands
    return [
        (kind, [numbers.get((kind, state), 0) for state in STATES]) for kind in ("payout", "refund")
    ]


def show(request: Request) -> Response:
    """The page."""
    console = console_of(request)
    seen = console.watcher.seen
    held = [] if seen.figures is None else held_rows(seen.figures.money)
    currencies = [row.currency for row in held]
    figures: dict[str, Any] = {}
    if seen.counts is not None:
        counted = seen.counts.counted
        figures = {
            "ages": age_rows(counted.held, currencies),
            "funnel": funnel(counted.endings),
            "commands": command_rows(counted),
            "counted": counted,
        }
    return page(
        request,
        "overview.html",
        "Overview",
        seen=seen,
        verdict=judge(seen),
        stages=[] if seen.look is None else stage_rows(seen.look, seen.columns),
        held=held,
        currencies=currencies,
        statuses=("undisputed", *map(lower, HELD_STATUSES[1:])),
        states=STATES,
        **figures,
    )


routes: Final = [Route("/", show)]
