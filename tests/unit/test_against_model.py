"""The product's dry run says of any file what an independent reading of the rules says (RULES 5).

More seeds: `python -m tests.model.compare --seeds A:B`.
"""

from collections.abc import Callable

import pytest

from tests.model import compare, compare_telling
from tests.model.broken_lines import broken_file
from tests.model.coverage import missing, unexpected
from tests.model.near_texts import near_texts_file
from tests.model.rules import World

GENERATED = range(1, 161)
COMPARED = range(1, 61, 10)


@pytest.mark.parametrize("first", COMPARED)
def test_product_and_model_agree(first: int) -> None:
    for seed in range(first, first + 10):
        report = compare.report(seed, compare.product)
        assert report is None, report


@pytest.mark.parametrize("first", COMPARED)
def test_product_and_model_would_send_the_same(first: int) -> None:
    for seed in range(first, first + 10):
        assert compare_telling.difference(compare.file_of(seed)) is None, f"seed {seed}"


@pytest.mark.parametrize("make", [broken_file, near_texts_file])
def test_product_and_model_see_the_same_edges(make: Callable[[int], bytes]) -> None:
    for seed in range(60):
        report = compare.report(seed, compare.product, make)
        assert report is None, report


def test_generated_files_reach_every_cell_code_and_alarm() -> None:
    worlds: list[World] = [compare.world_of(seed) for seed in GENERATED]
    assert missing(worlds) == []
    assert [unexpected(world) for world in worlds if unexpected(world)] == []


def test_the_same_seed_makes_the_same_file() -> None:
    assert compare.file_of(5) == compare.file_of(5)
    assert compare.file_of(5) != compare.file_of(6)
