"""From any id that a person may hold in their hands to the order it belongs to.

Order and payment ids are keys. The other ids are looked for through whole tables, because an index
that serves a few questions a day would cost every fact; that search is bounded in time.
"""

from typing import Final, NamedTuple

from psycopg.errors import QueryCanceled

from storage.reading import Snapshot
from storage.rows import execute, fetch

SCAN_MS_MAX: Final = 4_000
FOUND_MAX: Final = 20


class Found(NamedTuple):
    """An order, and how the id led to it: `order`, `payment`, `command`, `request or offer`, ..."""

    order_id: str
    by: str
    id: str


_BY_KEY: Final = """
SELECT order_id, 'order', order_id FROM escrows WHERE order_id = %(id)b
UNION ALL
SELECT order_id, 'payment', payment_id FROM payments WHERE payment_id = %(id)b
"""
_BEGINS: Final = """
SELECT order_id, 'order', order_id FROM escrows
WHERE order_id >= %(id)b AND order_id < %(until)b ORDER BY order_id LIMIT %(limit)b
"""
_SCAN: Final = """
(SELECT order_id, 'command', command_id FROM commands
 WHERE starts_with(command_id, %(id)b) LIMIT %(limit)b)
UNION ALL
(SELECT order_id, 'request or offer', offer_id FROM offers WHERE offer_id = %(id)b LIMIT %(limit)b)
UNION ALL
(SELECT order_id, 'chargeback', chargeback_id FROM chargebacks
 WHERE chargeback_id = %(id)b LIMIT %(limit)b)
UNION ALL
(SELECT order_id, 'parcel', shipment_id FROM shipments WHERE shipment_id = %(id)b LIMIT %(limit)b)
UNION ALL
(SELECT order_id, 'fact', id FROM facts WHERE id = %(id)b LIMIT %(limit)b)
"""


def find_by_key(connection: Snapshot, id_: str) -> list[Found]:
    """The order of this id, or of this payment; else orders whose ids begin so. Always quick."""
    found = fetch(connection, _BY_KEY, id=id_)
    if not found:
        until = id_ + "\U0010ffff"
        found = fetch(connection, _BEGINS, id=id_, until=until, limit=FOUND_MAX)
    return [Found(*row) for row in found]


def find_by_scan(connection: Snapshot, id_: str) -> list[Found] | None:
    """Orders with a command that begins so, or a request, offer, chargeback, parcel or fact of this id.

    None: it took too long, and nothing is known; the snapshot is used up.
    """
    execute(connection, f"SET LOCAL statement_timeout = {SCAN_MS_MAX}")
    try:
        rows = fetch(connection, _SCAN, id=id_, limit=FOUND_MAX)
    except QueryCanceled:
        return None
    return list(dict.fromkeys(Found(*row) for row in rows))[:FOUND_MAX]
