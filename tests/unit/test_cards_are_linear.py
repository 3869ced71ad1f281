"""Finding card numbers costs the same whatever a text is made of, and finds what the rule says."""

import random

import pytest
from stdnum import luhn

from schemas import cards


def spans_by_the_rule(chain: str) -> list[tuple[int, int]]:
    """RULES 3.1 word for word, with a library's Luhn."""
    groups, at = [], 0
    for part in chain.replace("-", " ").split(" "):
        groups.append((at, at + len(part)))
        at += len(part) + 1
    found = []
    for first in range(len(groups)):
        for last in range(first, len(groups)):
            digits = "".join(chain[a:b] for a, b in groups[first : last + 1])
            if 13 <= len(digits) <= 19 and digits[0] in "23456" and luhn.is_valid(digits):
                found.append((groups[first][0], groups[last][1]))
    return found


@pytest.mark.parametrize("number", range(300))
def test_spans_are_those_of_the_rule(number: int) -> None:
    rng = random.Random(number)
    groups = [
        "".join(rng.choice("0123456789") for _ in range(rng.choice((1, 2, 4, 4, 7, 16))))
        for _ in range(rng.randint(1, 14))
    ]
    chain = "".join(group + rng.choice(" -") for group in groups)[:-1]
    assert sorted(cards._card_spans(chain.encode())) == sorted(spans_by_the_rule(chain)), chain


def test_a_record_of_nothing_but_starts_looks_at_each_group_nineteen_times_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = 0
    original = cards._DOUBLED

    class Counting:
        def __getitem__(self, digit: int) -> int:
            nonlocal looked
            looked += 1
            return original[digit]

    monkeypatch.setattr(cards, "_DOUBLED", Counting())
    cards.redact(b"4 " * 32_768)
    assert looked == 32_768, "each digit is added up once"
