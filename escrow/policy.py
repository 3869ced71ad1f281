"""Every number of the policy stands here once, with its source; a version never changes.

An order is decided by the version that was in force when its money was held; what has no such order,
and how long a fact may wait, by the version in force at that fact's own time. Version 1 ships with the
program; later ones are data (docs/policy.md), and a process learns them before it decides.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Final, NamedTuple

from schemas.deadlines import SWITCHED_ON

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


class Policy(NamedTuple):
    """RULES 4.9. Times in milliseconds; a switch that is None is off."""

    version: int
    methods: frozenset[str]  # P8: "more soon"
    mediation_after_ms: int  # P5: ten days after the initial refund request
    park_limit_ms: int
    parked_per_order_max: int
    max_attempts: int  # sends of one command, the first included
    gateway_patience_ms: int  # without an answer for longer, a command is silent
    command_valid_for_ms: int
    effective_at: int = 0  # ms UTC: facts from this t on
    auto_confirm_after_ms: int | None = None  # the buyer's silence after delivery is a confirmation
    supplier_silence_ms: int | None = None  # the supplier's silence to an offer is its acceptance


POLICIES: Final[dict[int, Policy]] = {
    1: Policy(
        version=1,
        methods=frozenset({"visa", "mastercard"}),
        mediation_after_ms=10 * DAY_MS,
        park_limit_ms=30 * DAY_MS,
        parked_per_order_max=1_000,
        max_attempts=5,
        gateway_patience_ms=15 * MINUTE_MS,
        command_valid_for_ms=24 * HOUR_MS,
    ),
}
CURRENT: Final = POLICIES[1]  # what ships; a database may know later ones

_latest_first: Final[list[Policy]] = [CURRENT]


class WrongPolicy(Exception):
    """A version that cannot be one beside those that are known; the text says why."""


def policy_at(t: int) -> Policy:
    """The version in force at `t`, ms UTC."""
    for policy in _latest_first:
        if policy.effective_at <= t:
            return policy
    return CURRENT


def policy_of(version: int | None, t: int) -> Policy:
    """The pinned version, or the one in force at `t` where none is pinned yet."""
    return policy_at(t) if version is None else POLICIES[version]


def learn(policies: Iterable[Policy]) -> None:
    """Know these versions, too, from now on; all of them, or none. Raises WrongPolicy."""
    known = dict(POLICIES)
    for policy in sorted(policies, key=lambda policy: policy.version):
        if known.setdefault(policy.version, policy) != policy:
            raise WrongPolicy(f"version {policy.version} is known with another content")
    _know(known)


@contextmanager
def instead(policies: Iterable[Policy]) -> Iterator[None]:
    """For a while, these are all the versions there are: what would be, if they had been."""
    before = dict(POLICIES)
    try:
        _know({policy.version: policy for policy in policies})
        yield
    finally:
        _know(before)


def _know(known: dict[int, Policy]) -> None:
    in_order = [known[version] for version in sorted(known)]
    for earlier, later in pairwise(in_order):
        if later.effective_at <= earlier.effective_at:
            raise WrongPolicy(
                f"version {later.version} must take effect after version {earlier.version}"
            )
    POLICIES.clear()
    POLICIES.update(known)
    _latest_first[:] = reversed(in_order)
    SWITCHED_ON.clear()
    if any(policy.auto_confirm_after_ms is not None for policy in in_order):
        SWITCHED_ON.add("auto_confirm")
    if any(policy.supplier_silence_ms is not None for policy in in_order):
        SWITCHED_ON.add("supplier_silence")
