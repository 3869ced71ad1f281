"""What the console shows at a glance. No request runs these: a watcher does, and pages read what it saw.

`figures` is cheap whatever is stored. `count` reads whole tables: who calls it leaves long pauses.
"""

from typing import Final, NamedTuple

from storage import attention, mediation, totals
from storage import figures as rows
from storage.reading import Snapshot
from storage.rows import execute, fetch
from storage.sending import Pause, pauses

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
# The upper ends of the classes of age, ms; the last class has none.
AGES_MS: Final = (HOUR_MS, DAY_MS, 3 * DAY_MS, 10 * DAY_MS, 30 * DAY_MS)
COUNT_MS_MAX: Final = 20_000
DISPUTES_MAX: Final = 101  # one more than a page shows


class Figures(NamedTuple):
    """What is cheap to know."""

    money: list[totals.Total]
    unsent: int
    unsent_since: int | None  # ms UTC, the record's time
    rules_now: int  # ms UTC, the clock that rules know (RULES 4.7)
    paused: tuple[Pause, ...] = ()  # commands of these scopes are not sent


class HeldByAge(NamedTuple):
    """Money held since an order's first fact, by class of age (0: the youngest, see AGES_MS)."""

    status: str
    currency: str
    age: int
    orders: int
    held: int


class Endings(NamedTuple):
    """Orders by what decided them, and whether a refund was ever asked for."""

    status: str
    decided_by: str | None
    disputed: bool
    orders: int


class Counted(NamedTuple):
    """What takes a look at whole tables: what gauges show, and what only pages do."""

    held: list[HeldByAge]
    endings: list[Endings]
    rows: rows.Figures
    silent: int  # commands without a final answer for too long
    disputes: list[str]  # orders with an open one, those that wait for a mediator first


_HELD: Final = """
SELECT e.status, e.currency, width_bucket(%(now)b - f.t, %(ages)b::bigint[]), count(*),
  sum(e.held_minor)
FROM escrows e JOIN facts f ON f.order_id = e.order_id AND f.decision_no = 1
WHERE e.held_minor > 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_ENDINGS: Final = """
SELECT status, decided_by, first_requested_at IS NOT NULL, count(*)
FROM escrows WHERE status IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_TIMEOUT: Final = f"SET LOCAL statement_timeout = {COUNT_MS_MAX}"


def figures(connection: Snapshot, wall_ms: int, timestamp_type: str) -> Figures:
    """Money by status, the outbox, and the time by which rules judge. Five statements at most."""
    money = totals.read_totals(connection)
    now = attention.rules_now(connection, wall_ms, timestamp_type)
    return Figures(money, *attention.unsent(connection), now, tuple(pauses(connection)))


def count(connection: Snapshot, now: int) -> Counted:
    """Everything that must be counted; `now`: ms UTC, as rules know it. Bounded in time."""
    execute(connection, _TIMEOUT)
    return Counted(
        [
            HeldByAge(status, currency, age, orders, int(held))
            for status, currency, age, orders, held in fetch(
                connection, _HELD, now=now, ages=list(AGES_MS)
            )
        ],
        [Endings(*row) for row in fetch(connection, _ENDINGS)],
        rows.figures(connection, now),
        sum(kind.number for kind in attention.silent(connection, now)),
        mediation.find_disputes(connection, limit=DISPUTES_MAX),
    )
