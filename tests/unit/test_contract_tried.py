"""The pages say what becomes of each fact; no walk through the rules may find anything else."""

import random
from collections import Counter
from typing import Final

import pytest

from escrow.arrival import Decided
from escrow.policy import DAY_MS
from escrow.replay import Replay
from escrow.transitions import STATUSES, TRANSITIONS
from ops.contract.examples import ORDER
from ops.contract.pasts import TRIED, Said
from ops.contract.trying import Met, dead_letters, facts, met, refusals, standing, standings, waits
from schemas.facts import FACT_TYPES
from schemas.reasons import DEAD_LETTERS, PARKED, REFUSALS

POOL: Final = [
    said
    for name in FACT_TYPES
    if name != "supplier.reported"
    for said in (Said(name), *TRIED.get(name, ()))
]
WALKS: Final = 400


@pytest.mark.parametrize("name", [name for name in FACT_TYPES if standings(name) == STATUSES])
def test_every_transition_is_tried_and_nothing_else_happens(name: str) -> None:
    for status in STATUSES:
        found = {one.after for one in met(name).get(status, ()) if one.after is not None}
        assert found == TRANSITIONS.get((status, name), frozenset()), status


def test_what_names_a_command_never_changes_an_orders_status() -> None:
    assert not {name for _, name in TRANSITIONS if standings(name) != STATUSES}


def test_every_code_is_met_by_some_fact() -> None:
    assert {code for name in FACT_TYPES for code in refusals(name)} == REFUSALS.keys()
    assert {code for name in FACT_TYPES for code in waits(name)} == PARKED.keys()
    told = {code for name in FACT_TYPES for code in dead_letters(name)}
    assert told == DEAD_LETTERS.keys() - {"unknown_type"}


def test_every_standing_is_met() -> None:
    for name in FACT_TYPES:
        if name != "supplier.reported":
            assert tuple(met(name)) == standings(name), name


def test_random_walks_find_nothing_that_the_pages_do_not_say(rng: random.Random) -> None:
    found: Counter[str] = Counter()
    for _ in range(WALKS):
        walk = [Said("payment.captured")] * (rng.random() < 0.9)
        for _ in range(rng.randint(2, 14)):
            said = rng.choice(POOL)
            walk.append(said._replace(wait_ms=rng.choice((0, 0, DAY_MS, 10 * DAY_MS))))
        replay = Replay()
        for fact in facts(tuple(walk)):
            stood = standing(fact, replay.orders.get(ORDER))
            steps = replay.take(fact)
            assert isinstance(steps, tuple)
            if len(steps) > 1 or not isinstance(steps[0], Decided):
                break  # something that waited was woken, or has expired: no longer this fact alone
            stands = standing(fact, replay.orders.get(ORDER))
            one = Met(steps[0].outcome, steps[0].code, None if stands == stood else stands)
            assert one in met(fact.type)[stood], (fact.type, stood, one, walk)
            found[one.outcome] += 1
    assert min(found[outcome] for outcome in ("applied", "refused", "parked")) > WALKS
