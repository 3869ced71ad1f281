"""What a reconciliation reads: every command, streamed, and orders whose postings say otherwise."""

from collections.abc import Iterator
from typing import Any, Final

from escrow.state import Command
from storage.engine import driver
from storage.reading import Snapshot
from storage.rows import fetch

ROWS_A_FETCH: Final = 5_000
GAPS_MAX: Final = 1_000

_ALL: Final = f"SELECT order_id, {', '.join(Command._fields)} FROM commands"  # noqa: S608  our names
# Settlements are posted from what was held, money never in escrow as sent back; a reissue moves
# nothing of its own.
_GAPS: Final = f"""
WITH ordered AS (
  SELECT order_id, currency, sum(amount_minor) AS amount,
    CASE WHEN purpose <> 'settlement' THEN 'sent_back'
      WHEN kind = 'refund' THEN 'refunds_payable' ELSE 'supplier_payable' END AS account
  FROM commands WHERE purpose <> 'reissue' GROUP BY 1, 2, 4),
posted AS (
  SELECT order_id, currency, sum(amount_minor) AS amount, credit AS account
  FROM postings WHERE credit IN ('refunds_payable', 'supplier_payable', 'sent_back')
  GROUP BY 1, 2, 4)
SELECT order_id, account, currency, coalesce(o.amount, 0)::bigint, coalesce(p.amount, 0)::bigint
FROM ordered o FULL JOIN posted p USING (order_id, account, currency)
WHERE coalesce(o.amount, 0) <> coalesce(p.amount, 0)
ORDER BY order_id, account, currency LIMIT {GAPS_MAX}
"""  # noqa: S608  our own names


def stream_commands(connection: Snapshot) -> Iterator[tuple[str, Command]]:
    """Each command with its order; memory does not grow with their number."""
    with driver(connection).cursor("reconciliation", binary=True) as cursor:
        cursor.itersize = ROWS_A_FETCH
        cursor.execute(_ALL.encode())
        for order_id, *columns in cursor:
            yield order_id, Command(*columns)


def ledger_gaps(connection: Snapshot) -> list[tuple[Any, ...]]:
    """Order, account, currency, what its commands sum to, what its postings do; the first ones."""
    return fetch(connection, _GAPS)
