"""What the parts without a server do on one core: `decide` alone, the door, a whole dry run."""

import gc
import time
from collections.abc import Callable
from typing import NamedTuple

from escrow.arrival import arrive
from escrow.decide import decide
from escrow.state import Escrow, Order
from ops.local.traffic import plain
from schemas.door import Fact, decode

_ROUNDS = 5


class Pure(NamedTuple):
    """Facts a second on one core, the best of some rounds."""

    decode: float
    decide: float
    arrive: float  # decide, the chain, children, waking


def pure(orders: int = 5_000) -> Pure:
    """Measure with the benchmarks' workload."""
    records = list(plain(orders))
    facts = [fact for fact in map(decode, records) if isinstance(fact, Fact)]
    assert len(facts) == len(records)
    gc.collect()
    gc.freeze()
    return Pure(
        _rate(len(records), lambda: [decode(record) for record in records]),
        _rate(len(facts), _deciding(facts)),
        _rate(len(facts), lambda: _arrivals(facts)),
    )


def _arrivals(facts: list[Fact]) -> None:
    payments: dict[str, str] = {}
    orders: dict[str | None, Order] = {}
    for fact in facts:
        order = orders.get(fact.order_id)
        if order is None:
            order = Order(Escrow(fact.order_id or ""), payments)
            orders[fact.order_id] = order
        arrive(order, fact)


def _deciding(facts: list[Fact]) -> Callable[[], None]:
    """Each fact against its order as it was just before: made ready, so that only `decide` counts."""
    ready = []
    states: dict[str | None, Escrow] = {}
    for fact in facts:
        before = states.get(fact.order_id, Escrow(fact.order_id or ""))
        ready.append((Order(before, {}), fact))
        moved = Order(before, {})
        arrive(moved, fact)
        states[fact.order_id] = moved.escrow

    def run() -> None:
        for order, fact in ready:
            decide(order, fact)

    return run


def _rate(count: int, run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return count / min(seconds)
