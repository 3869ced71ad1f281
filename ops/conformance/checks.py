"""The contract of a gateway (RULES 4.6), a check a sentence: at most one effect for a command_id, and true words.

Each check gets an adapter with an empty memory. Its name is what must hold; an AssertionError says
what did not.
"""

from collections.abc import Callable
from typing import Final

from ops.conformance.trial import Trial

Check = Callable[[Trial], None]
CHECKS: Final[dict[str, Check]] = {}


def _check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


@_check
def a_command_is_paid_once_and_said_to_be_settled(trial: Trial) -> None:
    """A new command: one effect, with its party, amount and currency; then `gateway.settled`."""
    command = trial.command()
    trial.give(command)
    trial.pays(command)


@_check
def refund_and_payout_of_one_order_are_two(trial: Trial) -> None:
    """A split order has one command of each kind: both are carried out, neither waits for the other."""
    payout = trial.command()
    refund = trial.again(trial.command("refund"), order_id=payout.order_id)
    trial.give(refund, kind="refund")
    trial.give(payout)
    trial.pays(refund)
    trial.pays(payout)


@_check
def a_repetition_pays_nothing_more(trial: Trial) -> None:
    """The relay may send twice, and Kafka may deliver again."""
    command = trial.command()
    trial.give(command, command)
    trial.give(command)
    trial.pays(command)


@_check
def a_repetition_after_a_restart_pays_nothing_more(trial: Trial) -> None:
    """What was done is remembered on disk, or known to the gateway by its key."""
    command = trial.command()
    trial.give(command)
    trial.rig.restart()
    trial.give(command)
    trial.pays(command)


@_check
def a_higher_attempt_after_settled_pays_nothing_more(trial: Trial) -> None:
    """Only a command whose last answer was `failed` is tried again."""
    command = trial.command()
    trial.give(command, trial.again(command, attempt=2))
    trial.pays(command)


@_check
def a_late_repetition_of_what_was_paid_is_not_called_failed(trial: Trial) -> None:
    """`not_after` limits the beginning of a payment; it never undoes one."""
    command = trial.command()
    trial.give(command)
    trial.give(trial.again(command, not_after=trial.late()))
    trial.give(trial.again(command, not_after=trial.late(), attempt=2))
    trial.pays(command)


@_check
def nothing_begins_after_not_after(trial: Trial) -> None:
    """A command that comes too late is answered `failed`; a later attempt in time may go."""
    command = trial.command(expired=True)
    trial.give(command)
    trial.pays(command, times=0)
    fresh = trial.command()
    trial.give(trial.again(command, attempt=2, not_after=fresh.not_after))
    trial.pays(command)


@_check
def what_failed_is_tried_again_by_a_higher_attempt_alone(trial: Trial) -> None:
    """Declined for now: `failed`, retryable; the same attempt again is only answered again."""
    command = trial.arranged("refuses_for_now")
    trial.give(command)
    trial.pays(command, times=0)
    assert trial.answers(command)[-1].data.retryable is True, "retryable is not true"  # type: ignore[union-attr]
    trial.give(command)
    trial.pays(command, times=0)
    trial.give(trial.again(command, attempt=2))
    trial.pays(command)


@_check
def a_lower_attempt_that_comes_late_changes_nothing(trial: Trial) -> None:
    """Out of order: the first attempt comes once more after the second."""
    command = trial.arranged("refuses_for_now")
    second = trial.again(command, attempt=2)
    trial.give(command, second, command)
    trial.pays(command)
    trial.rig.restart()
    trial.give(command)
    trial.pays(command)


@_check
def what_failed_for_good_says_so(trial: Trial) -> None:
    """`failed` with retryable false, so that a person looks at it, and no one tries for days."""
    command = trial.arranged("refuses_for_good")
    trial.give(command, command)
    trial.pays(command, times=0)
    assert trial.answers(command)[-1].data.retryable is False, "retryable is not false"  # type: ignore[union-attr]


@_check
def a_failure_of_one_stops_nobody_else(trial: Trial) -> None:
    """Partial failure: the neighbours in the same poll are paid."""
    before, failing, after = trial.command(), trial.arranged("refuses_for_good"), trial.command()
    trial.give(before, failing, after)
    trial.pays(before)
    trial.pays(failing, times=0)
    trial.pays(after)


@_check
def no_answer_before_the_effect_is_never_told_as_done(trial: Trial) -> None:
    """Nobody knows: silence. Asked, the truth; where that is `failed`, the next attempt may go."""
    command = trial.arranged("silent_before")
    trial.give(command)
    trial.sound()
    trial.ask(command)
    final = ("gateway.settled", "gateway.failed")
    assert trial.until(lambda: trial.word(command) in final), "asked, it does not answer"
    trial.sound()
    trial.give(trial.again(command, attempt=2))
    trial.pays(command)


@_check
def no_answer_after_the_effect_is_never_told_as_failed(trial: Trial) -> None:
    """The dangerous one: the money has moved, and nobody was told. No `failed`, and no second try."""
    command = trial.arranged("silent_after")
    trial.give(command)
    assert "gateway.failed" not in trial.words(command), "it said failed, and money has moved"
    trial.ask(command)
    trial.give(command, trial.again(command, attempt=2))
    trial.pays(command)
    assert "gateway.failed" not in trial.words(command), "it said failed, and money has moved"


@_check
def killed_after_the_effect_it_goes_on_without_a_second(trial: Trial) -> None:
    """Between the gateway's answer and our own: the record is delivered again."""
    command = trial.arranged("dies_after_the_effect")
    trial.give(command)
    trial.ask(command)
    trial.pays(command)


@_check
def asked_it_tells_what_is_true(trial: Trial) -> None:
    """`command.status_requested` about what it knows, also after a restart."""
    command = trial.command()
    trial.give(command)
    told = len(trial.words(command))
    trial.rig.restart()
    trial.ask(command)
    assert trial.until(lambda: len(trial.words(command)) > told), "asked, it does not answer"
    trial.pays(command)


@_check
def asked_about_what_it_never_saw_it_is_silent_and_does_nothing(trial: Trial) -> None:
    """A question is no order."""
    command = trial.command()
    trial.ask(command)
    assert trial.rig.said() == [], "an answer about a command that never came"
    assert trial.rig.moved() == [], "a question moved money"


@_check
def one_id_for_two_payments_is_acted_upon_once_at_most(trial: Trial) -> None:
    """Another amount or party under a known command_id is somebody's mistake: not to be paid."""
    command = trial.command()
    trial.give(command)
    for changes in ({"amount_minor": command.amount_minor + 1}, {"party_id": "mallory"}):
        trial.give(trial.again(command, attempt=2, **changes))
    trial.pays(command)


@_check
def money_that_comes_back_is_told_and_not_sent_again(trial: Trial) -> None:
    """`gateway.returned` after `settled`; a repetition then pays nothing."""
    command = trial.arranged("comes_back")
    trial.give(command)
    is_told = trial.until(lambda: trial.word(command) == "gateway.returned")
    assert is_told, "the return was not told"
    trial.give(command, trial.again(command, attempt=2))
    assert trial.moved(command) == 1, "it was paid once more after it came back"


@_check
def what_cannot_be_read_stops_nothing(trial: Trial) -> None:
    """Broken JSON, types and fields of a later release: the next command is carried out."""
    trial.give_raw("payout.release", b"{")
    trial.give_raw("payout.of_a_later_release", b"{}")
    command = trial.command()
    trial.give(command, of_a_later_release={"x": 1})
    trial.pays(command)


@_check
def the_same_answer_has_the_same_id(trial: Trial) -> None:
    """So that a repeated answer is a duplicate, and not a refusal that somebody must look at."""
    command = trial.command()
    trial.give(command)
    trial.rig.restart()
    trial.give(command)
    trial.ask(command)
    ids = {fact.id for fact in trial.answers(command) if fact.type == "gateway.settled"}
    assert len(ids) == 1, f"{len(ids)} ids for one answer"


@_check
def what_the_relay_has_not_signed_moves_nothing(trial: Trial) -> None:
    """Where signatures are on: unsigned, or signed by a stranger, a record is nothing, not even `failed`."""
    command = trial.command()
    trial.forge(command)
    assert trial.words(command) == [], "it answers what the relay has not signed"
    trial.give(command)
    trial.pays(command)


@_check
def what_was_altered_after_signing_moves_nothing(trial: Trial) -> None:
    """Where signatures are on: another payee under a true signature is a forgery, too."""
    command = trial.command()
    trial.forge_from(command, party_id="mallory", amount_minor=command.amount_minor * 10)
    assert trial.rig.moved() == [], "it pays what was altered after signing"
    trial.give(command)
    trial.pays(command)
