"""The ledger in time: each movement with the fact that brought it about, whose time is its booking date.

What a woken fact moves is booked when it was woken: at the time of the fact that woke it. Where the
fact has left for a file, it is read there; movements themselves never leave.
"""

import heapq
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import starmap
from typing import Any, Final, NamedTuple

from storage import archived
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
WHERE f.t >= %(since)s AND f.t < %(until)s AND NOT EXISTS (
  SELECT FROM archived_orders a
  WHERE a.order_id = p.order_id AND a.until_no >= p.decision_no)
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
_OF_ARCHIVE: Final = """
SELECT p.order_id, p.decision_no, p.n, p.debit, p.credit, p.amount_minor, p.currency
FROM archived_orders a JOIN postings p ON p.order_id = a.order_id
  AND p.decision_no BETWEEN a.from_no AND a.until_no
WHERE a.archive_no = %(archive_no)b ORDER BY p.order_id, p.decision_no, p.n
"""
_SUMS_OF_ARCHIVE: Final = """
SELECT p.currency, p.debit, p.credit, sum(p.amount_minor), count(*)
FROM archived_orders a JOIN postings p ON p.order_id = a.order_id
  AND p.decision_no BETWEEN a.from_no AND a.until_no
WHERE a.archive_no = %(archive_no)b GROUP BY p.currency, p.debit, p.credit
"""
_HELD: Final = """
SELECT currency, sum(held_minor) FROM escrows WHERE status IS NOT NULL AND held_minor > 0
GROUP BY currency
"""


def stream_bookings(connection: Snapshot, since: int, until: int | None) -> Iterator[Booking]:
    """Movements booked from `since` to before `until` (ms UTC), by their time. Raises ArchiveTrouble."""
    end = _AFTER_ALL if until is None else until
    left = (
        booking
        for archive in archived.archives(connection)
        if archive.t_min < end and archive.t_max >= since
        for booking in _of_archive(connection, archive)
        if since <= booking.t < end
    )
    filed = starmap(Booking, archived.sorted_on_disk(left, 4))
    return heapq.merge(_rows(connection, since, end), filed, key=lambda booking: booking[:4])


def sums(connection: Snapshot, until: int | None) -> list[tuple[str, str, str, int, int]]:
    """Currency, debit, credit, their sum and number, of all movements booked before `until`."""
    end = _AFTER_ALL if until is None else until
    rows: list[tuple[Any, ...]] = fetch(connection, _SUMS, since=-(2**63), until=end)
    amounts, numbers = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for archive in archived.archives(connection):
        if archive.t_max < end:  # all of it: no file need be opened
            rows += fetch(connection, _SUMS_OF_ARCHIVE, archive_no=archive.no)
        elif archive.t_min < end:
            rows += [
                (booking.currency, booking.debit, booking.credit, booking.amount_minor, 1)
                for booking in _of_archive(connection, archive)
                if booking.t < end
            ]
    for currency, debit, credit, amount, number in rows:
        amounts[currency, debit, credit] += int(amount)
        numbers[currency, debit, credit] += number
    return [(*key, amounts[key], numbers[key]) for key in sorted(amounts)]


def _rows(connection: Snapshot, since: int, until: int) -> Iterator[Booking]:
    with driver(connection).cursor("ledger_export", binary=True) as cursor:
        cursor.itersize = ROWS_A_FETCH
        cursor.execute(_BOOKINGS.encode(), {"since": since, "until": until})
        for row in cursor:
            yield Booking(*row)


def _of_archive(connection: Snapshot, archive: archived.Archive) -> Iterator[Booking]:
    """The movements of the decisions that are in a file."""
    moved = defaultdict[str, list[tuple[Any, ...]]](list)
    for row in fetch(connection, _OF_ARCHIVE, archive_no=archive.no):
        moved[row[0]].append(row[1:])
    for history in archived.present(connection, archive):
        numbers = [fact.no for fact in history.facts]
        for movement in moved.get(history.order_id, ()):
            if history.from_no <= movement[0] <= history.until_no:
                fact = history.facts[bisect_right(numbers, movement[0]) - 1]
                order_id, source, id_, type_name, t = fact.columns[:5]
                yield Booking._make((t, order_id, *movement, source, id_, type_name))


def held(connection: Snapshot) -> dict[str, int]:
    """What orders hold now, by currency: the ledger must say the same."""
    return {currency: int(amount) for currency, amount in fetch(connection, _HELD)}
