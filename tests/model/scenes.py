"""Whole stories that chance alone tells too rarely: each is a list of steps for one new order.

A step is a fact's type and data, and how long after the step before it happens.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from tests.model import policy
from tests.model.plans import Data, Plan
from tests.model.rules_commands import short_digest


class Step(NamedTuple):
    """`wait` in milliseconds."""

    type: str
    data: Data
    wait: int = 0


def capture(plan: Plan, number: int = 0, **other: str | bool | int) -> Step:
    data: Data = {
        "payment_id": plan.payments[number],
        "buyer_id": plan.buyer,
        "supplier_id": plan.supplier,
        "amount_minor": plan.amount,
        "currency": plan.currency,
        "method": "visa",
        "paid_through": "escrow",
        "agreement_accepted": True,
    }
    return Step("payment.captured", data | dict(other.items()))


def confirm(plan: Plan) -> Step:
    return Step("delivery.confirmed", {"buyer_id": plan.buyer})


def request(plan: Plan, amount: int, reason: str = "other") -> Step:
    data: Data = {"request_id": "r1", "buyer_id": plan.buyer, "reason": reason}
    return Step("refund.requested", data | money(plan, amount))


def accept(plan: Plan, offer_id: str = "r1") -> Step:
    data: Data = {"offer_id": offer_id, "by": "supplier", "party_id": plan.supplier}
    return Step("refund.offer_accepted", data)


def mediation(plan: Plan, wait: int) -> Step:
    data: Data = {"request_id": "r1", "buyer_id": plan.buyer}
    return Step("mediation.requested", data, wait)


def ruling(outcome: str, amount: int | None = None) -> Step:
    data: Data = {"ruling_id": "u1", "request_id": "r1", "mediator_id": "m", "outcome": outcome}
    return Step("ruling.issued", data | {"refund_minor": amount})


def chargeback(plan: Plan, name: str, amount: int, number: int = 0) -> Step:
    data: Data = {"chargeback_id": name, "payment_id": plan.payments[number]}
    return Step("payment.charged_back", data | money(plan, amount))


def closed(name: str, outcome: str) -> Step:
    return Step("payment.chargeback_closed", {"chargeback_id": name, "outcome": outcome})


def lost(shipment_id: str) -> Step:
    return Step("shipment.lost", {"shipment_id": shipment_id})


def money(plan: Plan, amount: int) -> Data:
    return {"amount_minor": max(amount, 1), "currency": plan.currency}


def result(plan: Plan, kind: str, command_id: str, *, retryable: bool = False) -> Step:
    data: Data = {"command_id": command_id, "retryable": retryable or None}
    return Step(kind, data | money(plan, plan.amount))


def reissue(command_id: str) -> Step:
    data: Data = {"command_id": command_id, "reissue_id": "x1", "operator_id": "op"}
    return Step("command.reissued", data)


def first_payout(plan: Plan) -> tuple[str, str]:
    """The id of the first payout command, and of its reissue."""
    command_id = short_digest(f"{plan.order_id}\npayout\n1")
    return command_id, short_digest(f"{command_id}\nreissue")


def everything_early(rng: random.Random, plan: Plan) -> list[Step]:
    """All that can wait for a payment comes before it; each pass of waking frees the next."""
    payout, again = first_payout(plan)
    steps = [
        result(plan, "gateway.settled", again),
        result(plan, "gateway.returned", payout),
        reissue(payout),
        confirm(plan),
    ]
    if rng.random() < 0.5:
        rng.shuffle(steps)
    return [*steps, capture(plan)]


def mediation_early(rng: random.Random, plan: Plan) -> list[Step]:
    partial = ruling("refund_partial", max(plan.amount // 2, 1))
    steps = [partial, request(plan, 1), mediation(plan, policy.MEDIATION_AFTER)]
    if rng.random() < 0.3:
        rng.shuffle(steps)
    return [*steps, capture(plan)]


def offer_then_lost(rng: random.Random, plan: Plan) -> list[Step]:
    half = plan.amount // 2
    ends = [
        [accept(plan)],
        [mediation(plan, policy.MEDIATION_AFTER), ruling("refund_full")],
        [mediation(plan, policy.MEDIATION_AFTER), ruling("refund_partial", plan.amount - half)],
    ]
    return [
        capture(plan),
        request(plan, plan.amount),
        chargeback(plan, "c1", half),
        closed("c1", "lost"),
        *rng.choice(ends),
    ]


def failing(rng: random.Random, plan: Plan) -> list[Step]:
    payout, again = first_payout(plan)
    failures = [result(plan, "gateway.failed", payout, retryable=True) for _ in range(5)]
    late = [result(plan, "gateway.settled", payout), result(plan, "gateway.settled", again)]
    rng.shuffle(late)
    return [capture(plan), confirm(plan), *failures, reissue(payout), *late, reissue(again)]


def ruled(rng: random.Random, plan: Plan) -> list[Step]:
    rulings = [ruling("refund_full"), ruling("release"), ruling("refund_partial", 1)]
    rulings = [rng.choice(rulings) for _ in range(3)]
    wait = policy.MEDIATION_AFTER - rng.choice([0, 0, 0, 1])
    return [
        capture(plan),
        request(plan, plan.amount),
        *rulings[:2],
        mediation(plan, wait),
        *rulings,
    ]


def paid_again(rng: random.Random, plan: Plan) -> list[Step]:
    """NOT_PROTECTED, a chargeback of the payment that is still to come, then a proper payment."""
    bad = [capture(plan, 0, method="amex"), capture(plan, 0, paid_through="other")]
    bad.append(capture(plan, 0, agreement_accepted=False, buyer_id="b9", currency="CHF"))
    steps = [rng.choice(bad), chargeback(plan, "c1", plan.amount, 1), capture(plan, 1)]
    steps += [chargeback(plan, "c2", plan.amount, 1), closed("c1", "lost"), closed("c2", "won")]
    return [*steps, confirm(plan)]


def lost_twice(rng: random.Random, plan: Plan) -> list[Step]:
    """Losses over what is held, and after the money has gone."""
    split = [request(plan, plan.amount // 2), accept(plan)]
    other_request: Data = {"request_id": "r2", "buyer_id": plan.buyer}
    split.insert(1, Step("refund.withdrawn", other_request))
    steps = [capture(plan), *(split if rng.random() < 0.7 else [])]
    names = ["c1", "c2", "c3"]
    amounts = [rng.choice([plan.amount, plan.amount // 2 + 1]) for _ in names]
    for name, amount in zip(names, amounts, strict=True):
        step = chargeback(plan, name, amount)
        if rng.random() < 0.2:
            step.data["currency"] = "CHF"
        steps.append(step)
    rng.shuffle(names)
    return steps + [closed(name, rng.choice(["lost", "lost", "won"])) for name in names]


def never_arrived(rng: random.Random, plan: Plan) -> list[Step]:
    steps = [lost("h1"), lost("h2"), request(plan, plan.amount, "not_arrived")]
    steps += [chargeback(plan, "c1", plan.amount // 2), closed("c1", rng.choice(["won", "lost"]))]
    rng.shuffle(steps)
    at = rng.randint(0, len(steps))
    return [*steps[:at], capture(plan), *steps[at:]]


def ruled_while_frozen(rng: random.Random, plan: Plan) -> list[Step]:
    """A ruling that waits for a chargeback, sometimes from before the payment on."""
    frozen = [chargeback(plan, "c1", max(plan.amount // 3, 1)), ruling("refund_full")]
    before = [request(plan, 1), mediation(plan, policy.MEDIATION_AFTER)]
    end = closed("c1", rng.choice(["won", "lost"]))
    if rng.random() < 0.5:
        return [*frozen, capture(plan), *before, end]
    return [capture(plan), *before, *frozen, end]


SCENES: list[Callable[[random.Random, Plan], list[Step]]] = [
    everything_early,
    mediation_early,
    offer_then_lost,
    failing,
    ruled,
    paid_again,
    lost_twice,
    never_arrived,
    ruled_while_frozen,
]
