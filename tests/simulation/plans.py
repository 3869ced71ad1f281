"""A schedule before it runs: which facts in which order, which faults when, and how the dice are cast.

All of it is drawn from the seed; what is left out of a plan changes nothing in the rest of it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.simulation import stories
from tests.simulation.stories import Sent

FACTS_MAX: Final = 25
STEPS: Final = 420  # faults come within the first so many


@dataclass(frozen=True)
class Fault:
    """What happens at a step; `chance` seeds whatever else is drawn for it."""

    kind: str
    at: int
    chance: int


@dataclass(frozen=True)
class Plan:
    seed: int
    facts: tuple[Sent, ...]
    faults: tuple[Fault, ...]
    records_max: int  # of a batch
    sticky: float  # how likely an actor goes on without a break
    burst: float  # how likely a record is followed by the next one at once
    partitions: int  # of each input topic
    markers: float  # share of records that are followed by a transaction marker
    dice: int  # seeds the order of events; the seed itself, unless a failure was shrunk

    def part(
        self, facts: Sequence[int], faults: Sequence[int], dice: int, sooner: int = 1
    ) -> "Plan":
        """Only these facts and faults of it, these `sooner` times sooner, and other dice."""
        return replace(
            self,
            facts=tuple(self.facts[n] for n in facts),
            faults=tuple(
                replace(self.faults[n], at=max(self.faults[n].at // sooner, 5)) for n in faults
            ),
            dice=dice,
        )


KINDS: Final[dict[str, int]] = {  # and how often, one to another
    "process killed": 4,
    "killed at a named place": 8,
    "everything killed": 1,
    "process frozen": 2,
    "zombie": 5,
    "process stopped in good order": 2,
    "second worker joins": 3,
    "second relay": 2,
    "second ticker": 1,
    "member thrown out of its group": 2,
    "statement refused": 4,
    "connection lost": 3,
    "COMMIT lost": 2,
    "reply to COMMIT lost": 4,
    "database restarted": 2,
    "row locked by another": 2,
    "broker away": 2,
    "poll fails": 1,
    "ack lost": 2,
    "sent in part": 2,
    "sending refused": 1,
    "sent twice": 2,
    "log truncated": 2,
}
_NAMES: Final = tuple(KINDS)
_WEIGHTS: Final = tuple(KINDS.values())


def draw(seed: int) -> Plan:
    """The plan of this seed."""
    rng = random.Random(seed)
    slots = rng.sample(range(1, stories.SLOTS + 1), rng.choice((2, 2, 2, 3, 4)))
    facts = _mixed(rng, [stories.story(slot, rng.randrange(stories.VARIANTS)) for slot in slots])
    _disturb(rng, facts)
    number = rng.choice((0, 1, 1, 2, 2, 3, 4))
    faults = sorted(
        (
            Fault(kind, rng.randrange(5, STEPS), rng.randrange(2**32))
            for kind in rng.choices(_NAMES, _WEIGHTS, k=number)
        ),
        key=lambda fault: fault.at,
    )
    return Plan(
        seed,
        tuple(facts[:FACTS_MAX]),
        tuple(faults),
        rng.choice((1, 2, 3, 5, 20, 20)),
        rng.choice((0.0, 0.4, 0.7, 0.9)),
        rng.choice((0.0, 0.4, 0.8)),
        rng.choice((1, 1, 1, 2)),
        rng.choice((0.0, 0.0, 0.3)),
        seed,
    )


def _mixed(rng: random.Random, told: list[tuple[Sent, ...]]) -> list[Sent]:
    """One stream; each story keeps its order, as far as its topics do."""
    left = [list(story) for story in told]
    mixed: list[Sent] = []
    while left:
        story = rng.choice(left)
        mixed.append(story.pop(0))
        if not story:
            left.remove(story)
    return mixed


Hand = Callable[[random.Random, list[Sent], int], None]


def _swap(_rng: random.Random, facts: list[Sent], at: int) -> None:
    """Neighbours on different topics, the other way round."""
    if at and facts[at].topic != facts[at - 1].topic:
        facts[at - 1], facts[at] = facts[at], facts[at - 1]


def _repeat(rng: random.Random, facts: list[Sent], at: int) -> None:
    for _ in range(rng.choice((1, 1, 3))):
        facts.insert(rng.randint(at, len(facts)), facts[at])


def _conflict(rng: random.Random, facts: list[Sent], at: int) -> None:
    facts.insert(rng.randint(at, len(facts)), stories.conflicting(facts[at]))


def _spoil(rng: random.Random, facts: list[Sent], at: int) -> None:
    facts.insert(at, stories.garbage(facts[at], rng.choice((1, 5, 9))))


def _report(rng: random.Random, facts: list[Sent], at: int) -> None:
    facts.insert(at, stories.report(rng.randrange(2)))


_HANDS: Final[tuple[Hand, ...]] = (_swap, _swap, _repeat, _repeat, _conflict, _spoil, _report)


def _disturb(rng: random.Random, facts: list[Sent]) -> None:
    for _ in range(rng.choice((0, 1, 2, 3, 4))):
        rng.choice(_HANDS)(rng, facts, rng.randrange(len(facts)))
