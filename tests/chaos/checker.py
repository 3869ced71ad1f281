"""The judge: what is in the rows follows from what is in the topics, and from nothing else.

Each invariant of the reliability page is a function of `tests.chaos.checks` that yields violations; a
read that fell short makes the verdict `unknown`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tests.chaos.case import Case
from tests.chaos.checks.money import each_effect_once, money_balances, one_settlement
from tests.chaos.checks.records import (
    chains_verify,
    letters_are_the_bad_ones,
    nothing_lost,
    nothing_waits,
    positions_move_on,
)
from tests.chaos.checks.rules import deadlines_stand, rows_equal_model, said_as_ruled
from tests.chaos.checks.telling import all_is_told
from tests.chaos.recorded import Recorded

SHOWN_MAX: Final = 5  # of each kind of violation


@dataclass
class Verdict:
    """`ok`, `bad` or `unknown`; counts say how much was looked at."""

    counts: Counter[str]
    violations: list[str]
    unknown: list[str]

    @property
    def word(self) -> str:
        return "bad" if self.violations else "unknown" if self.unknown else "ok"


class Judge:
    """Remembers between verdicts what may never change again (I9)."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], bytes] = {}

    def judge(self, recorded: Recorded) -> Verdict:
        case = Case(recorded)
        counts: Counter[str] = Counter(records=len(case.places), facts=len(case.stored))
        counts.update(orders=len(case.rows["escrows"]), effects=len(recorded.effects))
        counts.update(dead_letters=len(case.rows["letters"]), batches=len(case.rows["batches"]))
        if not recorded.complete:
            return Verdict(counts, [], recorded.missing)
        found: list[str] = []
        for name, check in CHECKS.items():
            some = [f"{name}: {text}" for text in check(case)]
            counts[name] = len(some)
            found += some[:SHOWN_MAX]
        found += [f"I9: {text}" for text in self._changed(case)][:SHOWN_MAX]
        return Verdict(counts, found, [])

    def _changed(self, case: Case) -> Iterator[str]:
        """Facts, postings and batches: what was there is there, and is the same."""
        now: dict[tuple[object, ...], bytes] = {}
        for name, key in _APPEND_ONLY.items():
            for row in case.rows[name]:
                digest = sha256(repr(sorted(row.items())).encode()).digest()
                now[name, *(row[column] for column in key)] = digest
        for place, digest in self._kept.items():
            if now.get(place) != digest:
                yield f"{place} was changed or deleted"
        self._kept = now


_APPEND_ONLY: Final = {
    "facts": ("order_id", "decision_no"),
    "resolutions": ("order_id", "decision_no"),
    "batches": ("stage", "topic", "partition", "first_offset", "epoch"),
}


CHECKS: Final[dict[str, Callable[[Case], Iterator[str]]]] = {
    "I1": money_balances,
    "I2": one_settlement,
    "I3": each_effect_once,
    "I3 told": all_is_told,
    "I4": rows_equal_model,
    "I4 told": said_as_ruled,
    "I5": nothing_lost,
    "I6": letters_are_the_bad_ones,
    "I7": positions_move_on,
    "I9": chains_verify,
    "I10": deadlines_stand,
    "I11": nothing_waits,
}
