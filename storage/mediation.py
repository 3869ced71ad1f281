"""Open disputes: those that wait for a mediator first, then those whose buyer may come to ask for one.

Found by reading the orders' rows: an index on what every settlement changes would cost each of them
a second index entry, and these few pages a day are not worth that.
"""

from typing import Final, NamedTuple

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


_DISPUTES: Final = """
SELECT e.order_id, e.status, e.held_minor, e.currency, e.request_id, e.request_reason,
  e.offer_minor, e.offer_by, e.first_requested_at, e.policy_version,
  (SELECT count(*) FROM evidence v WHERE v.order_id = e.order_id AND v.by = 'buyer'),
  (SELECT count(*) FROM evidence v WHERE v.order_id = e.order_id AND v.by = 'supplier')
FROM escrows e WHERE e.status IN ('DISPUTED', 'IN_MEDIATION')
ORDER BY e.status DESC, e.first_requested_at, e.order_id LIMIT %(limit)b
"""


def disputes(connection: Snapshot, *, limit: int) -> list[Dispute]:
    """Open disputes, the longest waiting first; those in mediation before all others."""
    found = []
    for *columns, version, buyers, suppliers in fetch(connection, _DISPUTES, limit=limit):
        eligible_at = columns[-1] + POLICIES[version].mediation_after_ms
        found.append(Dispute._make((*columns, eligible_at, buyers, suppliers)))
    return found
