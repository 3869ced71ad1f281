"""Whatever comes in whatever order: money adds up, an order settles once, and stays settled.

Chance comes from the session's seed (ESCROW_TEST_SEED, shown in the header of the run).
"""

from collections import Counter
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from escrow.arrival import Decided, arrive
from escrow.decision import Applied
from escrow.policy import DAY_MS
from escrow.state import SETTLED
from escrow.telling import tell
from tests.builders import SHA, T0, Story, an_order, given
from tests.unit.partly_read import only_what_is_named, snapshot

ORDERS: Final = ("o-1", "o-1", "o-1", "o-2")  # one that gets far, and one beside it
FIGURES: Final = (
    "status",
    "captured_minor",
    "refunded_minor",
    "paid_out_minor",
    "charged_back_minor",
)
AMOUNTS: Final = st.sampled_from((1, 399, 400, 600, 999, 1000, 1001, 2**53 - 1))
CURRENCIES: Final = st.sampled_from(("EUR", "EUR", "EUR", "EUR", "USD"))
PARTIES: Final = st.sampled_from(
    (("buyer", "b-1"), ("buyer", "b-1"), ("supplier", "s-1"), ("supplier", "s-1"), ("buyer", "x"))
)
REQUESTS: Final = st.sampled_from(("r-1", "r-2", "r-3", "r-4"))
OFFERS: Final = st.sampled_from(("r-1", "r-2", "f-1", "f-2", "f-3"))
WAYS: Final[dict[str, dict[str, Any]]] = {
    "outside": {"paid_through": "other"},
    "no_agreement": {"agreement_accepted": False},
    "cash": {"method": "cash"},
}
SHIPMENTS: Final = st.sampled_from(("sh-1", "sh-2"))
STEPS_MS: Final = st.sampled_from((0, 0, 1, DAY_MS, 9 * DAY_MS, 10 * DAY_MS, 31 * DAY_MS, -DAY_MS))


class AnyOrderOfFacts(RuleBasedStateMachine):
    """Two orders in one world; one rule for each kind of speaker."""

    def __init__(self) -> None:
        super().__init__()
        first = an_order("o-1")
        self.stories: dict[str, Story] = {"o-1": first, "o-2": an_order("o-2", beside=first)}
        self.settled: dict[str, tuple[object, ...]] = {}
        self.commands: dict[str, int] = {}  # command id -> amount, as first sent
        self.told: Counter[tuple[str, str]] = Counter()
        self.t = T0

    def send(self, order: str, fact: str, data: dict[str, Any]) -> None:
        story = self.stories[order]
        story.t = self.t
        before = snapshot(story.replay.orders.get(order))
        seen = given(story).when(fact, **data).sound()
        if before is not None and seen.outcome not in ("duplicate", "dead_letter"):
            assert arrive(only_what_is_named(before, seen.fact), seen.fact) == seen.steps
        for step in seen.steps:
            if isinstance(step, Decided):
                self.told.update((out.topic, out.id) for out in tell(step))
                if isinstance(step.result, Applied):
                    for command in step.result.sends:
                        first = self.commands.setdefault(command.command_id, command.amount_minor)
                        assert first == command.amount_minor

    @initialize(order=st.sampled_from(ORDERS), early=st.integers(0, 3))
    def begin(self, order: str, early: int) -> None:
        if early != 0:
            self.send(order, "payment.captured", {"payment_id": f"p-{order}"})

    @rule(step=STEPS_MS)
    def time_goes_by(self, step: int) -> None:
        self.t += step

    @rule(
        order=st.sampled_from(ORDERS),
        payment=st.sampled_from(("p-1", "p-2", "p-3", "p-4")),
        amount=AMOUNTS,
        way=st.sampled_from(("ok", "ok", "outside", "no_agreement", "cash")),
    )
    def capture(self, order: str, payment: str, amount: int, way: str) -> None:
        data: dict[str, Any] = {"payment_id": payment, "amount_minor": amount}
        data |= WAYS.get(way, {})
        self.send(order, "payment.captured", data)

    @rule(
        order=st.sampled_from(ORDERS),
        chargeback=st.sampled_from(("cb-1", "cb-2", "cb-3")),
        own=st.booleans(),
        amount=AMOUNTS,
        currency=CURRENCIES,
    )
    def charge_back(
        self, order: str, chargeback: str, own: bool, amount: int, currency: str
    ) -> None:
        payment = self.stories[order].row.payment_id if own else None
        data = {"chargeback_id": chargeback, "payment_id": payment or "p-9"}
        self.send(
            order, "payment.charged_back", {**data, "amount_minor": amount, "currency": currency}
        )

    @rule(
        order=st.sampled_from(ORDERS),
        chargeback=st.sampled_from(("cb-1", "cb-2", "cb-3")),
        outcome=st.sampled_from(("won", "lost")),
    )
    def close_chargeback(self, order: str, chargeback: str, outcome: str) -> None:
        data = {"chargeback_id": chargeback, "outcome": outcome}
        self.send(order, "payment.chargeback_closed", data)

    @rule(
        order=st.sampled_from(ORDERS),
        fact=st.sampled_from(("dispatched", "delivered", "lost", "lost", "returned")),
        shipment=SHIPMENTS,
    )
    def ship(self, order: str, fact: str, shipment: str) -> None:
        self.send(order, f"shipment.{fact}", {"shipment_id": shipment})

    @rule(
        order=st.sampled_from(ORDERS),
        request=REQUESTS,
        reason=st.sampled_from(("not_arrived", "other")),
        amount=st.none() | AMOUNTS,
        currency=CURRENCIES,
    )
    def ask(self, order: str, request: str, reason: str, amount: int | None, currency: str) -> None:
        available = self.stories[order].row.available_minor
        data = {"request_id": request, "reason": reason, "currency": currency}
        self.send(order, "refund.requested", {**data, "amount_minor": amount or available or 1})

    @rule(
        order=st.sampled_from(ORDERS),
        request=st.none() | REQUESTS,
        offer=OFFERS,
        party=PARTIES,
        amount=AMOUNTS,
    )
    def offer(
        self, order: str, request: str | None, offer: str, party: tuple[str, str], amount: int
    ) -> None:
        request = request or self.stories[order].row.request_id or "r-1"
        data = {"request_id": request, "offer_id": offer, "by": party[0], "party_id": party[1]}
        self.send(order, "refund.offered", {**data, "amount_minor": amount})

    @rule(
        order=st.sampled_from(ORDERS),
        answer=st.sampled_from(("accepted", "declined")),
        offer=st.none() | OFFERS,
        party=PARTIES,
    )
    def answer(self, order: str, answer: str, offer: str | None, party: tuple[str, str]) -> None:
        open_offer = self.stories[order].row.offer_id
        data = {"offer_id": offer or open_offer or "f-1", "by": party[0], "party_id": party[1]}
        self.send(order, f"refund.offer_{answer}", data)

    @rule(
        order=st.sampled_from(ORDERS),
        fact=st.sampled_from(("refund.withdrawn", "mediation.requested", "mediation.requested")),
        request=st.none() | REQUESTS,
    )
    def buyer_says(self, order: str, fact: str, request: str | None) -> None:
        open_request = self.stories[order].row.request_id
        self.send(order, fact, {"request_id": request or open_request or "r-1"})

    @rule(order=st.sampled_from(ORDERS), reason=st.sampled_from(("not_arrived", "other")))
    def ask_properly(self, order: str, reason: str) -> None:
        row = self.stories[order].row
        data = {"amount_minor": row.available_minor or 1, "currency": row.currency or "EUR"}
        data |= {"request_id": f"r-{row.decision_no + 9}", "reason": reason}
        self.send(order, "refund.requested", data)

    @rule(order=st.sampled_from(ORDERS))
    def wait_and_ask_the_mediator(self, order: str) -> None:
        self.t += 10 * DAY_MS
        self.buyer_says(order, "mediation.requested", None)

    @rule(order=st.sampled_from(ORDERS), withdraws=st.none() | REQUESTS, sure=st.integers(0, 4))
    def confirm(self, order: str, withdraws: str | None, sure: int) -> None:
        if sure == 0 or withdraws is not None:
            self.send(order, "delivery.confirmed", {"withdraws_request_id": withdraws})

    @rule(
        order=st.sampled_from(ORDERS),
        request=st.none() | REQUESTS,
        ruling=st.sampled_from((("release", None), ("refund_full", None), ("refund_partial", 400))),
    )
    def rule_on(self, order: str, request: str | None, ruling: tuple[str, int | None]) -> None:
        request = request or self.stories[order].row.request_id or "r-1"
        data = {"request_id": request, "outcome": ruling[0], "refund_minor": ruling[1]}
        self.send(order, "ruling.issued", data)

    @rule(
        order=st.sampled_from(ORDERS),
        fact=st.sampled_from(
            (
                "gateway.accepted",
                "gateway.settled",
                "gateway.failed",
                "gateway.returned",
                "command.reissued",
            )
        ),
        n=st.integers(0, 3),
        retryable=st.booleans(),
        off=st.sampled_from((0, 0, 0, 1)),
    )
    def gateway(self, order: str, fact: str, n: int, retryable: bool, off: int) -> None:
        replay = self.stories[order].replay
        known = list(replay.orders[order].commands.values()) if order in replay.orders else []
        if not known:
            self.send(order, fact, {"command_id": "0" * 32})
            return
        command = known[n % len(known)]
        data: dict[str, Any] = {"command_id": command.command_id}
        if fact != "command.reissued":
            data |= {
                "amount_minor": max(1, command.amount_minor - off),
                "currency": command.currency,
            }
            data["retryable"] = retryable
        self.send(order, fact, data)

    @rule(
        order=st.sampled_from(ORDERS),
        evidence=st.sampled_from(("e-1", "e-2")),
        digest=st.sampled_from((SHA, "b" * 64)),
        party=PARTIES,
    )
    def show(self, order: str, evidence: str, digest: str, party: tuple[str, str]) -> None:
        data = {"evidence_id": evidence, "sha256": digest, "by": party[0], "party_id": party[1]}
        self.send(order, "evidence.submitted", data)

    @rule(order=st.sampled_from(ORDERS))
    def tick(self, order: str) -> None:
        self.send(order, "deadline.reached", {})

    @invariant()
    def settled_never_changes(self) -> None:
        for order, story in self.stories.items():
            row = story.row
            if row.status in SETTLED:
                figures = tuple(getattr(row, name) for name in FIGURES)
                assert self.settled.setdefault(order, figures) == figures
            else:
                assert order not in self.settled

    @invariant()
    def nothing_is_told_twice(self) -> None:
        assert set(self.told.values()) <= {1}


TestAnyOrderOfFacts = AnyOrderOfFacts.TestCase
TestAnyOrderOfFacts.settings = settings(max_examples=100, stateful_step_count=50)
