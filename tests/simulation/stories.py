"""What happens to the orders of a schedule: records ready to be sent, made once and used again.

Ids are those of a slot (o1 ... o4), so that what the model's door says of a record can be remembered.
"""

import json
import random
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from tests.model import policy
from tests.model.plans import Plan
from tests.model.rules_commands import short_digest
from tests.model.scenes import (
    Step,
    capture,
    confirm,
    lost,
    lost_twice,
    mediation,
    mediation_early,
    money,
    never_arrived,
    offer_then_lost,
    paid_again,
    request,
    ruled,
    ruled_while_frozen,
    ruling,
)
from tests.model.shapes import TOPIC_OF

T0: Final = 1_700_000_000_000
SLOTS: Final = 4
VARIANTS: Final = 96  # of the stories of a slot
HOUR: Final = 3_600_000


class Sent(NamedTuple):
    """A record before it has a place in a log."""

    topic: str
    key: bytes
    t: int
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


def a_plan(slot: int) -> Plan:
    amount = (1_000, 777, 50, 2_001)[slot % 4]
    return Plan(f"o{slot}", "calm", f"b{slot}", f"s{slot}", "EUR", amount, [f"p{slot}", f"q{slot}"])


def dispatched(state: str = "dispatched") -> Step:
    data: dict[str, Any] = {"shipment_id": "h1"}
    if state == "dispatched":
        data |= {"carrier": "north", "tracking_number": "JD 1"}
    return Step(f"shipment.{state}", data, HOUR)


def happy(rng: random.Random, plan: Plan) -> list[Step]:
    return [capture(plan), dispatched(), dispatched("delivered"), confirm(plan)]


def early(rng: random.Random, plan: Plan) -> list[Step]:
    steps = [capture(plan), dispatched(), confirm(plan)]
    rng.shuffle(steps)
    return steps


def negotiated(rng: random.Random, plan: Plan) -> list[Step]:
    offer: dict[str, Any] = {
        "request_id": "r1", "offer_id": "f1", "by": "supplier", "party_id": plan.supplier,
    }  # fmt: skip
    taken: dict[str, Any] = {"offer_id": "f1", "by": "buyer", "party_id": plan.buyer}
    asked = request(plan, plan.amount)
    asked.data["note"] = "smaller than in the picture"
    proof: dict[str, Any] = {
        "evidence_id": "e1", "by": "buyer", "party_id": plan.buyer, "kind": "photo",
        "sha256": "a" * 64, "size_bytes": 7, "media_type": "image/png",
    }  # fmt: skip
    return [
        capture(plan), asked, Step("evidence.submitted", proof),
        Step("refund.offered", offer | money(plan, plan.amount // 3)),
        Step("refund.offer_accepted", taken),
    ]  # fmt: skip


def withdrawn(rng: random.Random, plan: Plan) -> list[Step]:
    back: dict[str, Any] = {"request_id": "r1", "buyer_id": plan.buyer}
    return [capture(plan), request(plan, 1), Step("refund.withdrawn", back, HOUR), confirm(plan)]


def waits_for_mediation(rng: random.Random, plan: Plan) -> list[Step]:
    steps = [capture(plan), request(plan, plan.amount), lost("h9")]
    if rng.random() < 0.5:
        steps.append(mediation(plan, policy.MEDIATION_AFTER + 1))
        steps.append(ruling("refund_full"))
    else:
        steps.append(Step("shipment.delivered", {"shipment_id": "h9"}, policy.MEDIATION_AFTER))
    return steps


def parked_too_long(rng: random.Random, plan: Plan) -> list[Step]:
    late = Step("shipment.lost", {"shipment_id": "h2"}, policy.PARK_LIMIT)
    return [lost("h1"), late, capture(plan), confirm(plan)]


def reissued(rng: random.Random, plan: Plan) -> list[Step]:
    """The gateway refuses amounts that end in 7; a person sends it once more."""
    payout = short_digest(f"{plan.order_id}\npayout\n1")
    again: dict[str, Any] = {"command_id": payout, "reissue_id": "x1", "operator_id": "op"}
    return [capture(plan), confirm(plan), Step("command.reissued", again, HOUR)]


def paid_twice(rng: random.Random, plan: Plan) -> list[Step]:
    return [capture(plan), capture(plan, 1), confirm(plan)]


def another_ones_payment(rng: random.Random, plan: Plan) -> list[Step]:
    """The payment of the first order pays for this one, too."""
    return [capture(plan, payment_id="p1"), confirm(plan)]


Scene = Callable[[random.Random, Plan], list[Step]]
SCENES: Final[tuple[Scene, ...]] = (
    happy, happy, early, early, early, negotiated, negotiated, withdrawn, waits_for_mediation,
    parked_too_long, reissued, paid_twice, another_ones_payment, mediation_early, offer_then_lost,
    ruled, paid_again, lost_twice, never_arrived, ruled_while_frozen,
)  # fmt: skip


@cache
def story(slot: int, variant: int) -> tuple[Sent, ...]:
    """The same for the same slot and variant, on every machine."""
    rng = random.Random(f"story {slot} {variant}")
    plan = a_plan(slot)
    steps = SCENES[variant % len(SCENES)](rng, plan)
    t = T0 + slot * 1_000
    sent: list[Sent] = []
    for number, step in enumerate(steps):
        t += step.wait + 60_000
        data = {n: v for n, v in {"order_id": plan.order_id, **step.data}.items() if v is not None}
        sent.append(record(step.type, plan.order_id, f"{variant}.{number}", t, data))
    return tuple(sent)


def record(type_name: str, order_id: str, number: str, t: int, data: dict[str, Any]) -> Sent:
    headers = (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{order_id}-{number}".encode()),
        ("ce_source", b"/world"),
        ("ce_type", type_name.encode()),
    )
    value = json.dumps(data, separators=(",", ":")).encode()
    return Sent(TOPIC_OF[type_name], order_id.encode(), t, value, headers)


@cache
def report(n: int) -> Sent:
    data: dict[str, Any] = {
        "report_id": f"rp{n}", "supplier_id": "s1", "buyer_id": "b1", "product_id": "x",
        "asked_for": "cash",
    }  # fmt: skip
    return record("supplier.reported", "s1", f"report-{n}", T0, data)


@cache
def conflicting(sent: Sent) -> Sent:
    """The same identity, another fact."""
    return sent._replace(value=sent.value.replace(b'"EUR"', b'"USD"').replace(b'"h1"', b'"h7"'))


@cache
def garbage(sent: Sent, cut: int) -> Sent:
    """Bytes that the door refuses."""
    return sent._replace(value=sent.value[:-cut])
