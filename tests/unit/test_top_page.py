"""What `escrow top` shows at each key; no terminal is needed for that."""

import io
from typing import Final

import pytest
from rich.console import Console

from ops.cli.top_page import SORTS, Seen, View, pressed, top_page
from ops.lag import LagReport
from tests.unit.test_cli_lag import NOW, lag_of, sample
from tests.unit.test_metrics import FIGURES

STAGES: Final = ["payments", "shipments"]


def report() -> LagReport:
    """Payments behind and slow in one of its partitions; shipments without members."""
    (row,) = lag_of(
        sample(10.0, 100, 900), sample(12.0, 140, 920, next_time=NOW - 1_500)
    ).partitions
    other = row._replace(
        stage="shipments", behind=5, verdict="no-members", members=0, rate_in=9.0, seconds=70.0
    )
    rows = [row, row._replace(partition=1, behind=0, verdict="ok", seconds=0.0), other]
    return LagReport(2.0, False, rows, 9, None, [])


def shown(view: View = View(), *, seen: Seen | None = None, width: int = 80) -> str:  # noqa: B008
    out = io.StringIO()
    Console(file=out, width=width).print(top_page(seen or Seen(report(), FIGURES, NOW, None), view))
    return out.getvalue()


def test_one_page_says_who_is_behind_and_what_waits() -> None:
    page = shown()
    lines = page.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24
    (payments,) = [line for line in lines if "payments" in line]
    assert payments.split() == "1 payments 780 1 s 20 40 39 s 1 slow".split()  # noqa: SIM905
    (shipments,) = [line for line in lines if "shipments" in line]
    assert shipments.endswith("no-members")
    assert "held 4.00 EUR" in page
    assert "0.01 EUR not accounted for" in page
    assert "held 5 JPY" in page
    assert "2 without a final answer, the oldest for 1 min" in page
    assert "4 failed or returned" in page
    assert "1 held for a person" in page
    assert "outbox 9 to send" in page
    assert "dead letters 2" in page
    assert "invalid_data" not in page


def test_the_longest_names_and_figures_fit_in_eighty_columns() -> None:
    (row,) = lag_of(
        sample(10.0, 0, 9_000_000), sample(12.0, 900, 9_000_001, next_time=0)
    ).partitions
    long = row._replace(stage="mediation_rulings", seconds=86_399.0 * 30, members=12)
    page = shown(View("drain"), seen=Seen(LagReport(2.0, True, [long], 0, None, []), None, 0, None))
    (line,) = [line for line in page.splitlines() if "mediation_rulings" in line]
    assert line.rstrip().endswith("slow")
    assert len(line) <= 80


def test_a_digit_looks_closer_at_a_stage_and_0_comes_back() -> None:
    near = pressed(View(), "1", STAGES)
    assert near == View(stage="payments")
    page = shown(near)
    assert "shipments" not in page
    assert "780" in page
    assert pressed(near, "0", STAGES) == View()
    assert pressed(View(), "3", STAGES) == View()  # there is no third


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        (None, "payments"),
        ("verdict", "shipments"),
        ("behind", "payments"),
        ("delay", "shipments"),
        ("in/s", "payments"),
    ],
)
def test_stages_are_sorted_by_what_is_asked_for(sort: str | None, first: str) -> None:
    rows = [line for line in shown(View(sort=sort)).splitlines() if line.lstrip()[:1].isdecimal()]
    assert rows[0].split()[1] == first
    assert rows[0].split()[0] == str(STAGES.index(first) + 1)  # the key stays the same


def test_s_goes_through_all_sorts_and_begins_anew() -> None:
    view: View | None = View()
    seen = []
    for _ in range(len(SORTS) + 1):
        assert view is not None
        view = pressed(view, "s", STAGES)
        assert view is not None
        seen.append(view.sort)
    assert seen == [*SORTS, None]


def test_d_and_m_show_more_and_less() -> None:
    letters = pressed(View(), "d", STAGES)
    assert letters is not None
    assert "invalid_data" in shown(letters)
    assert pressed(letters, "d", STAGES) == View()
    money = pressed(letters, "m", STAGES)
    assert money is not None
    page = shown(money, width=120)
    assert "captured 10.00 EUR · paid out 3.00 EUR · refunded 1.00 EUR" in page
    assert "invalid_data" not in page


@pytest.mark.parametrize("key", ["q", "\x03", "\x1b"])
def test_it_ends_by_q_escape_and_control_c(key: str) -> None:
    assert pressed(View(), key, STAGES) is None


def test_what_is_not_known_is_said() -> None:
    page = shown(seen=Seen(None, None, 0, "Kafka is\x1b[31m away"))
    assert "Kafka is\\x1b[31m away" in page
    assert "looking at the lag" in page
    assert "looking at the rows" in page
