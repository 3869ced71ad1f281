"""A million orders in the tables, made in SQL: every constraint holds, and totals say what the rows do.

Enough for what counts and pages read; the facts behind them are too few to be decided again.
"""

from typing import Final

from bench.place import Place

# of a thousand orders: status, how many, and what the row says of its money (10.00 EUR each)
_SHARES: Final = (
    ("RELEASED", 850, "1000, 0, 0, 1000", "'buyer'", False),
    ("REFUNDED", 50, "1000, 0, 1000, 0", "'carrier'", True),
    ("SPLIT", 40, "1000, 0, 300, 700", "'agreement'", True),
    ("HELD", 40, "1000, 1000, 0, 0", "NULL", False),
    ("DISPUTED", 15, "1000, 1000, 0, 0", "NULL", True),
    ("IN_MEDIATION", 5, "1000, 1000, 0, 0", "NULL", True),
)
_OPEN: Final = ("DISPUTED", "IN_MEDIATION")
DAY_MS: Final = 86_400_000


def fill(where: Place, orders: int, now_ms: int) -> None:
    """So many orders, a fact and a command or two each; the newest is as old as now."""
    first = 0
    for status, share, money, decided_by, asked in _SHARES:
        number = orders * share // 1_000
        _orders(where, status, (first, number), money, decided_by, asked, now_ms)
        first += number
    where.query(
        'INSERT INTO facts (seq, order_id, decision_no, source, id, type, t, partition, "offset",'
        " payload, outcome) SELECT nextval('fact_seq'), order_id, 1, '/bench', order_id,"
        f" 'payment.captured', {now_ms} - (hashtext(order_id) & 2147483647)::bigint % {40 * DAY_MS},"
        " 0, row_number() OVER (), '{}', 'applied' FROM escrows"
    )
    for kind, column, party in (("payout", "paid_out", "s-1"), ("refund", "refunded", "b-1")):
        where.query(
            "INSERT INTO commands (order_id, command_id, decision_no, n, kind, purpose, payment_id,"
            " party_id, amount_minor, currency, decided_by, cause_source, cause_id, state, attempt,"
            f" failures, asked_at) SELECT order_id, md5(order_id || '{kind}'), 1, 0, '{kind}',"
            f" 'settlement', payment_id, '{party}', {column}_minor, currency, decided_by, '/bench',"
            f" order_id, 'SETTLED', 1, 0, {now_ms} FROM escrows WHERE {column}_minor > 0"
        )
    where.query(
        "INSERT INTO totals (status, currency, orders, captured, held, refunded, paid_out,"
        " charged_back, debt, loss) SELECT status, currency, count(*), sum(captured_minor),"
        " sum(held_minor), sum(refunded_minor), sum(paid_out_minor), 0, 0, 0"
        " FROM escrows GROUP BY status, currency"
    )
    where.vacuum()


def _orders(
    where: Place,
    status: str,
    span: tuple[int, int],
    money: str,
    decided_by: str,
    asked: bool,
    now_ms: int,
) -> None:
    first, number = span
    asked_at = f"{now_ms} - (n % 20) * {DAY_MS} - n" if asked else "NULL"
    request = "'r-1', 'damaged'" if status in _OPEN else "NULL, NULL"
    where.query(
        "INSERT INTO escrows (order_id, status, policy_version, payment_id, buyer_id, supplier_id,"
        " currency, captured_minor, held_minor, refunded_minor, paid_out_minor, decided_by,"
        " first_requested_at, request_id, request_reason, decision_no)"
        f" SELECT 'order-' || n, '{status}', 1, 'pay-' || n, 'b-1', 's-1', 'EUR', {money},"
        f" {decided_by}, {asked_at}, {request}, 1"
        f" FROM generate_series({first}, {first + number - 1}) n"
    )
