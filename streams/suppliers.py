"""Supplier risk: what became of each supplier's orders within 30 days, and who reported him (P9).

A capture and the events of its order meet in any order; the supplier is the one whom the capture
that opened the escrow names, never one of a refused capture. Each order counts once, and so does
each buyer who reports. All memory is bounded; what is let go is counted.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from schemas.order_events import OrderChanged
from schemas.payments import PaymentCaptured
from schemas.supplier_reports import SupplierReported
from streams.flow import EARLY_MS_MAX

DAY_MS: Final = 86_400_000
DAYS: Final = 30
ENDED: Final = frozenset(("RELEASED", "REFUNDED", "SPLIT", "CHARGED_BACK"))
CAPTURES_MAX: Final = 8  # of one order; more are noise
Identity = tuple[str, str]  # source, id


class Limits(NamedTuple):
    """When a supplier is flagged, and how much is remembered. Ours, not the policy's: P9 only says report."""

    refund_rate_bp: int = 3_000  # basis points: 3,000 are 30 %
    settled_min: int = 10  # fewer settled orders say nothing about a rate
    rulings_against: int = 3
    reporters: int = 2  # different buyers
    open_orders_max: int = 200_000
    done_orders_max: int = 100_000
    suppliers_max: int = 50_000
    reporters_kept_max: int = 1_000  # of one supplier


class Ending(NamedTuple):
    """How one order was settled; each figure is 0 or 1 and they add up over a day."""

    settled: int
    refunded: int
    ruled_against: int
    charged_back: int


@dataclass(slots=True)
class _Order:
    captures: dict[Identity, str] = field(default_factory=dict)  # to the supplier each names
    opened_by: Identity | None = None
    ended: tuple[int, Ending] | None = None  # at which time, and how


@dataclass(slots=True)
class _Supplier:
    days: dict[int, list[int]] = field(default_factory=dict)  # UTC day to summed endings
    reporters: dict[str, int] = field(default_factory=dict)  # buyer to the time of his last report


class Suppliers:
    """Folds captures, order events and reports; `now` and `t` are ms UTC."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.forgotten = 0  # open orders let go for want of room
        self.touched: set[str] = set()  # suppliers whose figures changed since this was emptied
        self._open: OrderedDict[str, _Order] = OrderedDict()
        self._done: OrderedDict[str, None] = OrderedDict()
        self._suppliers: OrderedDict[str, _Supplier] = OrderedDict()

    @property
    def ids(self) -> list[str]:
        return list(self._suppliers)

    def captured(self, data: PaymentCaptured, identity: Identity, now: int) -> None:
        order = self._order(data.order_id)
        if order is not None and len(order.captures) < CAPTURES_MAX:
            order.captures.setdefault(identity, data.supplier_id)
            self._join(data.order_id, order, now)

    def changed(self, data: OrderChanged, t: int, now: int) -> None:
        order = self._order(data.order_id)
        if order is None:
            return
        if data.from_status is None:
            order.opened_by = (data.cause.source, data.cause.id)
        if data.to_status == "NOT_PROTECTED":
            self._finish(data.order_id)
        elif data.to_status in ENDED:
            back = data.refunded_minor > 0
            against = back and data.decided_by == "ruling"
            lost = data.to_status == "CHARGED_BACK"
            order.ended = (t, Ending(1, int(back), int(against), int(lost)))
            self._join(data.order_id, order, now)

    def reported(self, data: SupplierReported, t: int, now: int) -> None:
        if not now - DAYS * DAY_MS < t <= now + EARLY_MS_MAX:
            return
        reporters = self._supplier(data.supplier_id).reporters
        if data.buyer_id in reporters or len(reporters) < self.limits.reporters_kept_max:
            reporters[data.buyer_id] = max(t, reporters.get(data.buyer_id, 0))

    def risk(self, supplier_id: str, now: int) -> dict[str, Any] | None:
        """The figures of the last 30 days, or None where there are none (he is then forgotten)."""
        known = self._suppliers.get(supplier_id)
        if known is None:
            return None
        first_day, since = now // DAY_MS - DAYS + 1, now - DAYS * DAY_MS
        known.days = {day: sums for day, sums in known.days.items() if day >= first_day}
        known.reporters = {who: t for who, t in known.reporters.items() if t > since}
        if not known.days and not known.reporters:
            del self._suppliers[supplier_id]
            return None
        nothing = (0,) * len(Ending._fields)
        total = Ending(*map(sum, zip(nothing, *known.days.values(), strict=True)))
        rate = total.refunded * 10_000 // total.settled if total.settled else None
        found = {
            "supplier_id": supplier_id,
            "days": DAYS,
            "orders_settled": total.settled,
            "orders_refunded": total.refunded,
            "refund_rate_bp": rate,
            "rulings_against": total.ruled_against,
            "charged_back": total.charged_back,
            "reporters": len(known.reporters),
        }
        return found | {"flags": self._flags(total, rate, len(known.reporters))}

    def _flags(self, total: Ending, rate: int | None, reporters: int) -> list[str]:
        limits = self.limits
        enough = rate is not None and total.settled >= limits.settled_min
        checks = (
            ("refund_rate", enough and rate is not None and rate >= limits.refund_rate_bp),
            ("rulings_against", total.ruled_against >= limits.rulings_against),
            ("reported", reporters >= limits.reporters),
        )
        return [name for name, holds in checks if holds]

    def _order(self, order_id: str) -> _Order | None:
        """The order as far as known; None once it has been counted."""
        if order_id in self._done:
            return None
        order = self._open.get(order_id)
        if order is None:
            order = self._open[order_id] = _Order()
            if len(self._open) > self.limits.open_orders_max:
                self._open.popitem(last=False)
                self.forgotten += 1
        return order

    def _supplier(self, supplier_id: str) -> _Supplier:
        known = self._suppliers.setdefault(supplier_id, _Supplier())
        self._suppliers.move_to_end(supplier_id)
        self.touched.add(supplier_id)
        if len(self._suppliers) > self.limits.suppliers_max:
            gone, _ = self._suppliers.popitem(last=False)
            self.touched.add(gone)
        return known

    def _join(self, order_id: str, order: _Order, now: int) -> None:
        """Count the order once it is ended and its supplier is known."""
        if order.ended is None or order.opened_by not in order.captures:
            return
        t, ending = order.ended
        supplier_id = order.captures[order.opened_by]
        self._finish(order_id)
        day = t // DAY_MS
        if day > now // DAY_MS - DAYS and t <= now + EARLY_MS_MAX:
            days = self._supplier(supplier_id).days
            days[day] = [a + b for a, b in zip(days.get(day, (0,) * 4), ending, strict=True)]

    def _finish(self, order_id: str) -> None:
        del self._open[order_id]
        self._done[order_id] = None
        if len(self._done) > self.limits.done_orders_max:
            self._done.popitem(last=False)
