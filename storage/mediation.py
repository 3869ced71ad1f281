"""Open disputes: those that wait for a mediator first, then those whose buyer may come to ask for one.

Found by reading all orders' rows: an index on what every settlement changes would cost each of them
a second index entry, which these few pages a day are not worth. So who asks often finds them seldom
(`find_disputes`, for the console's watcher), and reads those few by their keys (`disputes_of`).
"""

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from escrow.policy import POLICIES
from storage.reading import Snapshot
from storage.rows import fetch


class Dispute(NamedTuple):
    """An order with an open request; times in ms UTC, money in minor units."""

    order_id: str
    status: str
    held_minor: int
    currency: str
    request_id: str
    request_reason: str
    offer_minor: int | None
    offer_by: str | None
    first_requested_at: int
    eligible_at: int  # when mediation may be, or might have been, asked for
    evidence_buyer: int
    evidence_supplier: int


_OPEN: Final = "status IN ('DISPUTED', 'IN_MEDIATION')"
_ORDER: Final = "status DESC, first_requested_at, order_id"
_FIND: Final = f"""
SELECT order_id FROM escrows WHERE {_OPEN} ORDER BY {_ORDER} LIMIT %(limit)b
"""  # noqa: S608  our own names
_READ: Final = """
SELECT e.order_id, e.status, e.held_minor, e.currency, e.request_id, e.request_reason,
  e.offer_minor, e.offer_by, e.first_requested_at, e.policy_version,
  (SELECT count(*) FROM evidence v WHERE v.order_id = e.order_id AND v.by = 'buyer'),
  (SELECT count(*) FROM evidence v WHERE v.order_id = e.order_id AND v.by = 'supplier')
FROM escrows e
"""
_DISPUTES: Final = f"{_READ} WHERE {_OPEN} ORDER BY {_ORDER} LIMIT %(limit)b"
_BY_KEY: Final = f"{_READ} WHERE order_id = ANY(%(ids)b) AND {_OPEN} ORDER BY {_ORDER}"


def disputes(connection: Snapshot, *, limit: int) -> list[Dispute]:
    """Open disputes, the longest waiting first; those in mediation before all others."""
    return [_dispute(*row) for row in fetch(connection, _DISPUTES, limit=limit)]


def find_disputes(connection: Snapshot, *, limit: int) -> list[str]:
    """Whose they are, in the same order."""
    return [order_id for (order_id,) in fetch(connection, _FIND, limit=limit)]


def disputes_of(connection: Snapshot, order_ids: Collection[str]) -> list[Dispute]:
    """Those of these orders that are open still, as they stand now, in the same order."""
    return [_dispute(*row) for row in fetch(connection, _BY_KEY, ids=list(order_ids))]


def _dispute(*row: Any) -> Dispute:
    *columns, version, buyers, suppliers = row
    eligible_at = columns[-1] + POLICIES[version].mediation_after_ms
    return Dispute._make((*columns, eligible_at, buyers, suppliers))
