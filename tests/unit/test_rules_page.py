"""docs/rules.md: its tables are what the code says, and every test that it names exists."""

import re
from pathlib import Path

import pytest

from escrow.transitions import STATUSES, TRANSITIONS
from ops.docs import MADE, RULES_PAGE, codes, filled, matrix
from schemas.facts import FACT_TYPES
from schemas.reasons import ALARMS, DEAD_LETTERS, NOT_PROTECTED, PARKED, REFUSALS

PAGE = RULES_PAGE.read_text(encoding="utf-8")
TESTS = Path(__file__).parents[1]


def test_the_made_parts_are_up_to_date() -> None:
    assert filled(PAGE) == PAGE, "run: python -m ops.docs"


def test_the_matrix_holds_every_cell() -> None:
    rows = {
        cells[0].strip("`"): cells[1:]
        for cells in ([c.strip() for c in row.split("|")[1:-1]] for row in matrix().split("\n")[2:])
    }
    assert list(rows) == list(FACT_TYPES)
    for name, cells in rows.items():
        for status, cell in zip(STATUSES, cells, strict=True):
            named = set(cell.split(", ")) - {"·"}
            assert named == set(TRANSITIONS.get((status, name), ()))


def test_every_code_stands_there_with_its_sentence() -> None:
    for sentences in (REFUSALS, PARKED, NOT_PROTECTED, DEAD_LETTERS, ALARMS):
        for code, sentence in sentences.items():
            assert f"| `{code}` | {sentence} |" in codes()


def test_a_page_without_its_markers_is_a_mistake() -> None:
    for name in MADE:
        with pytest.raises(ValueError, match=name):
            filled(PAGE.replace(f"<!-- end: {name} -->", ""))


def test_every_test_that_is_named_exists() -> None:
    there = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 100
    assert named <= there, named - there


def test_every_rule_names_its_test() -> None:
    body = PAGE[PAGE.index("## Money and time") : PAGE.index("## Which status follows which")]
    rules = [row for row in body.split("\n") if row.startswith("- ")]
    assert len(rules) > 50
    assert [rule for rule in rules if "↔ " not in rule] == []
    assert set(FACT_TYPES) <= set(re.findall(r"`([a-z_]+\.[a-z_]+)`", PAGE))
