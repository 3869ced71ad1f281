"""What could be said next about an order: mostly what fits its state, always from small pools of ids,
so that repetitions, races and wrong references happen often.
"""

import random
from collections.abc import Callable

from tests.model import policy
from tests.model.plans import AFTERWARDS, FITTING, MOOD_TYPES, ORDER_TYPES, RARE, Data, Plan
from tests.model.rules import World
from tests.model.rules_commands import short_digest
from tests.model.shapes import AMOUNT_MAX
from tests.model.state import IN_DISPUTE, Order
from tests.model.strict_json import Json


class Teller:
    """Chooses the next fact of one order; reads the model's state and changes nothing."""

    def __init__(self, rng: random.Random, world: World, plan: Plan) -> None:
        self.rng = rng
        self.plan = plan
        self.order = world.orders.get(plan.order_id) or Order(plan.order_id)
        self.makers: dict[str, Callable[[], Data]] = {
            "payment.captured": self.capture,
            "payment.charged_back": self.chargeback,
            "payment.chargeback_closed": self.chargeback_closed,
            "delivery.confirmed": self.confirmation,
            "refund.requested": self.request,
            "refund.offered": self.offer,
            "refund.offer_accepted": self.offer_answer,
            "refund.offer_declined": self.offer_answer,
            "refund.withdrawn": self.withdrawal,
            "evidence.submitted": self.evidence,
            "mediation.requested": self.withdrawal,
            "ruling.issued": self.ruling,
            "command.reissued": self.reissue,
            "deadline.reached": self.deadline,
        }

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def next_type(self) -> str:
        order, rng = self.order, self.rng
        if order.status is None and self.plan.mood == "late_payment" and self.chance(0.75):
            return rng.choice(MOOD_TYPES["late_payment"])
        if self.chance(0.5 if order.status in RARE else 0.12):
            return rng.choice(ORDER_TYPES)
        if self.chance(0.3) and MOOD_TYPES[self.plan.mood]:
            return rng.choice(MOOD_TYPES[self.plan.mood])
        return rng.choice(FITTING.get(order.status or "none", AFTERWARDS))

    def data(self, kind: str) -> Data:
        """Valid data; optional fields are left out, null or given."""
        if kind.startswith("shipment."):
            made = self.shipment(kind)
        elif kind.startswith("gateway."):
            made = self.result(kind)
        else:
            made = self.makers[kind]()
        made["order_id"] = self.plan.order_id
        return made

    # what the fields are made of

    def maybe(self, data: Data, name: str, *values: Json) -> None:
        if self.chance(0.5):
            data[name] = None if self.chance(0.2) else self.rng.choice(values)

    def amount(self) -> int:
        available = self.order.available or self.plan.amount
        near = [available, available - 1, available + 1, 1, available // 2]
        wanted = self.rng.choice([*near, self.rng.randint(1, available)])
        return min(max(wanted, 1), AMOUNT_MAX)

    def currency(self) -> str:
        own = self.order.currency or self.plan.currency
        return own if self.chance(0.94) else self.rng.choice(["USD", "EUR", "CHF"])

    def buyer(self) -> str:
        own = self.order.buyer_id or self.plan.buyer
        return own if self.chance(0.95) else self.rng.choice(["b1", "b2", "s1"])

    def party(self) -> Data:
        by = self.rng.choice(["buyer", "supplier"])
        ids = self.order.buyer_or_supplier
        party_id = ids[by] or {"buyer": self.plan.buyer, "supplier": self.plan.supplier}[by]
        if self.chance(0.05):
            party_id = self.rng.choice(["b1", "s1", "nobody"])
        return {"by": by, "party_id": party_id}

    def some_id(self, prefix: str, most: int = 4) -> str:
        return f"{prefix}{self.rng.randint(1, most)}"

    def open_request(self) -> str:
        request = self.order.request
        if request is not None and self.chance(0.9):
            return request.request_id
        return self.some_id("r")

    # the facts

    def capture(self) -> Data:
        rng, plan = self.rng, self.plan
        bad = 0.45 if plan.mood == "ineligible" else 0.05
        amount = plan.amount if self.chance(0.9) else self.amount()
        same = self.chance(0.85)
        data: Data = {
            "payment_id": rng.choice(plan.payments),
            "buyer_id": plan.buyer if same else "b3",
            "supplier_id": plan.supplier if same else "s4",
            "amount_minor": amount,
            "currency": plan.currency if same else "CHF",
            "method": "amex" if self.chance(bad / 2) else rng.choice(["visa", "mastercard"]),
            "paid_through": "other" if self.chance(bad / 2) else "escrow",
            "agreement_accepted": not self.chance(bad / 2),
        }
        self.maybe(data, "order", self.ordered(amount))
        return data

    def ordered(self, amount: int) -> Data:
        """An order whose lines and shipping add up to `amount`."""
        rng = self.rng
        quantity = rng.randint(1, min(amount, 10**6))
        unit = rng.randint(0, amount // quantity)
        first: Data = {"line_id": "l1", "sku": "ä b", "quantity": quantity, "unit_minor": unit}
        self.maybe(first, "options", {}, {"colour": "red", "Größe": "4111 111"})
        gift: Data = {"line_id": "l1", "sku": "gift", "quantity": 1, "unit_minor": 0}
        lines: list[Json] = [first, gift] if self.chance(0.3) else [first]
        data: Data = {"lines": lines, "shipping_minor": amount - quantity * unit}
        self.maybe(data, "delivery_address_sha256", "0123456789abcdef" * 4)
        self.maybe(data, "promised_by", "2026-02-28T23:59:59.5+05:30", "2024-02-29T00:00:00Z")
        return data

    def chargeback(self) -> Data:
        held = self.order.payment_id
        payment = held if held and self.chance(0.85) else self.rng.choice(self.plan.payments)
        return {
            "chargeback_id": self.some_id("c", 5),
            "payment_id": payment,
            "amount_minor": self.amount(),
            "currency": self.currency(),
        }

    def chargeback_closed(self) -> Data:
        open_ones = [i for i, c in self.order.chargebacks.items() if c.is_open]
        some = self.some_id("c", 5)
        return {
            "chargeback_id": self.rng.choice([*open_ones, *open_ones, *open_ones, some]),
            "outcome": self.rng.choice(["won", "lost", "lost"]),
        }

    def confirmation(self) -> Data:
        data: Data = {"buyer_id": self.buyer()}
        self.maybe(data, "withdraws_request_id", self.open_request())
        return data

    def request(self) -> Data:
        lost = self.plan.mood == "lost" or self.chance(0.2)
        available = self.order.available or self.plan.amount
        other = self.rng.choice(["not_as_described", "damaged", "other"])
        data: Data = {
            "request_id": self.rng.choice([self.some_id("r"), self.some_id("r", 40), "f1"]),
            "buyer_id": self.buyer(),
            "reason": "not_arrived" if lost else other,
            "amount_minor": available if lost and self.chance(0.85) else self.amount(),
            "currency": self.currency(),
        }
        self.maybe(data, "note", "never came\n\tsorry", "x")
        return data

    def offer(self) -> Data:
        offers = [self.some_id("f", 3), self.some_id("f", 60), self.open_request()]
        return {
            "request_id": self.open_request(),
            "offer_id": self.rng.choice(offers),
            **self.party(),
            "amount_minor": self.amount(),
            "currency": self.currency(),
        }

    def offer_answer(self) -> Data:
        offer, party = self.order.offer, self.party()
        if offer is not None and offer.by == party["by"] and self.chance(0.6):
            party = self.party()
        offer_id = offer.offer_id if offer is not None and self.chance(0.9) else self.some_id("f")
        return {"offer_id": offer_id, **party}

    def withdrawal(self) -> Data:
        return {"request_id": self.open_request(), "buyer_id": self.buyer()}

    def evidence(self) -> Data:
        data: Data = {
            "evidence_id": self.some_id("e", 9),
            **self.party(),
            "kind": self.rng.choice(["chat_history", "photo", "video", "document"]),
            "sha256": f"{self.rng.randint(0, 9)}" * 64,
            "size_bytes": self.rng.choice([1, AMOUNT_MAX]),
            "media_type": "image/png",
        }
        self.maybe(data, "uri", "https://example.org/?q=" + "u" * 1900)
        return data

    def ruling(self) -> Data:
        outcome = self.rng.choice(["refund_full", "refund_partial", "release"])
        data: Data = {
            "ruling_id": self.some_id("u"),
            "request_id": self.open_request(),
            "mediator_id": "m1",
            "outcome": outcome,
        }
        if self.order.ruling is not None and self.chance(0.4):
            data["outcome"], amount = self.order.ruling
            data["refund_minor"] = amount
        elif outcome == "refund_partial":
            data["refund_minor"] = self.amount()
        elif self.chance(0.3):
            data["refund_minor"] = None
        self.maybe(data, "rationale", "seen\r\nboth " + "é" * 3000)
        return data

    def shipment(self, kind: str) -> Data:
        data: Data = {"shipment_id": self.some_id("h", 1 if self.plan.mood == "lost" else 2)}
        if kind == "shipment.dispatched":
            data |= {"carrier": "post", "tracking_number": "T 4111111111111111"}
        elif kind == "shipment.delivered":
            self.maybe(data, "signed_by", "the neighbour")
            self.maybe(data, "packaging", "intact", "damaged", "unknown")
        elif kind == "shipment.returned":
            causes = ["undeliverable", "undeliverable", "refused_by_buyer", "customs", "damaged"]
            data["cause"] = self.rng.choice(causes)
        elif kind == "shipment.customs_charged":
            data |= {"amount_minor": self.amount(), "currency": self.rng.choice(["USD", "CHF"])}
        return data

    def command_id(self) -> str:
        """Of a command that exists, or of one that is still to be decided."""
        known = [c.command_id for c in self.order.commands]
        if known and self.chance(0.9):
            return self.rng.choice(known)
        if known and self.chance(0.5):
            return short_digest(f"{self.rng.choice(known)}\nreissue")
        kind = self.rng.choice(["refund", "payout", "payout"])
        first = short_digest(f"{self.plan.order_id}\n{kind}\n{self.rng.choice([1, 1, 2])}")
        return first if self.chance(0.7) else short_digest(f"{first}\nreissue")

    def result(self, kind: str) -> Data:
        command = self.order.command(command_id := self.command_id())
        right = command is not None and self.chance(0.93)
        data: Data = {
            "command_id": command_id,
            "amount_minor": command.amount_minor if command and right else self.plan.amount,
            "currency": command.currency if command and right else self.currency(),
        }
        self.maybe(data, "gateway_reference", "gw 1")
        self.maybe(data, "reason_code", "insufficient_funds")
        retryable = 0.95 if self.plan.mood == "gateway" else 0.6
        if kind == "gateway.failed" and self.chance(retryable):
            data["retryable"] = True
        else:
            self.maybe(data, "retryable", False)
        return data

    def reissue(self) -> Data:
        broken = [c.command_id for c in self.order.commands if c.state in {"FAILED", "RETURNED"}]
        pick = self.rng.choice(broken) if broken and self.chance(0.7) else self.command_id()
        data: Data = {"command_id": pick, "reissue_id": self.some_id("x"), "operator_id": "op"}
        self.maybe(data, "note", "asked\tby phone")
        return data

    def deadline(self) -> Data:
        return {
            "deadline_id": f"{self.rng.getrandbits(128):032x}",
            "kind": self.rng.choice(["mediation_available", "park_limit"]),
            "due_at": "2026-01-31T00:00:00+00:00",
        }

    def boundary(self, kind: str) -> int | None:
        """A time at, or one millisecond before, a limit that matters to this order now."""
        limits = []
        first = self.order.first_requested_at
        if first is not None and self.order.status in IN_DISPUTE and kind == "mediation.requested":
            limits += [first + policy.MEDIATION_AFTER] * 3
        limits += [w.fact.t + policy.PARK_LIMIT for w in self.order.parked[:2]]
        return self.rng.choice(limits) - self.rng.choice([0, 0, 1]) if limits else None
