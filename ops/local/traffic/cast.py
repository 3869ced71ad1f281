"""Who takes part in an order, and its money: drawn by a seeded generator, the same for the same seed.

No amount of a cast, nor the parts it is split into, means anything to the gateway simulator
(docs/gateway-simulator.md) unless that was asked for.
"""

import random
from typing import Any, Final, NamedTuple

from ops.local.gateway.tricks import is_magic

# currency and the range of its amounts, in minor units; how often is in the repetition
_MONEY: Final = (
    ("EUR", 500, 90_000),
    ("EUR", 500, 90_000),
    ("USD", 500, 120_000),
    ("USD", 500, 120_000),
    ("JPY", 300, 80_000),
    ("BHD", 1_000, 400_000),
)
_METHODS: Final = ("visa", "mastercard")
CARRIERS: Final = ("north-parcel", "blue-lorry", "cargo-seven")

# The CloudEvents source of each topic's facts: what a file of source rules would allow.
SOURCES: Final = {
    "escrow.payments.v1": "checkout",
    "escrow.shipments.v1": "carriers",
    "escrow.refund-requests.v1": "storefront",
    "escrow.mediation-rulings.v1": "mediation-desk",
    "escrow.supplier-reports.v1": "storefront",
}


class Cast(NamedTuple):
    """One order before anything has happened to it."""

    order_id: str
    payment_id: str
    buyer_id: str
    supplier_id: str
    currency: str
    amount_minor: int
    method: str

    def capture(self, **other: Any) -> dict[str, Any]:
        """The data of its `payment.captured`, without `order_id`; `other` replaces."""
        return {
            "payment_id": self.payment_id,
            "buyer_id": self.buyer_id,
            "supplier_id": self.supplier_id,
            "amount_minor": self.amount_minor,
            "currency": self.currency,
            "method": self.method,
            "paid_through": "escrow",
            "agreement_accepted": True,
            **other,
        }

    def part(self, rng: random.Random) -> int:
        """A part of the amount; neither it nor the rest is magic."""
        while True:
            part = rng.randint(1, self.amount_minor - 1)
            if not is_magic(part) and not is_magic(self.amount_minor - part):
                return part


def draw_cast(rng: random.Random, name: str, digits: int | None = None) -> Cast:
    """A new order called `name`. With `digits`, the amount ends in these magic ones."""
    currency, low, high = rng.choice(_MONEY)
    amount = rng.randint(low, high)
    if digits is not None:
        amount = amount // 10_000 * 10_000 + digits
    while digits is None and is_magic(amount):
        amount = rng.randint(low, high)
    return Cast(
        f"order-{name}",
        f"pay-{name}",
        f"buyer-{rng.randrange(100_000)}",
        f"supplier-{int(rng.paretovariate(1.2)) % 5_000}",  # a few of them sell a lot
        currency,
        amount,
        rng.choice(_METHODS),
    )
