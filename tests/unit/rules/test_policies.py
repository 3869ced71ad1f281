"""RULES 4.9 as data: which version decides what, and that a version never changes."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from escrow.policy import (
    CURRENT,
    DAY_MS,
    POLICIES,
    Policy,
    WrongPolicy,
    instead,
    learn,
    policy_at,
    policy_of,
)
from escrow.policy_text import canonical, duration, file_of, read_policies, read_policy, written
from schemas.deadlines import SWITCHED_ON
from tests.builders import T0, an_order, given

LATER = CURRENT._replace(
    version=2,
    effective_at=T0 + DAY_MS,
    methods=frozenset({"visa", "ideal"}),
    mediation_after_ms=14 * DAY_MS,
    park_limit_ms=5 * DAY_MS,
    parked_per_order_max=2,
    max_attempts=2,
    command_valid_for_ms=DAY_MS // 2,
)


@pytest.fixture(autouse=True)
def two_versions() -> Iterator[None]:
    with instead((CURRENT, LATER)):
        yield


def test_a_version_is_in_force_from_its_first_millisecond_on() -> None:
    assert policy_at(LATER.effective_at - 1) is CURRENT
    assert policy_at(LATER.effective_at) is LATER
    assert policy_of(None, LATER.effective_at) is LATER
    assert policy_of(1, LATER.effective_at) is CURRENT


def test_an_order_keeps_the_version_that_was_in_force_when_its_money_was_held() -> None:
    story = an_order().held().after(days=30)
    given(story).when("refund.requested").then("applied", policy_version=1)
    given(story).when("mediation.requested", t=story.t + 10 * DAY_MS).then("applied")
    later = an_order("o-2").after(days=1).disputed()
    assert later.row.policy_version == 2
    given(later).when("mediation.requested", t=later.t + 14 * DAY_MS - 1).then(
        "refused", "too_early"
    )
    given(later).when("mediation.requested", t=later.t + 14 * DAY_MS).then("applied")


@pytest.mark.parametrize(
    ("method", "before", "after"),
    [("ideal", "NOT_PROTECTED", "HELD"), ("mastercard", "HELD", "NOT_PROTECTED")],
)
def test_methods_are_those_of_the_capture_s_own_time(method: str, before: str, after: str) -> None:
    assert an_order().held(method=method).row.status == before
    assert an_order("o-2").after(days=1).held(method=method).row.status == after


def test_attempts_and_validity_are_those_of_the_pinned_version() -> None:
    for days, attempts in ((0, 5), (1, 2)):
        story = an_order().after(days=days).released()
        failed = {"command_id": story.command_id(), "retryable": True}
        for _ in range(attempts - 1):
            seen = given(story).when("gateway.failed", **failed).then("applied")
            assert story.order.commands[story.command_id()].state == "PENDING"
            seen.sends(("payout", "settlement", 1000))
        given(story).when("gateway.failed", **failed).then("applied", alarms=("command_failed",))


def test_how_long_a_fact_waits_is_decided_by_the_version_of_its_own_time() -> None:
    early = an_order().waits("delivery.confirmed").after(days=30)
    seen = given(early).when("deadline.reached", kind="park_limit")
    seen.followed_by(("delivery.confirmed", "dead_letter", "parked_too_long"))
    late = an_order("o-2").after(days=1).waits("delivery.confirmed").after(days=5)
    seen = given(late).when("deadline.reached", kind="park_limit")
    seen.followed_by(("delivery.confirmed", "dead_letter", "parked_too_long"))


def test_how_many_facts_may_wait_is_decided_by_the_version_of_the_last_one_s_time() -> None:
    story = an_order().after(days=1)
    for n in range(2):
        story.waits("shipment.lost", shipment_id=f"sh-{n}")
    given(story).when("shipment.lost", shipment_id="sh-9").then("dead_letter", "parking_full")
    given(story).when("shipment.lost", shipment_id="sh-9", t=T0).then("parked", "awaiting_payment")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (LATER._replace(methods=frozenset({"visa"})), "version 2 is known with another content"),
        (CURRENT._replace(max_attempts=6), "version 1 is known with another content"),
        (LATER._replace(auto_confirm_after_ms=1), "version 2 is known with another content"),
        (LATER._replace(version=3), "version 3 must take effect after version 2"),  # at one instant
        (LATER._replace(version=4, effective_at=1), "version 4 must take effect after version 2"),
    ],
)
def test_a_version_never_changes_and_a_later_one_takes_effect_later(
    wrong: Policy, says: str
) -> None:
    with pytest.raises(WrongPolicy) as caught:
        learn([LATER, wrong])
    assert str(caught.value) == says
    assert {1: CURRENT, 2: LATER} == POLICIES


def test_what_is_learnt_is_known_at_once_and_again_is_no_news() -> None:
    third = LATER._replace(version=3, effective_at=LATER.effective_at + 1)
    learn([third, LATER, CURRENT])
    learn([third])
    assert policy_at(third.effective_at) is third
    assert policy_at(-1) is CURRENT


def test_what_was_so_for_a_while_is_forgotten() -> None:
    with instead((CURRENT,)):
        assert {1: CURRENT} == POLICIES
        assert policy_at(LATER.effective_at) is CURRENT
    assert {1: CURRENT, 2: LATER} == POLICIES


def test_a_switch_that_no_version_turns_on_makes_no_kind_of_deadline() -> None:
    assert set() == SWITCHED_ON
    with instead((CURRENT, LATER._replace(auto_confirm_after_ms=1))):
        assert {"auto_confirm"} == SWITCHED_ON
    with instead((CURRENT._replace(supplier_silence_ms=1),)):
        assert {"supplier_silence"} == SWITCHED_ON
    assert set() == SWITCHED_ON


def test_a_version_is_written_whole_and_read_back() -> None:
    assert written(CURRENT) == {
        "version": 1,
        "effective_at": "1970-01-01T00:00:00.000Z",
        "methods": ["mastercard", "visa"],
        "mediation_after": "10 d",
        "park_limit": "30 d",
        "parked_per_order_max": 1000,
        "max_attempts": 5,
        "gateway_patience": "15 min",
        "command_valid_for": "1 d",
        "auto_confirm_after": "off",
        "supplier_silence": "off",
    }
    assert read_policies(file_of([CURRENT, LATER])) == [CURRENT, LATER]
    assert file_of([CURRENT]).startswith('{\n  "policies": [\n    {\n      "version": 1,\n')
    assert canonical(CURRENT) == json.dumps(written(CURRENT)).replace(", ", ",").replace(": ", ":")


@for_all(
    st.builds(
        Policy,
        st.integers(1, 1_000_000),
        st.frozensets(st.from_regex(r"[a-z0-9_]{1,32}", fullmatch=True), min_size=1, max_size=5),
        *[st.integers(1, 10**9)] * 2,
        *[st.integers(1, 1_000_000)] * 2,
        *[st.integers(1, 10**9)] * 2,
        st.integers(0, 253_402_300_799_999),
        *[st.none() | st.integers(1, 10**9)] * 2,
    )
)
def test_any_version_comes_back_from_its_text(policy: Policy) -> None:
    assert read_policy(canonical(policy)) == policy


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("version", 0, "greater than or equal to 1"),
        ("version", "2", "valid integer"),
        ("effective_at", "2027-01-01T00:00:00", "offset"),
        ("effective_at", "soon", "offset"),
        ("effective_at", 5, "offset"),
        ("effective_at", "1969-12-31T00:00:00Z", "greater than or equal to 0"),
        ("methods", [], "small letters"),
        ("methods", ["Visa"], "small letters"),
        ("mediation_after", 10, "a number and a unit"),
        ("mediation_after", "10d", "a number and a unit"),
        ("mediation_after", "0 d", "a number and a unit"),
        ("mediation_after", "36501 d", "a number and a unit"),
        ("mediation_after", "off", "a number and a unit"),
        ("max_attempts", 0, "greater than or equal to 1"),
        ("max_attempts", True, "valid integer"),
        ("auto_confirm_after", None, "a number and a unit"),
        ("auto_confirm", "14 d", "not permitted"),
        ("supplier_silence", ..., "required"),
    ],
)
def test_a_file_that_leaves_anything_open_is_refused(field: str, value: object, says: str) -> None:
    version = written(LATER) | {field: value}
    text = json.dumps({"policies": [{n: v for n, v in version.items() if v is not ...}]})
    with pytest.raises(WrongPolicy, match=f"policies.0.{field}.*{says}"):
        read_policies(text)


OFFSET = "an instant needs its offset, such as Z"
INSTANT = "write an instant with its offset, such as 2027-01-01T00:00:00Z"
DURATION = "write a number and a unit (ms, s, min, h, d), such as `10 d`"


def test_what_is_wrong_is_said_in_a_line_each_with_its_place() -> None:
    first = written(LATER) | {"effective_at": "soon", "methods": ["Visa"]}
    second = written(LATER) | {"effective_at": "2027-01-01T00:00:00", "park_limit": "30 days"}
    with pytest.raises(WrongPolicy) as caught:
        read_policies(json.dumps({"policies": [first, second]}))
    assert str(caught.value).split("\n") == [
        f"policies.0.effective_at: {INSTANT}",
        "policies.0.methods: name methods in small letters, digits and _",
        f"policies.1.effective_at: {OFFSET}",
        f"policies.1.park_limit: {DURATION}",
    ]


def test_nothing_lasts_longer_than_a_hundred_years() -> None:
    longest = written(LATER) | {"park_limit": "36500 d"}
    assert read_policy(json.dumps(longest)).park_limit_ms == 36_500 * DAY_MS
    with pytest.raises(WrongPolicy, match=r"^policies\.0\.park_limit"):
        read_policies(json.dumps({"policies": [longest | {"park_limit": "3153600001 s"}]}))


def test_a_file_without_a_version_is_none() -> None:
    for text in ("", "[]", "{}", '{"policies": []}'):
        with pytest.raises(WrongPolicy):
            read_policies(text)
    with pytest.raises(WrongPolicy, match=r"^file: Invalid JSON"):
        read_policies("no version")


def test_durations_are_said_in_the_largest_unit_that_is_exact() -> None:
    said = {1: "1 ms", 1_000: "1 s", 90_000: "90 s", 3_600_000: "1 h", 36 * 3_600_000: "36 h"}
    assert {ms: duration(ms) for ms in said} == said
    assert duration(None) == "off"
