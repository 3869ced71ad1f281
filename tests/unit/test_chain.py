"""Every decision takes its order's next number, and moves the head of its hash chain."""

from hashlib import sha256
from typing import Any, Final

from escrow.arrival import Decided
from escrow.policy import CURRENT
from tests.builders import T0, Story, an_order, given
from tests.unit.hashes import command_id

PAYOUT: Final = command_id("o-1", "payout", 1)
THIRTY_DAYS_MS: Final = 2_592_000_000


def waiting_types(story: Story) -> list[tuple[str, str]]:
    return [(waiting.fact.type, waiting.code) for waiting in story.order.waiting]


def crowded() -> Story:
    story = an_order()
    for n in range(CURRENT.parked_per_order_max):
        _, steps = story.send("gateway.accepted", command_id=f"c-{n}")
        assert not isinstance(steps, str)
    assert story.row.parked == 1000
    return story


def decisions(seen: Any) -> list[Decided]:
    return [step for step in seen.steps if isinstance(step, Decided)]


def test_every_decision_takes_the_next_number_and_a_woken_one_says_where_it_waited() -> None:
    story = an_order().waits("delivery.confirmed").waits("ruling.issued")
    seen = given(story).when("payment.captured").then("applied", decision_no=5)
    assert [(d.no, d.step, d.parked_no) for d in decisions(seen)] == [
        (3, "arrival", None),
        (4, "waking", 1),
        (5, "waking", 2),
    ]


def test_an_expired_fact_takes_a_number_before_the_newcomer() -> None:
    story = an_order().waits("delivery.confirmed").after(ms=THIRTY_DAYS_MS)
    seen = given(story).when("payment.captured").then("applied", decision_no=3)
    assert [(d.no, d.step, d.parked_no) for d in decisions(seen)] == [
        (2, "expiry", 1),
        (3, "arrival", None),
    ]


def test_a_full_parking_takes_no_number() -> None:
    story = crowded()
    seen = given(story).when("delivery.confirmed").then("dead_letter", "parking_full")
    assert (seen.decided.no, seen.decided.result) == (0, None)


def test_each_link_is_the_hash_of_the_one_before_and_of_what_was_decided() -> None:
    story = an_order().waits("delivery.confirmed").waits("gateway.settled", t=T0 - THIRTY_DAYS_MS)
    head, outcomes = story.row.chain_head, set()
    for fact in ("payment.captured", "payment.captured", "shipment.lost"):
        for step in decisions(given(story).when(fact)):
            outcomes.add(step.outcome)
            said = f"{step.no}\n/shop\n{step.fact.id}\n{step.fact.t}\n{step.outcome}\n{step.code or ''}\n"
            head = sha256(head + step.fact.digest + said.encode()).digest()
            assert step.escrow.chain_head == head
            assert {change.escrow.chain_head for change in step.changes} <= {head}
            assert {change.escrow.decision_no for change in step.changes} <= {step.no}
    assert (story.row.chain_head, story.row.decision_no) == (head, 7)
    assert outcomes == {"applied", "refused", "dead_letter"}


def test_the_first_link_starts_from_nothing() -> None:
    seen = (
        given(an_order()).when("delivery.confirmed", id="first").then("parked", "awaiting_payment")
    )
    said = f"1\n/shop\nfirst\n{T0}\nparked\nawaiting_payment\n"
    assert seen.story.row.chain_head == sha256(seen.fact.digest + said.encode()).digest()
