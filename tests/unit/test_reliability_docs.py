"""The reliability page shows what the committed ledger adds up to, and names tests that exist."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import ledger
from tests.chaos.__main__ import report
from tests.chaos.figures import BEGIN, END, PAGE, figures, write_figures

ROOT = Path(__file__).parents[2]


def test_the_figures_are_those_of_the_ledger() -> None:
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert shown.strip() == figures(ledger.read()).strip(), "python -m tests.chaos report --write"


def test_the_tests_that_the_page_names_exist() -> None:
    named = set(re.findall(r"`(test_[a-z_]+\.py)`", PAGE.read_text()))
    assert len(named) > 8
    assert named - {path.name for path in (ROOT / "tests").rglob("test_*.py")} == set()


def test_the_last_line_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOS_LEDGER", str(tmp_path / "ledger.jsonl"))
    ledger.append("kills", 1, Counter({"relay.sent": 2, "relay.read": 1}), 1.0, 0)
    ledger.append("kills", 2, Counter({"relay.sent": 4}), 1.0, 0)
    ledger.append("faults", 1, Counter({"Kafka killed": 1, "two relays": 2}), 1.0, 1)
    ledger.append("inputs", 1, Counter({"too_large": 9}), 1.0, 0)
    ledger.append("bugs", 1, Counter({"no fence": 0, "float money": 1}), 1.0, 0)
    ledger.append("bugs", 1, Counter({"no fence": 1}), 1.0, 0)
    ledger.append("schedules", 1, Counter({"two batches": 5}), 1.0, 0)
    assert ledger.last_line(ledger.read()) == (
        "chaos: 5 schedules, 7 kills, 3 faults of 2 kinds, 9 bad inputs,"
        " 2/2 planted bugs caught, 1 violations"
    )


def test_a_report_is_bad_only_while_something_is_unexplained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAOS_LEDGER", str(tmp_path / "ledger.jsonl"))
    ledger.append("faults", 7, Counter({"Kafka killed": 1}), 1.0, 1)
    assert report(ledger.read()) == 1
    ledger.append("explained", 7, Counter({"the judge was wrong": 1}), 0.0, 0)
    assert report(ledger.read()) == 0
    assert capsys.readouterr().out.endswith(" 0/0 planted bugs caught, 0 violations\n")


def test_figures_are_put_between_their_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")
    write_figures([], page)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}")
    assert text.endswith(f"{END}after\n")
    assert "old" not in text
