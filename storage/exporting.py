"""The stored facts in their recorded order, streamed: memory does not grow with their number.

Facts of orders and reports of suppliers share one sequence.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from storage.engine import driver
from storage.reading import Snapshot

ROWS_A_FETCH: Final = 2_000


class ExportedFact(NamedTuple):
    """A fact as stored; `order_id` None for a supplier report. `text` None: none, or forgotten."""

    seq: int
    order_id: str | None
    source: str
    id: str
    type: str
    t: int
    payload: str
    attributes: dict[str, Any] | None
    text: str | None
    has_text: bool  # it had one, even if it is forgotten


_FACTS: Final = """
SELECT f.seq, f.order_id, f.source, f.id, f.type, f.t, f.payload, f.attributes, x.text,
  f.text_digest IS NOT NULL
FROM facts f LEFT JOIN fact_texts x USING (order_id, decision_no)
"""
_REPORTS: Final = """
SELECT seq, NULL, source, id, 'supplier.reported', t, payload, NULL, text, text IS NOT NULL
FROM supplier_reports
"""
_ALL: Final = f"{_FACTS} UNION ALL {_REPORTS} ORDER BY seq"
# With it come captures of other orders that used a payment id which this order names too: without
# them its own capture would be decided otherwise.
_OF_ORDER: Final = f"""
WITH named AS (
  SELECT DISTINCT payload::jsonb ->> 'payment_id' AS payment_id FROM facts
  WHERE order_id = %(order_id)s AND type = 'payment.captured'),
elsewhere AS (
  SELECT p.payment_id, p.order_id FROM payments p JOIN named USING (payment_id)
  WHERE p.order_id <> %(order_id)s)
{_FACTS} WHERE f.order_id = %(order_id)s
UNION ALL
{_FACTS} JOIN elsewhere e ON e.order_id = f.order_id AND f.type = 'payment.captured'
  AND f.outcome = 'applied' AND f.payload::jsonb ->> 'payment_id' = e.payment_id
ORDER BY seq
"""  # noqa: S608  our own names
_COUNT: Final = "SELECT (SELECT count(*) FROM facts) + (SELECT count(*) FROM supplier_reports)"


def stream_facts(connection: Snapshot, order_id: str | None = None) -> Iterator[ExportedFact]:
    """All facts, or one order's with those captures elsewhere that decided any of them."""
    sql, parameters = (_ALL, None) if order_id is None else (_OF_ORDER, {"order_id": order_id})
    with driver(connection).cursor("facts_export", binary=True) as cursor:
        cursor.itersize = ROWS_A_FETCH
        cursor.execute(sql.encode(), parameters)
        for row in cursor:
            yield ExportedFact(*row)


def count_facts(connection: Snapshot) -> int:
    """How many there are, for a progress bar."""
    with driver(connection).cursor() as cursor:
        row = cursor.execute(_COUNT.encode()).fetchone()
    return 0 if row is None else int(row[0])
