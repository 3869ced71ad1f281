"""How much work a fact is, without a stopwatch: calls that the interpreter makes, counted.

The workload of the benchmarks; a count is the same on every machine. Who makes it smaller may lower
the bound; who must raise it says why.
"""

import sys
from collections.abc import Callable

from escrow.arrival import arrive
from escrow.state import Escrow, Order
from ops.local.traffic import plain
from schemas.door import Fact, decode

ORDERS = 200
DECODE_CALLS_MAX = 60  # a fact
ARRIVE_CALLS_MAX = 51


def calls(work: Callable[[], object]) -> int:
    """Calls of functions in Python and in C while this runs."""
    count = 0

    def note(_frame: object, event: str, _what: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def test_the_door_and_the_rules_do_not_get_slower_unseen() -> None:
    records = list(plain(ORDERS, window=10))
    facts = [fact for fact in map(decode, records) if isinstance(fact, Fact)]
    assert len(facts) == 4 * ORDERS

    orders = {fact.order_id: Order(Escrow(fact.order_id or ""), {}) for fact in facts}
    decoding = calls(lambda: [decode(record) for record in records]) / len(records)
    arriving = calls(lambda: [arrive(orders[f.order_id], f) for f in facts]) / len(facts)
    assert all(order.escrow.status == "RELEASED" for order in orders.values())
    assert decoding <= DECODE_CALLS_MAX, decoding
    assert arriving <= ARRIVE_CALLS_MAX, arriving
    assert min(decoding, arriving) > 10, "nothing was counted"
