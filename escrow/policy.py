"""Every number of the policy stands here once, with its source; a version never changes.

An order is decided by the version that was current when its money was held.
"""

from typing import Final, NamedTuple

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS


class Policy(NamedTuple):
    """RULES 4.9. Times in milliseconds."""

    version: int
    methods: frozenset[str]  # P8: "more soon"
    mediation_after_ms: int  # P5: ten days after the initial refund request
    park_limit_ms: int
    parked_per_order_max: int
    max_attempts: int  # sends of one command, the first included
    gateway_patience_ms: int  # without an answer for longer, a command is silent
    command_valid_for_ms: int


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
CURRENT: Final = POLICIES[1]


def policy_of(version: int | None) -> Policy:
    """The pinned version, or the current one where none is pinned yet."""
    return CURRENT if version is None else POLICIES[version]
