"""RULES 4.6 `command.reissued`: once, for a failed or returned command, under a new id."""

from typing import Final

import pytest

from tests.builders import T0, an_order, given
from tests.unit.hashes import command_id, reissue_id

PAYOUT: Final = command_id("o-1", "payout", 1)


@pytest.mark.parametrize("past", ["failed", "returned"])
def test_a_reissue_is_a_new_command_for_the_same_money(past: str) -> None:
    story = getattr(an_order(), past)()
    old = story.order.commands[PAYOUT]
    seen = given(story).when("command.reissued", command_id=PAYOUT, t=T0 + 7, id="again")
    seen.then("applied", status="RELEASED", payout_commands=1).sends(("payout", "reissue", 1000))
    seen.moves()
    new = story.order.commands[reissue_id(PAYOUT)]
    assert new[3:7] == old[3:7], "payment, party, amount, currency"
    assert (new.kind, new.decided_by) == ("payout", "buyer")
    assert (new.cause_source, new.cause_id, new.asked_at) == ("/shop", "again", T0 + 7)
    assert (new.state, new.attempt, new.failures) == ("PENDING", 1, 0)
    assert story.order.commands[PAYOUT] == old._replace(reissue_id=new.command_id)


@pytest.mark.parametrize("result", [None, "gateway.accepted", "gateway.settled"])
def test_only_a_failed_or_returned_command_can_be_reissued(result: str | None) -> None:
    story = an_order().released()
    if result is not None:
        story.says(result, command_id=PAYOUT)
    given(story).when("command.reissued", command_id=PAYOUT).then("refused", "command_not_final")


def test_a_command_is_reissued_once() -> None:
    story = an_order().failed().says("command.reissued", command_id=PAYOUT)
    given(story).when("command.reissued", command_id=PAYOUT, reissue_id="ri-2").then(
        "refused", "command_is_reissued"
    )


def test_of_a_reissued_command_that_settled_the_state_is_looked_at_first() -> None:
    story = an_order().failed().says("command.reissued", command_id=PAYOUT)
    story.says("gateway.settled", command_id=PAYOUT)
    given(story).when("command.reissued", command_id=PAYOUT).then("refused", "command_not_final")


def test_a_failed_reissue_may_itself_be_reissued() -> None:
    story = an_order().failed().says("command.reissued", command_id=PAYOUT)
    first = reissue_id(PAYOUT)
    story.says("gateway.failed", command_id=first)
    given(story).when("command.reissued", command_id=first).then("applied")
    assert reissue_id(first) in story.order.commands


def test_a_reissue_does_not_count_in_n() -> None:
    story = an_order().refunded()
    refund = command_id("o-1", "refund", 1)
    story.says("gateway.failed", command_id=refund).says("command.reissued", command_id=refund)
    given(story).when("payment.captured", payment_id="p-2").then("applied", refund_commands=2)
    assert command_id("o-1", "refund", 2) in story.order.commands


@pytest.mark.parametrize("past", ["held", "not_protected", "released"])
def test_a_reissue_of_an_unknown_command_waits(past: str) -> None:
    given(getattr(an_order(), past)()).when("command.reissued", command_id="c-9").then(
        "parked", "awaiting_command"
    )


def test_a_reissue_waits_even_where_nothing_is_known_of_the_order() -> None:
    given(an_order()).when("command.reissued", command_id=PAYOUT).then("parked", "awaiting_command")
