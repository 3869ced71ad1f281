"""Who and what a generated order is, and what would fit to be said about it in each status."""

import random
from dataclasses import dataclass, field

from tests.model.shapes import AMOUNT_MAX, TOPIC_OF
from tests.model.strict_json import Json

Data = dict[str, Json]
ORDER_TYPES = sorted(set(TOPIC_OF) - {"supplier.reported"})
SHIPMENTS = [kind for kind in ORDER_TYPES if kind.startswith("shipment.")]
RESULTS = [kind for kind in ORDER_TYPES if kind.startswith("gateway.")]
RARE = ("IN_MEDIATION", "FROZEN", "REFUNDED", "SPLIT", "CHARGED_BACK")  # where all is tried
OFFER_TYPES = ["refund.offered", "refund.offer_accepted", "refund.offer_declined"]
MOODS = ["plain", "plain", "lost", "ineligible", "late_payment", "charged", "talkative", "gateway"]

# what fits a status; repeated = more likely
FITTING: dict[str, list[str]] = {
    "none": ["payment.captured"],
    "NOT_PROTECTED": ["payment.captured", "payment.charged_back", "evidence.submitted", *RESULTS],
    "HELD": ["refund.requested", "refund.requested", "delivery.confirmed", *SHIPMENTS],
    "DISPUTED": [*OFFER_TYPES, *OFFER_TYPES, "mediation.requested", "mediation.requested"],
    "IN_MEDIATION": ["ruling.issued", "ruling.issued", *OFFER_TYPES, "payment.charged_back"],
    "FROZEN": ["payment.chargeback_closed", "payment.charged_back", "ruling.issued"],
}
AFTERWARDS = [*RESULTS, *RESULTS, "command.reissued", "ruling.issued", "payment.charged_back"]
MOOD_TYPES: dict[str, list[str]] = {
    "plain": [],
    "lost": ["shipment.lost", "shipment.returned", "refund.requested", "shipment.dispatched"],
    "ineligible": ["payment.captured"],
    "late_payment": [
        "refund.requested",
        "shipment.lost",
        "mediation.requested",
        "ruling.issued",
        "delivery.confirmed",
        "gateway.settled",
        "gateway.returned",
        "command.reissued",
    ],
    "charged": ["payment.charged_back", "payment.chargeback_closed"],
    "talkative": [*OFFER_TYPES, "evidence.submitted", "refund.withdrawn", "refund.requested"],
    "gateway": [*RESULTS, "gateway.failed", "gateway.failed", "command.reissued"],
}


@dataclass
class Plan:
    """Who and what an order is, before anything happened to it."""

    order_id: str
    mood: str
    buyer: str
    supplier: str
    currency: str
    amount: int
    payments: list[str] = field(default_factory=list)


def make_plan(rng: random.Random, number: int) -> Plan:
    name = rng.choice(["o", "O-", "ord:", "9_", "z."]) + str(number)
    amount = rng.choice([1, 2, 100, rng.randint(3, 5000), AMOUNT_MAX])
    return Plan(
        order_id=name,
        mood=rng.choice(MOODS),
        buyer=rng.choice(["b1", "b2", "both"]),
        supplier=rng.choice(["s1", "s2", "S.3"]),
        currency=rng.choice(["USD", "USD", "EUR", "JPY", "KWD"]),
        amount=amount,
        payments=[f"p{number}-{i}" for i in range(3)] + ["p-shared"],
    )
