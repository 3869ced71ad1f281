"""RULES 3.2: a fact is known by its source and id, for ever."""

from typing import Final

from escrow.policy import DAY_MS
from tests.builders import T0, Story, a_fact, an_order, given
from tests.unit.hashes import command_id

PAYOUT: Final = command_id("o-1", "payout", 1)
THIRTY_DAYS_MS: Final = 2_592_000_000


def waiting_types(story: Story) -> list[tuple[str, str]]:
    return [(waiting.fact.type, waiting.code) for waiting in story.order.waiting]


def test_the_same_fact_again_is_a_duplicate_for_ever() -> None:
    story = an_order().held(id="x").released()
    before = story.row
    for t in (T0, T0 + 400 * DAY_MS):
        given(story).when("payment.captured", id="x", t=t).then("duplicate")
    assert story.row == before


def test_another_fact_of_the_same_identity_is_a_conflict() -> None:
    story = an_order().held(id="x")
    given(story).when("payment.captured", id="x", amount_minor=999).then(
        "dead_letter", "id_conflict"
    )
    given(story).when("delivery.confirmed", id="x").then("dead_letter", "id_conflict")
    given(an_order("o-2", beside=story)).when("payment.captured", id="x").then(
        "dead_letter", "id_conflict"
    )
    given(story).when("supplier.reported", id="x").then("dead_letter", "id_conflict")


def test_two_sources_may_use_one_id() -> None:
    story = an_order().held(id="x")
    theirs = a_fact("delivery.confirmed", id="x")._replace(source="/another-shop")
    steps = story.replay.take(theirs)
    assert not isinstance(steps, str)
    assert story.row.status == "RELEASED"
    assert story.replay.take(theirs) == "duplicate"


def test_a_free_text_belongs_to_the_identity() -> None:
    story = an_order().held().says("refund.requested", id="x", note="late")
    given(story).when("refund.requested", id="x", note="late").then("duplicate")
    given(story).when("refund.requested", id="x", note="too late").then(
        "dead_letter", "id_conflict"
    )
    given(story).when("refund.requested", id="x").then("dead_letter", "id_conflict")


def test_null_is_the_same_as_absent() -> None:
    story = an_order().held(id="x", order=None)
    given(story).when("payment.captured", id="x").then("duplicate")


def test_refused_and_parked_facts_leave_their_identity() -> None:
    story = an_order().waits("refund.withdrawn", id="w").held()
    given(story).when("refund.withdrawn", id="w").then("duplicate")
    given(story).when("mediation.requested", id="y").then("refused", "no_open_request")
    given(story).when("mediation.requested", id="y").then("duplicate")


def test_an_expired_fact_keeps_its_identity() -> None:
    story = an_order().waits("refund.withdrawn", id="w").after(ms=THIRTY_DAYS_MS)
    seen = given(story).when("payment.captured").then("applied")
    seen.followed_by(("refund.withdrawn", "dead_letter", "parked_too_long"))
    given(story).when("refund.withdrawn", id="w").then("duplicate")
