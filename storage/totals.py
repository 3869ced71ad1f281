"""Money and orders by status and currency, as deltas that each batch appends: no hot rows.

The ticker folds them into `totals`; the sum of both is the truth at every commit.
"""

from collections import defaultdict
from collections.abc import Iterable
from operator import attrgetter
from typing import Final, NamedTuple

from sqlalchemy import Connection

from escrow.state import Escrow
from storage.rows import copy_rows, execute, fetch
from storage.tables import total_deltas

_COLUMNS: Final = (
    "status",
    "currency",
    "orders",
    "captured",
    "held",
    "refunded",
    "paid_out",
    "charged_back",
    "debt",
    "loss",
)
_FOLD: Final = """
WITH gone AS (DELETE FROM total_deltas WHERE id IN (
    SELECT id FROM total_deltas ORDER BY id LIMIT 10000 FOR UPDATE SKIP LOCKED) RETURNING *)
INSERT INTO totals AS t
  (status, currency, orders, captured, held, refunded, paid_out, charged_back, debt, loss)
SELECT status, currency, sum(orders), sum(captured), sum(held), sum(refunded), sum(paid_out),
  sum(charged_back), sum(debt), sum(loss) FROM gone GROUP BY status, currency
  ORDER BY status, currency
ON CONFLICT (status, currency) DO UPDATE SET
  orders = t.orders + excluded.orders, captured = t.captured + excluded.captured,
  held = t.held + excluded.held, refunded = t.refunded + excluded.refunded,
  paid_out = t.paid_out + excluded.paid_out,
  charged_back = t.charged_back + excluded.charged_back,
  debt = t.debt + excluded.debt, loss = t.loss + excluded.loss
"""
_READ: Final = """
SELECT status, currency, sum(orders), sum(captured), sum(held), sum(refunded), sum(paid_out),
  sum(charged_back), sum(debt), sum(loss)
FROM (SELECT status, currency, orders, captured, held, refunded, paid_out, charged_back, debt, loss
      FROM totals
      UNION ALL
      SELECT status, currency, orders, captured, held, refunded, paid_out, charged_back, debt, loss
      FROM total_deltas) AS both_
GROUP BY status, currency
HAVING (sum(orders), sum(captured), sum(held), sum(refunded), sum(paid_out), sum(charged_back),
  sum(debt), sum(loss)) <> (0, 0, 0, 0, 0, 0, 0, 0)
ORDER BY status, currency
"""


def add_deltas(connection: Connection, changes: Iterable[tuple[Escrow, Escrow]]) -> None:
    """Append what these changes of orders (before, after) mean for the totals."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * 8)
    for before, after in changes:
        for row, sign in ((before, -1), (after, 1)):
            if row.status is not None:
                total = sums[row.status, row.currency]
                for index, figure in enumerate((1, *_amounts(row))):
                    total[index] += sign * figure
    rows = [(*key, *total) for key, total in sums.items() if any(total)]
    if rows:
        copy_rows(connection, total_deltas, _COLUMNS, rows)


def fold(connection: Connection) -> int:
    """Fold waiting deltas into the totals; returns how many totals were touched."""
    return execute(connection, _FOLD)


class Total(NamedTuple):
    """Orders of one status and currency; minor units."""

    status: str
    currency: str
    orders: int
    captured: int
    held: int
    refunded: int
    paid_out: int
    charged_back: int
    debt: int
    loss: int

    @property
    def imbalance(self) -> int:
        """What was captured and is nowhere: always 0 (RULES 1)."""
        return self.captured - self.held - self.refunded - self.paid_out - self.charged_back


def read_totals(connection: Connection) -> list[Total]:
    """Orders and money by status and currency, deltas that wait included."""
    return [Total(*row[:2], *map(int, row[2:])) for row in fetch(connection, _READ)]


def read(connection: Connection) -> list[dict[str, object]]:
    """The same as a dictionary each."""
    return [total._asdict() for total in read_totals(connection)]


_amounts: Final = attrgetter(
    "captured_minor",
    "held_minor",
    "refunded_minor",
    "paid_out_minor",
    "charged_back_minor",
    "supplier_debt_minor",
    "loss_minor",
)
