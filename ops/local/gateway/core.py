"""What the simulator does with a command: at most one effect for each `command_id`, ever.

Pure: what is known and what was read go in; what is known then, an effect and answers come out. A
command is tried again only if the last answer was `failed` and a higher attempt arrives (RULES 4.6).
"""

from typing import Final, Literal, NamedTuple

from ops.local.gateway.tricks import AnswerType, Saying, plan_of, trick_of
from schemas.commands import Kind, PaymentCommand

ANSWER_MS: Final = 5  # record time from a command to its answer
LATER_MS: Final = 1_000  # and to one that comes later
EXPIRED: Final = Saying("gateway.failed", reason_code="not_after_passed", retryable=False)

Does = Literal["pays", "fails", "repeats", "tells", "unknown", "conflict", "unreadable", "forged"]


class Case(NamedTuple):
    """All that is known of one command id. The first seven say what it orders."""

    command_id: str
    order_id: str
    kind: Kind
    party_id: str
    amount_minor: int
    currency: str
    purpose: str
    attempt: int  # the last one tried
    failures: int  # tries without an effect
    truth: Saying  # what a repetition or a question is answered with
    is_told: bool  # False: silent until it is asked


class Answer(NamedTuple):
    """One result to send. Equal answers have equal ids, so that the reader can drop repetitions."""

    id: str
    type: AnswerType
    t: int  # ms UTC, of the record
    amount_minor: int
    reason_code: str | None
    retryable: bool | None
    is_late: bool


class Reaction(NamedTuple):
    """What one command leads to. Nothing is known of it where `case` is None."""

    does: Does
    case: Case | None
    answers: tuple[Answer, ...] = ()
    comes_back: bool = False  # paid, and returned by the payee's bank


def react(case: Case | None, command: PaymentCommand, kind: Kind, t: int, limit: int) -> Reaction:
    """Take a payment command; `t` is its record's time and `limit` its `not_after`, in ms UTC."""
    if case is None:
        return _try(_new_case(command, kind), t, limit)
    if case[:7] != _new_case(command, kind)[:7]:
        return Reaction("conflict", case)  # one id, one payment: never acted upon
    if command.attempt > case.attempt and case.is_told and case.truth.type == "gateway.failed":
        return _try(case._replace(attempt=command.attempt), t, limit)
    if not case.is_told:
        return Reaction("repeats", case)
    return Reaction("repeats", case, (_answer(case, case.truth, t),))


def react_to_question(case: Case | None, t: int) -> Reaction:
    """`command.status_requested`: the truth, also where it was never told. Unknown: silence."""
    if case is None:
        return Reaction("unknown", None)
    told = case._replace(is_told=True)
    return Reaction("tells", told, (_answer(told, told.truth, t),))


def _try(case: Case, t: int, limit: int) -> Reaction:
    if t > limit:
        expired = case._replace(truth=EXPIRED, is_told=True)
        return Reaction("fails", expired, (_answer(expired, EXPIRED, t),))
    plan = plan_of(trick_of(case.amount_minor, case.purpose), case.failures)
    truth = plan.sayings[plan.truth]
    tried = case._replace(
        failures=case.failures + (not plan.effect),
        truth=truth._replace(when="now"),
        is_told=any(saying.when != "asked" for saying in plan.sayings),
    )
    answers = tuple(_answer(tried, saying, t) for saying in plan.sayings if saying.when != "asked")
    comes_back = truth.type == "gateway.returned"
    return Reaction("pays" if plan.effect else "fails", tried, answers, comes_back)


def _answer(case: Case, saying: Saying, t: int) -> Answer:
    variant = f".{saying.variant}" if saying.variant else ""
    word = saying.type.removeprefix("gateway.")
    return Answer(
        f"{case.command_id}.{case.attempt}.{word}{variant}",
        saying.type,
        t + (LATER_MS if saying.when == "later" else ANSWER_MS),
        case.amount_minor + saying.is_wrong,
        saying.reason_code,
        saying.retryable,
        saying.when == "later",
    )


_UNTRIED: Final = Saying("gateway.failed")


def _new_case(command: PaymentCommand, kind: Kind) -> Case:
    return Case(
        command.command_id,
        command.order_id,
        kind,
        command.party_id,
        command.amount_minor,
        command.currency,
        command.purpose,
        command.attempt,
        0,
        _UNTRIED,
        False,
    )
