"""What happens to a fact past the door, RULES 3.2 to 3.4: identity, expiry, the ladder of checks, waking.

`World.arrive` is the only way in; every line's final outcome is in `World.answers`.
"""

from collections.abc import Callable

from tests.model import policy, rules_commands, rules_payments, rules_requests
from tests.model.door import Fact
from tests.model.state import (
    APPLIED,
    IN_DISPUTE,
    Answer,
    Order,
    Parked,
    dead,
    parked,
    refused,
    text,
)
from tests.model.strict_json import Json
from tests.model.telling import Before, Told, tell

EVIDENCE = "evidence.submitted"
RULING = "ruling.issued"
CAPTURE = "payment.captured"
PAYMENTS = {CAPTURE, "payment.charged_back", "payment.chargeback_closed"}

Rule = Callable[[Order, Fact], Answer]
RULES: dict[str, Rule] = {
    "payment.charged_back": rules_payments.charged_back,
    "payment.chargeback_closed": rules_payments.chargeback_closed,
    "delivery.confirmed": rules_requests.delivery_confirmed,
    "refund.requested": rules_requests.requested,
    "refund.offered": rules_requests.offered,
    "refund.offer_accepted": rules_requests.offer_answered,
    "refund.offer_declined": rules_requests.offer_answered,
    "refund.withdrawn": rules_requests.withdrawn,
    EVIDENCE: rules_requests.evidence,
    "mediation.requested": rules_requests.mediation_requested,
}


class World:
    """All orders, and what is global over orders: identities and payment ids."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.identities: dict[tuple[str, str], tuple[str, dict[str, Json]]] = {}
        self.payments: dict[str, str] = {}  # payment_id of an applied capture -> order_id
        self.answers: dict[int, Answer] = {}
        self.cells: set[tuple[str, str]] = set()  # (status, type) a rule ladder was asked for
        self.told: list[list[Told]] = []  # of each fact past the door, all it caused to be sent
        self.notes: set[str] = set()  # what coverage wants to know: alarms, statuses, proofs

    def arrive(self, line: int, fact: Fact) -> None:
        self.told.append([])
        self.answers[line] = self._answer(line, fact)

    def _answer(self, line: int, fact: Fact) -> Answer:
        # 3.2 Identity
        known = self.identities.get((fact.source, fact.id))
        if known is not None:
            is_same = known == (fact.type, fact.data)
            return Answer("duplicate") if is_same else dead("id_conflict")
        if fact.order_id is None:  # 3.3 check 0: supplier.reported
            self.identities[fact.source, fact.id] = (fact.type, fact.data)
            return APPLIED
        order = self.orders.setdefault(fact.order_id, Order(fact.order_id))
        self._expire(order, fact.t)
        answer = self._try(order, fact)
        if answer.outcome == "parked" and len(order.parked) >= policy.PARKED_PER_ORDER_MAX:
            return dead("parking_full")
        self.identities[fact.source, fact.id] = (fact.type, fact.data)
        if answer.outcome == "parked":
            assert answer.code is not None
            order.parked.append(Parked(line, fact, answer.code))
        if answer.outcome == "applied":
            self._carriers_proof(order, fact)
            self._wake(order)
        return answer

    def _expire(self, order: Order, t: int) -> None:
        """3.3: parked facts whose time is over at `t`; a parked ruling never expires."""
        for waiting in list(order.parked):
            if waiting.fact.type != RULING and waiting.fact.t + policy.PARK_LIMIT <= t:
                order.parked.remove(waiting)
                self.answers[waiting.line] = dead("parked_too_long")
                self.notes.add(f"expired {waiting.code}")

    def _carriers_proof(self, order: Order, fact: Fact) -> None:
        """3.4: everything sent is proven lost, and the buyer has asked for it; cause is `fact`."""
        before = Before.of(order)
        if (
            order.status in IN_DISPUTE
            and order.request is not None
            and order.request.reason == "not_arrived"
            and order.shipments
            and all(s in {"lost", "returned:undeliverable"} for s in order.shipments.values())
        ):
            self.notes.add(f"carrier's proof {order.status}")
            rules_commands.settle(order, order.available, "carrier")
            self.told[-1] += tell(order, fact, before, Answer("proof"))

    def _wake(self, order: Order) -> None:
        """3.4: pass after pass, until a pass applies none."""
        passes = 0
        is_fruitful = True
        while is_fruitful:
            is_fruitful = False
            for waiting in list(order.parked):
                answer = self._try(order, waiting.fact)
                self.answers[waiting.line] = answer
                if answer.outcome == "parked":
                    assert answer.code is not None
                    if waiting.code != answer.code:
                        self.notes.add(f"waits on: {waiting.code} -> {answer.code}")
                    waiting.code = answer.code
                    continue
                order.parked.remove(waiting)
                self.notes.add(f"woken {waiting.code} {answer.outcome}")
                if answer.outcome == "applied":
                    is_fruitful = True
                    self._carriers_proof(order, waiting.fact)
            passes += is_fruitful
        self.notes.add(f"waking passes {passes}")

    def _try(self, order: Order, fact: Fact) -> Answer:
        self.cells.add((order.status or "none", fact.type))
        before = Before.of(order)
        answer = self._ladder(order, fact)
        self.told[-1] += tell(order, fact, before, answer)
        self.notes.update(f"alarm {alarm}" for alarm in order.alarms)
        self.notes.update(order.notes)
        self.notes.add(f"{fact.type} {answer.outcome} {answer.code}")
        check_money(order)
        return answer

    def _ladder(self, order: Order, fact: Fact) -> Answer:
        """3.3: the order of checks."""
        # 0. whatever the order's status
        if fact.type.startswith("gateway."):
            return rules_commands.gateway_result(order, fact)
        if fact.type == "command.reissued":
            return rules_commands.reissued(order, fact)
        if fact.type == "deadline.reached":
            return APPLIED  # 4.7: publishes at most; the parked facts have expired on arrival
        # 1. no escrow row
        if fact.type == CAPTURE:
            return rules_payments.captured(order, fact, self.payments)
        if order.status is None:
            return parked("awaiting_payment")
        is_shipment = fact.type.startswith("shipment.")
        # 2. NOT_PROTECTED
        if (
            order.status == "NOT_PROTECTED"
            and not is_shipment
            and fact.type not in PAYMENTS | {EVIDENCE}
        ):
            return refused("not_protected")
        if fact.type == RULING:  # 4.5 instead of steps 3 to 6
            return rules_requests.ruling(order, fact)
        # 3. to 6.
        stop = common_checks(order, fact, is_shipment=is_shipment)
        if stop is not None:
            return stop
        # 7. the type's own rule
        if is_shipment:
            return rules_requests.shipment(order, fact)
        return RULES[fact.type](order, fact)


def common_checks(order: Order, fact: Fact, *, is_shipment: bool) -> Answer | None:
    """3.3, checks 3 to 6, for everything but captures and rulings."""
    # 3. the parties
    if "buyer_id" in fact.data and fact.data["buyer_id"] != order.buyer_id:
        return refused("wrong_party")
    if "by" in fact.data:
        party = order.buyer_or_supplier[text(fact, "by")]
        if fact.data["party_id"] != party:
            return refused("wrong_party")
    # 4. the currency
    if (
        "currency" in fact.data
        and fact.type not in {"shipment.customs_charged", "payment.charged_back"}
        and fact.data["currency"] != order.currency
    ):
        return refused("currency_mismatch")
    is_exempt = is_shipment or fact.type in PAYMENTS | {EVIDENCE}
    # 5. settled
    if order.is_settled and not is_exempt:
        return refused("already_settled")
    # 6. FROZEN
    if order.status == "FROZEN" and not is_exempt:
        return refused("frozen")
    return None


def check_money(order: Order) -> None:
    """RULES 1: the invariant, after every try."""
    parts = order.held, order.refunded, order.paid_out, order.charged_back
    assert order.captured == sum(parts)
    assert min(parts) >= 0
    assert order.held == (0 if order.is_settled else order.available)
    assert 0 <= order.supplier_debt <= order.paid_out
