"""What the gateway simulator decides: one effect for each command id, and the same answer to the same question."""

from typing import Any

import pytest

from ops.local.gateway.core import ANSWER_MS, LATER_MS, Answer, Case, Reaction, react
from ops.local.gateway.core import react_to_question as ask
from ops.local.gateway.tricks import TRICKS, is_magic, trick_of
from schemas.commands import Cause, PaymentCommand

T = 1_700_000_000_000
LIMIT = T + 1_000_000


def a_command(digits: int = 0, **other: Any) -> PaymentCommand:
    """A payout whose amount ends in these digits."""
    given: dict[str, Any] = {
        "command_id": "c-1",
        "order_id": "o-1",
        "payment_id": "p-1",
        "party_id": "s-1",
        "amount_minor": 20_000 + digits,
        "currency": "EUR",
        "purpose": "settlement",
        "decided_by": "buyer",
        "cause": Cause(source="storefront", id="1"),
        "attempt": 1,
        "not_after": "2030-01-01T00:00:00Z",
    }
    return PaymentCommand(**given | other)


class Gateway:
    """One command id and all that happens to it."""

    def __init__(self, digits: int = 0, **other: Any) -> None:
        self.digits, self.other = digits, other
        self.case: Case | None = None
        self.t = T
        self.effects = 0

    def gets(self, attempt: int = 1, **other: Any) -> list[str]:
        """Types of the answers to the command; `late` for those that wait."""
        command = a_command(self.digits, **{**self.other, "attempt": attempt, **other})
        return self._after(react(self.case, command, "payout", self.t, LIMIT))

    def is_asked(self) -> list[str]:
        return self._after(ask(self.case, self.t))

    def _after(self, reaction: Reaction) -> list[str]:
        self.case, self.does, self.answers = reaction.case, reaction.does, reaction.answers
        self.effects += reaction.does == "pays"
        return [_word(answer) for answer in reaction.answers]


def _word(answer: Answer) -> str:
    word = answer.type.removeprefix("gateway.") + ("!" if answer.retryable else "")
    return f"later {word}" if answer.is_late else word


def test_a_plain_command_is_settled_at_once() -> None:
    gateway = Gateway()
    assert gateway.gets() == ["settled"]
    (answer,) = gateway.answers
    assert answer == Answer(
        "c-1.1.settled", "gateway.settled", T + ANSWER_MS, 20_000, None, None, False
    )
    assert gateway.effects == 1


def test_a_repetition_is_answered_in_the_same_words_and_pays_nothing() -> None:
    gateway = Gateway()
    gateway.gets()
    first = gateway.answers
    gateway.t += 60_000
    for attempt in (1, 1, 2, 7):  # a higher attempt of what is settled is a repetition, too
        assert gateway.gets(attempt) == ["settled"]
        (again,) = gateway.answers
        assert again._replace(t=0) == first[0]._replace(t=0)
    assert gateway.effects == 1


def test_only_a_higher_attempt_after_failed_is_tried_again() -> None:
    gateway = Gateway(9901)
    assert gateway.gets(1) == ["failed!"]
    assert gateway.gets(1) == ["failed!"]
    assert gateway.does == "repeats"
    assert gateway.gets(2) == ["settled"]
    assert gateway.gets(1) == ["settled"]  # late, out of order
    assert gateway.effects == 1


@pytest.mark.parametrize("digits", [9901, 9902, 9903, 9904])
def test_the_last_digit_is_how_often_it_fails(digits: int) -> None:
    gateway = Gateway(digits)
    answers = [gateway.gets(attempt) for attempt in range(1, 6)]
    fails = digits - 9900
    assert answers == [["failed!"]] * fails + [["settled"]] * (5 - fails)
    assert gateway.effects == 1


def test_it_fails_every_time() -> None:
    gateway = Gateway(9905)
    assert [gateway.gets(attempt) for attempt in range(1, 8)] == [["failed!"]] * 7
    assert gateway.effects == 0


def test_it_fails_for_good() -> None:
    gateway = Gateway(9910)
    assert gateway.gets(1) == ["failed"]
    assert gateway.answers[0].retryable is False
    assert gateway.effects == 0


def test_silent_before_the_effect_a_question_finds_that_nothing_happened() -> None:
    gateway = Gateway(9920)
    assert gateway.gets(1) == []
    assert gateway.gets(1) == []  # repeated: still silent
    assert gateway.gets(2) == []  # nothing was answered, so nothing is tried again
    assert gateway.effects == 0
    assert gateway.is_asked() == ["failed!"]
    assert gateway.is_asked() == ["failed!"]
    assert gateway.gets(2) == ["settled"]
    assert gateway.effects == 1


def test_silent_after_the_effect_a_question_finds_the_money_gone() -> None:
    gateway = Gateway(9921)
    assert gateway.gets(1) == []
    assert gateway.effects == 1
    assert gateway.gets(2) == []
    assert gateway.is_asked() == ["settled"]
    assert gateway.gets(2) == ["settled"]
    assert gateway.effects == 1


def test_it_answers_twice_with_one_id() -> None:
    gateway = Gateway(9930)
    assert gateway.gets() == ["settled", "settled"]
    assert gateway.answers[0] == gateway.answers[1]


def test_it_contradicts_itself_but_knows_the_truth() -> None:
    gateway = Gateway(9931)
    assert gateway.gets() == ["settled", "settled", "later failed!"]
    assert len({answer.id for answer in gateway.answers}) == 3
    assert gateway.gets(2) == ["settled"]
    assert gateway.effects == 1


def test_it_answers_late() -> None:
    gateway = Gateway(9932)
    assert gateway.gets() == ["accepted", "later settled"]
    assert gateway.answers[1].t == T + LATER_MS
    late = gateway.answers[1]
    assert gateway.is_asked() == ["settled"]  # the truth, before it was due
    assert gateway.answers[0].id == late.id


def test_it_answers_out_of_order() -> None:
    gateway = Gateway(9933)
    assert gateway.gets() == ["settled", "later accepted"]
    assert gateway.is_asked() == ["settled"]


def test_it_names_a_wrong_amount_and_then_the_right_one() -> None:
    gateway = Gateway(9940)
    assert gateway.gets() == ["settled", "later settled"]
    assert [answer.amount_minor for answer in gateway.answers] == [29_941, 29_940]
    assert len({answer.id for answer in gateway.answers}) == 2
    assert gateway.is_asked() == ["settled"]
    assert gateway.answers[0].amount_minor == 29_940


def test_the_money_comes_back() -> None:
    gateway = Gateway(9950)
    assert gateway.gets() == ["settled", "later returned"]
    assert gateway.is_asked() == ["returned"]
    assert gateway.gets(2) == ["returned"]
    assert gateway.effects == 1


def test_a_reissue_is_never_tricked() -> None:
    for digits in TRICKS:
        assert Gateway(digits, purpose="reissue").gets() == ["settled"]


def test_the_last_moment_is_in_time() -> None:
    gateway = Gateway()
    gateway.t = LIMIT
    assert gateway.gets() == ["settled"]


def test_past_its_time_a_command_fails_for_good() -> None:
    gateway = Gateway()
    gateway.t = LIMIT + 1
    assert gateway.gets() == ["failed"]
    assert gateway.answers[0].reason_code == "not_after_passed"
    assert gateway.answers[0].retryable is False
    assert gateway.effects == 0


def test_another_try_past_its_time_fails_for_good() -> None:
    gateway = Gateway(9901)
    gateway.gets(1)
    gateway.t = LIMIT + 1
    assert gateway.gets(2) == ["failed"]
    assert gateway.effects == 0


@pytest.mark.parametrize(
    "other",
    [
        {"order_id": "o-2"},
        {"party_id": "thief"},
        {"amount_minor": 1},
        {"currency": "USD"},
        {"purpose": "not_eligible"},
    ],
)
def test_one_id_for_another_payment_is_never_acted_upon(other: dict[str, Any]) -> None:
    gateway = Gateway(9901)
    gateway.gets(1)
    case = gateway.case
    assert gateway.gets(2, **other) == []
    assert gateway.does == "conflict"
    assert gateway.case == case
    assert gateway.effects == 0


def test_what_was_never_heard_of_cannot_be_answered() -> None:
    gateway = Gateway()
    assert gateway.is_asked() == []
    assert gateway.does == "unknown"
    assert gateway.gets() == ["settled"]


def test_every_trick_pays_once_at_most_whatever_comes_in_whatever_order() -> None:
    for digits in [0, *TRICKS]:
        gateway = Gateway(digits)
        for attempt in (3, 1, 2, 2, 5, 4, 5, 6, 1, 7, 9, 8):
            gateway.gets(attempt)
            if attempt % 2:
                gateway.is_asked()
        assert gateway.effects == (0 if digits in {9905, 9910} else 1), digits


def test_magic_amounts_are_a_range_of_last_digits() -> None:
    assert all(is_magic(digits) and is_magic(1_230_000 + digits) for digits in TRICKS)
    assert not is_magic(9_899)
    assert not is_magic(20_000)
    assert trick_of(9_999, "settlement").name == "settles"  # kept free for later
