"""The ledger in time: each movement with the fact that brought it about, whose time is its booking date.

What a woken fact moves is booked when it was woken: at the time of the fact that woke it.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from storage.engine import driver
from storage.reading import Snapshot
from storage.rows import fetch

ROWS_A_FETCH: Final = 5_000
_AFTER_ALL: Final = 2**63 - 1


class Booking(NamedTuple):
    """One movement and the fact behind it; `t`: ms UTC."""

    t: int
    order_id: str
    decision_no: int
    n: int
    debit: str
    credit: str
    amount_minor: int
    currency: str
    fact_source: str
    fact_id: str
    fact_type: str


# The fact that came in is the last one with a number of its own up to the movement's.
_BOOKED: Final = """
FROM postings p CROSS JOIN LATERAL (
  SELECT t, source, id, type FROM facts f
  WHERE f.order_id = p.order_id AND f.decision_no <= p.decision_no
  ORDER BY f.decision_no DESC LIMIT 1) f
WHERE f.t >= %(since)s AND f.t < %(until)s
"""
_BOOKINGS: Final = f"""
SELECT f.t, p.order_id, p.decision_no, p.n, p.debit, p.credit, p.amount_minor, p.currency,
  f.source, f.id, f.type
{_BOOKED} ORDER BY f.t, p.order_id, p.decision_no, p.n
"""
_SUMS: Final = f"""
SELECT currency, debit, credit, sum(amount_minor), count(*) {_BOOKED.replace(")s", ")b")}
GROUP BY currency, debit, credit ORDER BY currency, debit, credit
"""
_HELD: Final = """
SELECT currency, sum(held_minor) FROM escrows WHERE status IS NOT NULL AND held_minor > 0
GROUP BY currency
"""


def stream_bookings(connection: Snapshot, since: int, until: int | None) -> Iterator[Booking]:
    """Movements booked from `since` to before `until` (ms UTC), by their time."""
    with driver(connection).cursor("ledger_export", binary=True) as cursor:
        cursor.itersize = ROWS_A_FETCH
        parameters = {"since": since, "until": _AFTER_ALL if until is None else until}
        cursor.execute(_BOOKINGS.encode(), parameters)
        for row in cursor:
            yield Booking(*row)


def sums(connection: Snapshot, until: int | None) -> list[tuple[str, str, str, int, int]]:
    """Currency, debit, credit, their sum and number, of all movements booked before `until`."""
    rows: list[tuple[Any, ...]] = fetch(
        connection, _SUMS, since=-(2**63), until=_AFTER_ALL if until is None else until
    )
    return [(row[0], row[1], row[2], int(row[3]), row[4]) for row in rows]


def held(connection: Snapshot) -> dict[str, int]:
    """What orders hold now, by currency: the ledger must say the same."""
    return {currency: int(amount) for currency, amount in fetch(connection, _HELD)}
