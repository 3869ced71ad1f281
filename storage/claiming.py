"""Which order has used a payment id, and by which capture: the one thing that one order asks of others."""

import json
from collections.abc import Iterable
from typing import Final

from storage import archived
from storage.reading import Snapshot
from storage.rows import fetch

_CLAIMS: Final = """
SELECT payment_id, order_id FROM payments WHERE payment_id = ANY(%(payment_ids)b::text[])
"""
_CLAIM_SEQS: Final = """
SELECT s.payment_id, min(f.seq)
FROM unnest(%(payment_ids)b::text[], %(order_ids)b::text[]) AS s(payment_id, order_id)
JOIN facts f ON f.order_id = s.order_id AND f.type = 'payment.captured' AND f.outcome = 'applied'
  AND f.payload::jsonb ->> 'payment_id' = s.payment_id
GROUP BY s.payment_id
"""


def claims(connection: Snapshot, payment_ids: Iterable[str]) -> dict[str, str]:
    """Which order has used each of these payment ids."""
    return dict(fetch(connection, _CLAIMS, payment_ids=list(payment_ids)))


def claim_seqs(connection: Snapshot, claimed: dict[str, str]) -> dict[str, int]:
    """The recorded number of the capture by which these orders claimed these payment ids."""
    if not claimed:
        return {}
    order_ids = list(claimed.values())
    rows = fetch(connection, _CLAIM_SEQS, payment_ids=list(claimed), order_ids=order_ids)
    seqs: dict[str, int] = dict(rows)
    elsewhere = {order_id for payment, order_id in claimed.items() if payment not in seqs}
    for fact in archived.facts_of(connection, elsewhere) if elsewhere else ():
        if fact.type == "payment.captured" and fact.outcome == "applied":
            payment_id = json.loads(fact.columns[7])["payment_id"]
            if claimed.get(payment_id) == fact.columns[0]:
                seqs[payment_id] = fact.seq
    return seqs
