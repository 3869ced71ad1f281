"""RULES 4.6: a command ends once; a result never changes its order's status."""

from typing import Any, Final

import pytest

from escrow.state import Command
from tests.builders import T0, Story, an_order, given
from tests.unit.hashes import command_id

PAYOUT: Final = command_id("o-1", "payout", 1)
RESULTS: Final = ("gateway.accepted", "gateway.settled", "gateway.failed", "gateway.returned")
# state of the command -> how a released order gets there
PASTS: Final[dict[str, tuple[str, ...]]] = {
    "PENDING": (),
    "ACCEPTED": ("gateway.accepted",),
    "SETTLED": ("gateway.settled",),
    "FAILED": ("gateway.failed",),
    "RETURNED": ("gateway.settled", "gateway.returned"),
}
# (state, result) -> outcome, code, new state, alarms
TABLE: Final[dict[tuple[str, str], tuple[str, str | None, str, tuple[str, ...]]]] = {
    ("PENDING", "gateway.accepted"): ("applied", None, "ACCEPTED", ()),
    ("PENDING", "gateway.settled"): ("applied", None, "SETTLED", ()),
    ("PENDING", "gateway.failed"): ("applied", None, "FAILED", ("command_failed",)),
    ("PENDING", "gateway.returned"): ("applied", None, "RETURNED", ("command_returned",)),
    ("ACCEPTED", "gateway.accepted"): ("applied", None, "ACCEPTED", ()),
    ("ACCEPTED", "gateway.settled"): ("applied", None, "SETTLED", ()),
    ("ACCEPTED", "gateway.failed"): ("applied", None, "FAILED", ("command_failed",)),
    ("ACCEPTED", "gateway.returned"): ("applied", None, "RETURNED", ("command_returned",)),
    ("SETTLED", "gateway.accepted"): ("applied", None, "SETTLED", ()),
    ("SETTLED", "gateway.settled"): ("refused", "command_is_settled", "SETTLED", ()),
    ("SETTLED", "gateway.failed"): ("refused", "command_is_settled", "SETTLED", ()),
    ("SETTLED", "gateway.returned"): ("applied", None, "RETURNED", ("command_returned",)),
    ("FAILED", "gateway.accepted"): ("applied", None, "FAILED", ()),
    ("FAILED", "gateway.settled"): ("applied", None, "SETTLED", ()),
    ("FAILED", "gateway.failed"): ("refused", "command_is_failed", "FAILED", ()),
    ("FAILED", "gateway.returned"): ("applied", None, "RETURNED", ("command_returned",)),
    ("RETURNED", "gateway.accepted"): ("applied", None, "RETURNED", ()),
    ("RETURNED", "gateway.settled"): ("refused", "command_is_returned", "RETURNED", ()),
    ("RETURNED", "gateway.failed"): ("refused", "command_is_returned", "RETURNED", ()),
    ("RETURNED", "gateway.returned"): ("refused", "command_is_returned", "RETURNED", ()),
}


def payout_in(state: str) -> Story:
    story = an_order().released()
    for result in PASTS[state]:
        story.says(result, command_id=PAYOUT)
    assert the_command(story).state == state
    return story


def the_command(story: Story, command: str = PAYOUT) -> Command:
    return story.order.commands[command]


def test_the_table_is_whole() -> None:
    assert set(TABLE) == {(state, result) for state in PASTS for result in RESULTS}


@pytest.mark.parametrize(("state", "result"), TABLE)
def test_every_result_in_every_state_of_the_command(state: str, result: str) -> None:
    outcome, code, new_state, alarms = TABLE[state, result]
    story = payout_in(state)
    seen = given(story).when(result, command_id=PAYOUT)
    seen.then(outcome, code, status="RELEASED", paid_out_minor=1000, alarms=alarms)
    seen.sends()
    assert the_command(story).state == new_state


def test_an_alarm_names_its_command() -> None:
    for state, result, changes in (
        ("PENDING", "gateway.settled", {"amount_minor": 999}),
        ("PENDING", "gateway.failed", {}),
        ("SETTLED", "gateway.returned", {}),
    ):
        seen = given(payout_in(state)).when(result, command_id=PAYOUT, **changes)
        (alarm,) = seen.result.alarms
        assert alarm.detail == (("command_id", PAYOUT),)


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("past", ["held", "not_protected", "frozen", "released"])
def test_a_result_for_an_unknown_command_waits(result: str, past: str) -> None:
    given(getattr(an_order(), past)()).when(result, command_id="c-9").then(
        "parked", "awaiting_command"
    )
    given(an_order()).when(result, command_id=PAYOUT).then("parked", "awaiting_command")


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize("other", [{"amount_minor": 999}, {"currency": "USD"}])
@pytest.mark.parametrize("state", ["PENDING", "SETTLED", "RETURNED"])
def test_amount_and_currency_are_looked_at_before_the_state(
    result: str, other: dict[str, Any], state: str
) -> None:
    story = payout_in(state)
    given(story).when(result, command_id=PAYOUT, **other).then(
        "refused", "amount_mismatch", alarms=("gateway_mismatch",)
    )
    assert the_command(story).state == state


def test_a_retryable_failure_is_tried_again_up_to_the_fifth_attempt() -> None:
    story = an_order().released()
    for attempt in (2, 3, 4, 5):
        story.after(ms=1000)
        seen = given(story).when("gateway.failed", command_id=PAYOUT, retryable=True)
        seen.then("applied").sends(("payout", "settlement", 1000))
        again = the_command(story)
        assert (again.state, again.attempt, again.asked_at) == ("PENDING", attempt, story.t)
        assert (again.command_id, again.cause_id) == (PAYOUT, "o-1.2")
    given(story).when("gateway.failed", command_id=PAYOUT, retryable=True).then(
        "applied", alarms=("command_failed",)
    ).sends()
    assert (the_command(story).state, the_command(story).attempt) == ("FAILED", 5)


@pytest.mark.parametrize("retryable", [False, None, ...])
def test_a_failure_that_does_not_say_retryable_is_for_good(retryable: object) -> None:
    story = an_order().released()
    given(story).when("gateway.failed", command_id=PAYOUT, retryable=retryable).then(
        "applied", alarms=("command_failed",)
    ).sends()


def test_a_retry_after_accepted_is_pending_again() -> None:
    story = payout_in("ACCEPTED")
    given(story).when("gateway.failed", command_id=PAYOUT, retryable=True).then("applied")
    assert (the_command(story).state, the_command(story).attempt) == ("PENDING", 2)


def test_a_command_that_settles_after_its_reissue_raises_an_alarm_and_holds_the_reissue() -> None:
    story = payout_in("FAILED").says("command.reissued", command_id=PAYOUT)
    seen = given(story).when("gateway.settled", command_id=PAYOUT)
    seen.then("applied", alarms=("settled_after_reissue",))
    assert seen.result.holds == (the_command(story).reissue_id,)  # type: ignore[union-attr]
    assert the_command(story).state == "SETTLED"


@pytest.mark.parametrize(
    ("past", "kind"), [("not_protected", "refund"), ("held", "refund"), ("frozen", "refund")]
)
def test_results_count_whatever_the_order_status(past: str, kind: str) -> None:
    story = getattr(an_order(), past)()
    second = {"payment_id": "p-2", "method": "cash"}
    story.says("payment.captured", **second)
    status = story.row.status
    sent_back = story.command_id()
    given(story).when("gateway.settled", command_id=sent_back).then("applied", status=status)
    given(story).when("gateway.returned", command_id=sent_back).then(
        "applied", status=status, alarms=("command_returned",)
    )
    assert the_command(story, sent_back).kind == kind


def test_a_result_of_an_instant_long_ago_counts_all_the_same() -> None:
    given(an_order().released()).when("gateway.settled", command_id=PAYOUT, t=T0 - 10**9).then(
        "applied"
    )
