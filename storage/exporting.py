"""The stored facts in their recorded order, streamed: memory does not grow with their number.

Facts of orders and reports of suppliers share one sequence.
"""

import heapq
import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from storage import archived
from storage.archive_files import ArchivedFact
from storage.claiming import claims
from storage.engine import driver
from storage.reading import Snapshot
from storage.rows import fetch

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
_OF_ORDER: Final = f"{_FACTS} WHERE f.order_id = %(order_id)b"
_CAPTURES: Final = f"""
{_FACTS} WHERE f.order_id = ANY(%(order_ids)b::text[]) AND f.type = 'payment.captured'
  AND f.outcome = 'applied'
"""
_COUNT: Final = "SELECT (SELECT count(*) FROM facts) + (SELECT count(*) FROM supplier_reports)"


def stream_facts(connection: Snapshot, order_id: str | None = None) -> Iterator[ExportedFact]:
    """All facts, or one order's with those captures elsewhere that decided any of them.

    Those in files are among them, where they were decided. Raises ArchiveTrouble.
    """
    if order_id is not None:
        return iter(_of_order(connection, order_id))
    left = map(_exported, archived.facts_by_seq(connection))
    return heapq.merge(_all_rows(connection), left, key=lambda fact: fact.seq)


def count_facts(connection: Snapshot) -> int:
    """How many there are, for a progress bar."""
    ((rows,),) = fetch(connection, _COUNT)
    return int(rows) + archived.count_left(connection)


def _all_rows(connection: Snapshot) -> Iterator[ExportedFact]:
    with driver(connection).cursor("facts_export", binary=True) as cursor:
        cursor.itersize = ROWS_A_FETCH
        cursor.execute(_ALL.encode())
        for row in cursor:
            yield ExportedFact(*row)


def _of_order(connection: Snapshot, order_id: str) -> list[ExportedFact]:
    """With it come captures of other orders that used a payment id which this order names too.

    Without them its own capture would be decided otherwise.
    """
    own = [ExportedFact(*row) for row in fetch(connection, _OF_ORDER, order_id=order_id)]
    own += map(_exported, archived.facts_of(connection, [order_id]))
    named = {_payment(fact) for fact in own if fact.type == "payment.captured"}
    others = {other for other in claims(connection, named).values() if other != order_id}
    rows = fetch(connection, _CAPTURES, order_ids=list(others)) if others else []
    elsewhere = [ExportedFact(*row) for row in rows]
    elsewhere += [
        _exported(fact)
        for fact in (archived.facts_of(connection, others) if others else ())
        if fact.type == "payment.captured" and fact.outcome == "applied"
    ]
    own += [fact for fact in elsewhere if _payment(fact) in named]
    return sorted(own, key=lambda fact: fact.seq)


def _payment(fact: ExportedFact) -> str:
    return str(json.loads(fact.payload)["payment_id"])


def _exported(fact: ArchivedFact) -> ExportedFact:
    order_id, source, id_, type_name, t, _, _, payload, _, attributes = fact.columns
    return ExportedFact(
        fact.seq, order_id, source, id_, type_name, t, payload, attributes, None, False
    )
