"""Facts one after another, each decided before the next: no broker, no database, same decisions.

`simulate`, audit and rebuild come through here; what the consumers keep in tables is kept in
dictionaries.
"""

from typing import Literal

from escrow.arrival import Decided, Moved, arrive
from escrow.state import Escrow, Order
from schemas.door import Fact


class Replay:
    """All orders, payment claims and identities that the facts so far have left behind."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self._payments: dict[str, str] = {}
        self._identities: dict[tuple[str, str], tuple[bytes, str | None]] = {}

    def take(self, fact: Fact) -> tuple[Decided | Moved, ...] | Literal["duplicate", "id_conflict"]:
        """Decide one fact; for one whose identity is known, say only which it is (RULES 3.2)."""
        identity = (fact.source, fact.id)
        known = self._identities.get(identity)
        if known is not None:
            return "duplicate" if known == (fact.digest, fact.text) else "id_conflict"
        steps = arrive(self._order(fact), fact)
        if not any(isinstance(step, Decided) and step.code == "parking_full" for step in steps):
            self._identities[identity] = (fact.digest, fact.text)
        return steps

    def _order(self, fact: Fact) -> Order:
        if fact.order_id is None:  # `supplier.reported` concerns no order
            return Order(Escrow(""), self._payments)
        order = self.orders.get(fact.order_id)
        if order is None:
            order = self.orders[fact.order_id] = Order(Escrow(fact.order_id), self._payments)
        return order
