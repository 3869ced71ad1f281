"""What may happen to an order: each plot is a list of facts in the order in which they happen.

A plot's ending is certain only if its facts are decided in that order; other orders are legal too,
and the rules say what then becomes of each fact.
"""

import random
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final, NamedTuple

from escrow.policy import CURRENT, DAY_MS, HOUR_MS
from ops.local.traffic.cast import CARRIERS, Cast


class Step(NamedTuple):
    """One fact: `wait_ms` after the one before it. `data` is without `order_id`."""

    wait_ms: int
    type: str
    data: dict[str, Any]


Plot = Callable[[random.Random, Cast], list[Step]]


def _hours(rng: random.Random, low: int, high: int) -> int:
    return rng.randint(low * HOUR_MS, high * HOUR_MS)


def _captured(cast: Cast, **other: Any) -> Step:
    return Step(0, "payment.captured", cast.capture(**other))


def _dispatched(rng: random.Random, cast: Cast) -> Step:
    tracking = f"{rng.randrange(16**10):010x}"
    data = {"carrier": rng.choice(CARRIERS), "tracking_number": f"JD {tracking}"}
    return Step(_hours(rng, 1, 24), "shipment.dispatched", _shipment(cast, **data))


def _shipment(cast: Cast, **other: Any) -> dict[str, Any]:
    return {"shipment_id": f"ship-{cast.payment_id[4:]}", **other}


def _delivered(rng: random.Random, cast: Cast) -> Step:
    data = _shipment(cast, packaging=rng.choice(("intact", "intact", "unknown", "damaged")))
    if rng.random() < 0.5:
        data["signed_by"] = "A. Neighbour"
    return Step(_hours(rng, 20, 72), "shipment.delivered", data)


def _requested(rng: random.Random, cast: Cast, reason: str, amount: int) -> Step:
    data = {
        "request_id": f"req-{cast.payment_id[4:]}",
        "buyer_id": cast.buyer_id,
        "reason": reason,
        "amount_minor": amount,
        "currency": cast.currency,
        "note": "Smaller than in the picture — please look.",
    }
    return Step(_hours(rng, 2, 48), "refund.requested", data)


def _offered(rng: random.Random, cast: Cast, nth: int, by: str, amount: int) -> Step:
    data = {
        "request_id": f"req-{cast.payment_id[4:]}",
        "offer_id": f"offer-{cast.payment_id[4:]}-{nth}",
        **_party(cast, by),
        "amount_minor": amount,
        "currency": cast.currency,
    }
    return Step(_hours(rng, 1, 24), "refund.offered", data)


def _answered(rng: random.Random, cast: Cast, answer: str, offer_id: str, by: str) -> Step:
    data = {"offer_id": offer_id, **_party(cast, by)}
    return Step(_hours(rng, 1, 24), f"refund.offer_{answer}", data)


def _evidence(rng: random.Random, cast: Cast, by: str) -> Step:
    digest = sha256(f"{cast.order_id}{by}".encode()).hexdigest()
    data = {
        "evidence_id": f"evidence-{cast.payment_id[4:]}-{by}",
        **_party(cast, by),
        "kind": rng.choice(("chat_history", "photo", "document")),
        "sha256": digest,
        "size_bytes": rng.randint(1_000, 5_000_000),
        "media_type": "application/octet-stream",
    }
    return Step(_hours(rng, 1, 12), "evidence.submitted", data)


def _party(cast: Cast, by: str) -> dict[str, str]:
    return {"by": by, "party_id": cast.buyer_id if by == "buyer" else cast.supplier_id}


def _confirmed(rng: random.Random, cast: Cast, **other: Any) -> Step:
    return Step(_hours(rng, 1, 48), "delivery.confirmed", {"buyer_id": cast.buyer_id, **other})


def happy(rng: random.Random, cast: Cast) -> list[Step]:
    """Paid, sent, arrived, confirmed; a third pay with the details of the order."""
    details: dict[str, Any] = {}
    if rng.random() < 0.3:
        shipping = min(cast.amount_minor - 1, 499)
        line = {"line_id": "1", "sku": "TEAPOT-7", "quantity": 1}
        line |= {"unit_minor": cast.amount_minor - shipping, "options": {"colour": "blue"}}
        details["order"] = {"lines": [line], "shipping_minor": shipping}
    steps = [_captured(cast, **details), _dispatched(rng, cast), _delivered(rng, cast)]
    return [*steps, _confirmed(rng, cast)]


def untracked(rng: random.Random, cast: Cast) -> list[Step]:
    """The buyer confirms what no carrier ever scanned."""
    return [_captured(cast), _dispatched(rng, cast), _confirmed(rng, cast)]


def customs(rng: random.Random, cast: Cast) -> list[Step]:
    """The customs charge is the buyer's and changes nothing."""
    money = {"amount_minor": rng.randint(100, 5_000), "currency": cast.currency}
    charge = Step(_hours(rng, 1, 24), "shipment.customs_charged", _shipment(cast, **money))
    steps = [_captured(cast), _dispatched(rng, cast), charge, _delivered(rng, cast)]
    return [*steps, _confirmed(rng, cast)]


def lost(rng: random.Random, cast: Cast) -> list[Step]:
    """It never arrives, and the carrier says so itself: all of it goes back."""
    steps = [_captured(cast), _dispatched(rng, cast)]
    steps.append(_requested(rng, cast, "not_arrived", cast.amount_minor))
    if rng.random() < 0.5:
        return [*steps, Step(_hours(rng, 1, 48), "shipment.lost", _shipment(cast))]
    data = _shipment(cast, cause="undeliverable")
    return [*steps, Step(_hours(rng, 1, 48), "shipment.returned", data)]


def never_sent(rng: random.Random, cast: Cast) -> list[Step]:
    """It does not arrive, and the supplier agrees."""
    asked = _requested(rng, cast, "not_arrived", cast.amount_minor)
    agreed = _answered(rng, cast, "accepted", asked.data["request_id"], "supplier")
    return [_captured(cast), asked, agreed]


def negotiated(rng: random.Random, cast: Cast) -> list[Step]:
    """Not as described: they meet somewhere between; the rest goes to the supplier."""
    asked = _requested(rng, cast, "not_as_described", cast.part(rng))
    steps = [_captured(cast), _dispatched(rng, cast), _delivered(rng, cast), asked]
    offer, by = _offered(rng, cast, 1, "supplier", cast.part(rng)), "buyer"
    steps.append(offer)
    if rng.random() < 0.4:
        steps.append(_answered(rng, cast, "declined", offer.data["offer_id"], "buyer"))
        offer, by = _offered(rng, cast, 2, "buyer", cast.part(rng)), "supplier"
        steps.append(offer)
    return [*steps, _answered(rng, cast, "accepted", offer.data["offer_id"], by)]


def withdrawn(rng: random.Random, cast: Cast) -> list[Step]:
    """The buyer was too quick: the parcel comes after all."""
    asked = _requested(rng, cast, "not_arrived", cast.amount_minor)
    confirmed = _confirmed(rng, cast, withdraws_request_id=asked.data["request_id"])
    return [_captured(cast), _dispatched(rng, cast), asked, _delivered(rng, cast), confirmed]


def mediated(rng: random.Random, cast: Cast) -> list[Step]:
    """No agreement: ten days after the request the mediator may be asked, and decides."""
    asked = _requested(rng, cast, "damaged", cast.part(rng))
    steps = [_captured(cast), _dispatched(rng, cast), _delivered(rng, cast), asked]
    steps += [_evidence(rng, cast, "buyer"), _evidence(rng, cast, "supplier")]
    waited = steps[-1].wait_ms + steps[-2].wait_ms
    plea = {"request_id": asked.data["request_id"], "buyer_id": cast.buyer_id}
    if rng.random() < 0.3:  # too early
        early = 3 * DAY_MS
        steps.append(Step(early, "mediation.requested", plea))
        waited += early
    on_time = rng.choice((0, rng.randint(1, DAY_MS)))  # the first moment is on time
    steps.append(
        Step(CURRENT.mediation_after_ms - waited + on_time, "mediation.requested", dict(plea))
    )
    return [*steps, _ruling(rng, cast)]


def _ruling(rng: random.Random, cast: Cast) -> Step:
    data: dict[str, Any] = {
        "ruling_id": f"ruling-{cast.payment_id[4:]}",
        "request_id": f"req-{cast.payment_id[4:]}",
        "mediator_id": f"mediator-{rng.randrange(20)}",
        "outcome": rng.choice(("refund_full", "refund_partial", "refund_partial", "release")),
        "rationale": "Both sides' evidence was heard.",
    }
    if data["outcome"] == "refund_partial":
        data["refund_minor"] = cast.part(rng)
    return Step(_hours(rng, 12, 72), "ruling.issued", data)


def charged_back(rng: random.Random, cast: Cast) -> list[Step]:
    """The card network steps in, before or after the money has gone to the supplier."""
    chargeback = {"chargeback_id": f"cb-{cast.payment_id[4:]}"}
    money = {"amount_minor": cast.amount_minor, "currency": cast.currency}
    opened = {**chargeback, "payment_id": cast.payment_id, **money}
    outcome = rng.choice(("won", "lost"))
    steps = [_captured(cast), _dispatched(rng, cast)]
    if rng.random() < 0.3:  # after the settlement
        steps.append(_confirmed(rng, cast))
    steps.append(Step(_hours(rng, 24, 96), "payment.charged_back", opened))
    closed = {**chargeback, "outcome": outcome}
    steps.append(Step(_hours(rng, 48, 240), "payment.chargeback_closed", closed))
    if outcome == "won" and len(steps) == 4:
        steps.append(_confirmed(rng, cast))
    return steps


def paid_twice(rng: random.Random, cast: Cast) -> list[Step]:
    """The second payment goes back to its buyer at once."""
    again = _captured(cast, payment_id=f"{cast.payment_id}-2")._replace(wait_ms=HOUR_MS)
    return [_captured(cast), again, _dispatched(rng, cast), _confirmed(rng, cast)]


def not_protected(rng: random.Random, cast: Cast) -> list[Step]:
    """Paid in a way that is not protected; what we hold of it goes back."""
    way: dict[str, Any] = rng.choice(
        ({"paid_through": "other"}, {"agreement_accepted": False}, {"method": "wire_transfer"})
    )
    return [_captured(cast, **way), _dispatched(rng, cast), _delivered(rng, cast)]


def reported(rng: random.Random, cast: Cast) -> list[Step]:
    """The supplier asked for another way of payment; the buyer paid through escrow all the same."""
    data = {
        "report_id": f"report-{cast.payment_id[4:]}",
        "supplier_id": cast.supplier_id,
        "buyer_id": cast.buyer_id,
        "product_id": "TEAPOT-7",
        "asked_for": "a transfer to a private account",
    }
    report = Step(_hours(rng, 1, 24), "supplier.reported", data)
    return [_captured(cast), report, _dispatched(rng, cast), _confirmed(rng, cast)]


# how many of 100 orders go each way
PLOTS: Final[dict[Plot, int]] = {
    happy: 52,
    untracked: 16,
    customs: 3,
    lost: 5,
    never_sent: 5,
    negotiated: 5,
    withdrawn: 2,
    mediated: 3,
    charged_back: 3,
    paid_twice: 2,
    not_protected: 3,
    reported: 1,
}
