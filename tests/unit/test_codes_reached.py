"""Each code of the catalogue was reached by some test of this folder; this one runs last."""

from typing import get_args

from schemas.reasons import AlarmCode, AppliedCode, DeadLetterCode, ParkCode, RefusalCode
from tests.builders import REACHED


def codes(literal: object) -> set[str]:
    return {
        code
        for arg in get_args(literal)
        for code in ([arg] if isinstance(arg, str) else codes(arg))
    }


def test_every_refusal_was_reached() -> None:
    assert REACHED["refused"] == codes(RefusalCode)


def test_every_reason_to_wait_was_reached() -> None:
    assert REACHED["parked"] == codes(ParkCode)


def test_every_applied_code_was_reached() -> None:
    assert REACHED["applied"] == codes(AppliedCode)


def test_every_alarm_was_reached() -> None:
    # `id_conflict` is raised where dead letters are written: the rules only say what happened
    assert REACHED["alarm"] == codes(AlarmCode) - {"id_conflict"}


def test_every_dead_letter_was_reached() -> None:
    # only a database can say `not_storable`: tests/integration
    assert REACHED["dead_letter"] == codes(DeadLetterCode) - {"not_storable"}
