"""What the last four digits of an amount make the simulated gateway do, like test cards.

Every other amount settles at once. A reissue is never tricked: a person has looked at it by then,
so that what failed or came back can end well.
"""

from typing import Final, Literal, NamedTuple

Name = Literal[
    "settles",
    "fails_then_settles",
    "fails_every_time",
    "fails_for_good",
    "silent_before",
    "silent_after",
    "answers_twice",
    "contradicts_itself",
    "late",
    "out_of_order",
    "wrong_amount",
    "comes_back",
]
When = Literal["now", "later", "asked"]
AnswerType = Literal["gateway.accepted", "gateway.settled", "gateway.failed", "gateway.returned"]


class Trick(NamedTuple):
    """`failures`: how many tries fail first, where the trick is about that."""

    name: Name
    failures: int = 0


class Saying(NamedTuple):
    """One answer: what, when, and how it differs from a plain one.

    `asked`: only when asked for the status, or later. `variant` makes its id another one.
    """

    type: AnswerType
    when: When = "now"
    reason_code: str | None = None
    retryable: bool | None = None
    is_wrong: bool = False
    variant: str = ""


class Plan(NamedTuple):
    """What one try of a command does: whether money moves, and what is said in which order.

    `truth` is the index of the answer that a later question gets.
    """

    effect: bool
    sayings: tuple[Saying, ...]
    truth: int = -1


SETTLES: Final = Trick("settles")
DIGITS: Final = 10_000
MAGIC: Final = range(9_900, 10_000)  # reserved: traffic keeps away from all of them

TRICKS: Final[dict[int, Trick]] = {
    9901: Trick("fails_then_settles", 1),
    9902: Trick("fails_then_settles", 2),
    9903: Trick("fails_then_settles", 3),
    9904: Trick("fails_then_settles", 4),
    9905: Trick("fails_every_time"),
    9910: Trick("fails_for_good"),
    9920: Trick("silent_before", 1),
    9921: Trick("silent_after"),
    9930: Trick("answers_twice"),
    9931: Trick("contradicts_itself"),
    9932: Trick("late"),
    9933: Trick("out_of_order"),
    9940: Trick("wrong_amount"),
    9950: Trick("comes_back"),
}

_SETTLED: Final = Saying("gateway.settled")
_TRY_AGAIN: Final = Saying("gateway.failed", reason_code="try_again", retryable=True)
_PLANS: Final[dict[Name, Plan]] = {
    "settles": Plan(effect=True, sayings=(_SETTLED,)),
    "fails_then_settles": Plan(effect=False, sayings=(_TRY_AGAIN,)),
    "fails_every_time": Plan(effect=False, sayings=(_TRY_AGAIN,)),
    "fails_for_good": Plan(
        effect=False,
        sayings=(Saying("gateway.failed", reason_code="account_closed", retryable=False),),
    ),
    "silent_before": Plan(
        effect=False,
        sayings=(Saying("gateway.failed", "asked", reason_code="timed_out", retryable=True),),
    ),
    "silent_after": Plan(effect=True, sayings=(Saying("gateway.settled", "asked"),)),
    "answers_twice": Plan(effect=True, sayings=(_SETTLED, _SETTLED)),
    "contradicts_itself": Plan(
        effect=True,
        sayings=(
            _SETTLED,
            Saying("gateway.settled", variant="again"),
            Saying("gateway.failed", "later", "timed_out", retryable=True, variant="contradiction"),
        ),
        truth=0,
    ),
    "late": Plan(
        effect=True, sayings=(Saying("gateway.accepted"), Saying("gateway.settled", "later"))
    ),
    "out_of_order": Plan(
        effect=True, sayings=(_SETTLED, Saying("gateway.accepted", "later")), truth=0
    ),
    "wrong_amount": Plan(
        effect=True,
        sayings=(
            Saying("gateway.settled", is_wrong=True, variant="wrong"),
            Saying("gateway.settled", "later"),
        ),
    ),
    "comes_back": Plan(
        effect=True,
        sayings=(_SETTLED, Saying("gateway.returned", "later", reason_code="account_closed")),
    ),
}


def is_magic(amount_minor: int) -> bool:
    """True for every amount that is reserved, whether it does anything yet or not."""
    return amount_minor % DIGITS in MAGIC


def trick_of(amount_minor: int, purpose: str) -> Trick:
    """What this amount asks for; see docs/gateway-simulator.md."""
    if purpose == "reissue":
        return SETTLES
    return TRICKS.get(amount_minor % DIGITS, SETTLES)


def plan_of(trick: Trick, failures: int) -> Plan:
    """What a try does that follows on so many failed ones."""
    if trick.failures and failures >= trick.failures:
        return _PLANS["settles"]
    return _PLANS[trick.name]
