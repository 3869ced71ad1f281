"""RULES 4.7: a deadline is always applied, and acts only if its condition still holds."""

import pytest

from escrow.decision import Applied
from tests.builders import T0, Seen, Story, an_order, given

TEN_DAYS_MS = 864_000_000


def tick(story: Story, t: int, kind: str = "mediation_available") -> Seen:
    return given(story).when("deadline.reached", t=t, kind=kind)


def is_told(seen: Seen) -> bool:
    assert isinstance(seen.result, Applied)
    assert seen.result.escrow.status == seen.before.status
    return seen.result.mediation_available


@pytest.mark.parametrize(("ms", "told"), [(-1, False), (0, True), (1, True)])
def test_mediation_is_available_ten_days_after_the_first_request(ms: int, told: bool) -> None:
    seen = tick(an_order().disputed(), T0 + TEN_DAYS_MS + ms).then("applied", status="DISPUTED")
    assert is_told(seen) is told


@pytest.mark.parametrize(
    "past",
    ["held", "in_mediation", "frozen", "not_protected", "released", "refunded", "charged_back"],
)
def test_only_an_open_dispute_is_told_of(past: str) -> None:
    assert not is_told(tick(getattr(an_order(), past)(), T0 + 2 * TEN_DAYS_MS).then("applied"))


def test_a_withdrawn_request_is_not_told_of() -> None:
    story = an_order().disputed().says("refund.withdrawn")
    assert not is_told(tick(story, T0 + TEN_DAYS_MS).then("applied"))


@pytest.mark.parametrize("kind", ["mediation_available", "park_limit"])
def test_a_deadline_is_applied_where_there_is_no_escrow(kind: str) -> None:
    assert not is_told(tick(an_order(), T0, kind).then("applied", status=None))


def test_a_park_limit_tells_nothing_and_expires_what_its_time_is_up_for() -> None:
    story = an_order().waits("delivery.confirmed")
    seen = tick(story, T0 + 3 * TEN_DAYS_MS - 1, "park_limit").then("applied", parked=1)
    seen.followed_by()
    seen = tick(story, T0 + 3 * TEN_DAYS_MS, "park_limit").then("applied", parked=0)
    seen.followed_by(("delivery.confirmed", "dead_letter", "parked_too_long"))
    assert not is_told(seen)


def test_a_park_limit_never_says_that_mediation_is_available() -> None:
    assert not is_told(tick(an_order().disputed(), T0 + TEN_DAYS_MS, "park_limit").then("applied"))
