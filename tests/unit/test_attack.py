"""A small siege in every run; `make attack` tries ten thousand."""

from random import Random

from schemas.door import decode
from schemas.facts import FACT_TYPES
from schemas.trust import SignatureRules
from tests.attack.forging import FORGERIES, forge
from tests.attack.honest import TYPES, fact
from tests.attack.keys import ring
from tests.attack.siege import facts_plan, on_commands, on_facts
from tests.conftest import SEED


def test_no_forged_fact_is_accepted_and_each_has_its_reason() -> None:
    siege = on_facts(SEED, 400)
    assert siege.wrong == []
    assert siege.honest > 80
    assert sum(siege.reasons.values()) == 400


def test_no_forged_command_moves_money() -> None:
    siege = on_commands(SEED, 120)
    assert siege.wrong == []
    assert siege.honest > 20


def test_the_siege_tries_every_forgery_on_every_type() -> None:
    plan = facts_plan(Random(1), 2_000)
    assert set(plan.kinds) == {
        *(make.__name__ for make in FORGERIES),
        *("honest", "replayed", "without_authority"),
    }
    assert len(TYPES) == len(FACT_TYPES)


def test_the_siege_is_not_content_with_a_door_that_asks_nobody() -> None:
    rng = Random(3)
    attacks = [forge(rng, fact(rng, n)) for n in range(50)]
    nobody_asked = SignatureRules(ring(), [], stamped_by_broker=True)
    for rules in (None, nobody_asked):
        codes = [getattr(decode(attack.record, rules), "code", None) for attack in attacks]
        assert codes != [attack.code for attack in attacks]
