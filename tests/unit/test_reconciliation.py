"""Three accounts: what agrees is matched, each difference is found once and called by its name."""

import io
import random
import re
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from escrow.state import Command
from ops.gateway_file import COLUMNS, STATES, BadFile, Entry, read_gateway_file
from ops.local.gateway.daily_file import planted, write_account
from ops.reconciliation import KINDS, Gap, Ordered, reconcile
from ops.spreadsheet import cell, write_csv
from tests.conftest import SEED


def a_command(n: int = 1, **changes: object) -> Ordered:
    command = Command(
        sha256(f"{n}".encode()).hexdigest()[:32],
        "payout" if n % 2 else "refund",
        "settlement",
        f"p-{n}",
        f"party-{n}",
        500 + n,
        "EUR",
        "buyer",
        "/shop",
        "c",
        state="SETTLED",
        asked_at=1_000 * n,
    )
    return Ordered(f"o-{n}", command._replace(**changes))  # type: ignore[arg-type]


def line_of(ordered: Ordered, line: int = 2, state: str = "settled", **changes: object) -> Entry:
    order_id, command = ordered
    entry = Entry(
        line,
        command.command_id,
        order_id,
        command.kind,
        command.party_id,
        command.amount_minor,
        command.currency,
        state,  # type: ignore[arg-type]
        command.attempt,
        "2026-01-01T00:00:00Z",
    )
    return entry._replace(**changes)  # type: ignore[arg-type]


def test_what_agrees_is_matched_and_summed() -> None:
    orders = [a_command(n) for n in range(1, 7)]
    result = reconcile([line_of(one) for one in orders], orders)
    assert result.clean
    assert (result.lines, result.commands, result.matched, result.open) == (6, 6, 6, 0)
    sums = [(t.kind, t.file_minor, t.commands_minor) for t in result.totals]
    assert sums == [("payout", 1509, 1509), ("refund", 1512, 1512)]


@pytest.mark.parametrize(
    ("ours", "theirs", "attempt", "agrees"),
    [
        ("SETTLED", "settled", 1, True),
        ("RETURNED", "returned", 1, True),
        ("FAILED", "failed", 1, True),
        ("ACCEPTED", "accepted", 1, True),
        ("PENDING", "failed", 1, True),  # it is being tried again
        ("PENDING", "failed", 2, False),
        ("PENDING", "settled", 2, False),
        ("ACCEPTED", "settled", 2, False),
        ("SETTLED", "returned", 2, False),
        ("SETTLED", "failed", 2, False),
    ],
)
def test_states(ours: str, theirs: str, attempt: int, agrees: bool) -> None:
    tries = 2 if ours == "PENDING" or attempt == 2 else 1
    one = a_command(state=ours, attempt=tries, failures=tries - 1)
    result = reconcile([line_of(one, state=theirs, attempt=attempt)], [one])
    assert (result.matched == 1, result.found["different"] == 1) == (agrees, not agrees)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"amount_minor": 7}, "amount 7, ordered was 501"),
        ({"currency": "USD"}, "currency USD, ordered was EUR"),
        ({"party_id": "thief"}, "party thief, ordered was party-1"),
        ({"order_id": "o-9"}, "order o-9, ordered was o-1"),
        ({"kind": "refund"}, "kind refund, ordered was payout"),
    ],
)
def test_each_thing_that_can_differ_is_named(changes: dict[str, Any], said: str) -> None:
    one = a_command()
    (difference,) = reconcile([line_of(one, **changes)], [one]).differences
    assert (difference.kind, difference.line, difference.text) == ("different", 2, said)


def test_only_what_has_its_final_answer_within_the_period_must_be_in_the_file() -> None:
    orders = [a_command(1), a_command(2, state="PENDING"), a_command(3), a_command(4)]
    result = reconcile([line_of(orders[3])], orders, since=1_000, until=3_000)
    assert [(d.kind, d.order_id) for d in result.differences] == [("missing", "o-1")]
    assert (result.commands, result.open, result.matched) == (2, 1, 1)


def test_a_ledger_that_says_otherwise() -> None:
    gap = Gap("o-1", "supplier_payable", "EUR", 500, 400)
    (difference,) = reconcile([], [], [gap]).differences
    assert difference.kind == "unposted"
    assert difference.text == "supplier_payable: commands say 500 EUR, postings 400"


def test_all_that_is_planted_is_found_and_nothing_else(tmp_path: Path) -> None:
    seed = SEED % 1_000_000
    rng = random.Random(seed)
    states = {"SETTLED": "settled", "FAILED": "failed", "RETURNED": "returned"}
    orders = [a_command(n, state=rng.choice(list(states))) for n in range(1, 400)]
    entries = [line_of(one, state=states[one.command.state]) for one in orders]
    told, plants = planted(entries, 40, seed)
    assert len(plants) == 40
    for name in ("day.csv", "day.jsonl"):
        write_account(tmp_path / name, told)
        result = reconcile(read_gateway_file(tmp_path / name), orders)
        found = Counter((d.kind, d.command_id) for d in result.differences)
        assert found == Counter(tuple(plant) for plant in plants), f"seed {seed}"
        assert result.matched + len(plants) >= len(orders)


def test_each_kind_can_be_planted_but_the_ledgers_own() -> None:
    entries = [line_of(a_command(n)) for n in range(1, 20)]
    kinds = {plant.kind for plant in planted(entries, 16, 1)[1]}
    assert kinds == set(KINDS) - {"unposted"}


HEAD = ",".join(COLUMNS)
GOOD = "c-1,o-1,payout,s-1,500,EUR,settled,1,2026-01-01T00:00:00Z"


def read(path: Path, text: str) -> list[Entry]:
    path.write_bytes(text.encode())
    return list(read_gateway_file(path))


def test_columns_in_any_order_with_others_between(tmp_path: Path) -> None:
    head, row = (
        "fee,at,attempt,state,currency,amount_minor,party_id,kind,order_id,command_id",
        ("0,2026-01-01,1,settled,EUR,500,s-1,payout,o-1,c-1"),
    )
    (entry,) = read(tmp_path / "f", f"\ufeff{head}\r\n{row}\r\n\r\n")
    assert entry == (2, "c-1", "o-1", "payout", "s-1", 500, "EUR", "settled", 1, "2026-01-01")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("command_id,amount\n", "line 1: no column order_id"),
        ("", "line 1: no column"),
        (f"{HEAD}\n{GOOD}\n{GOOD[:-10]},1,2\n", "line 3: not as many cells"),
        (f"{HEAD}\n{GOOD.replace('500', '5.00')}\n", "line 2: amount_minor"),
        (f"{HEAD}\n{GOOD.replace('500', '-500')}\n", "line 2: amount_minor"),
        (f"{HEAD}\n{GOOD.replace('500', '٥٠٠')}\n", "line 2: amount_minor"),
        (f"{HEAD}\n{GOOD.replace('500', str(2**53))}\n", "line 2: amount_minor"),
        (f"{HEAD}\n{GOOD.replace('EUR', 'XXX')}\n", "line 2: no such currency"),
        (f"{HEAD}\n{GOOD.replace('settled', 'paid')}\n", "line 2: state"),
        (f"{HEAD}\n{GOOD.replace('payout', 'fee')}\n", "line 2: kind"),
        (f"{HEAD}\n{GOOD.replace('s-1', '')}\n", "line 2: party_id"),
        (f"{HEAD}\n{GOOD.replace('s-1', chr(27) + '[2J')}\n", "line 2: party_id"),
        ('{"command_id": 5}\n', "line 1: command_id"),
        ('{"a": 1}\n[1]\n', "line 1: command_id"),
        ("{broken\n", "line 1: not JSON"),
        ("{" + '"a":[' * 100_000 + "\n", "line 1: not JSON"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadFile) as caught:
        read(tmp_path / "f", text)
    assert said in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"command_id\xff\xfe\n")
    with pytest.raises(BadFile, match="not UTF-8"):
        list(read_gateway_file(tmp_path / "f"))


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "  =1", "=cmd|' /c'!A0"]
)
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"
    out = io.StringIO()
    assert write_csv(out, ("a", "b"), [(text, 5)]) == 1
    assert out.getvalue().startswith("a,b\r\n")


@pytest.mark.parametrize(
    ("value", "text"), [("o-1", "o-1"), (-5, "-5"), (None, ""), ("a=b", "a=b")]
)
def test_plain_cells_stay_as_they_are(value: object, text: str) -> None:
    assert cell(value) == text


def test_the_page_names_every_column_state_and_difference() -> None:
    page = (Path(__file__).parents[2] / "docs/reconciliation.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert rows == [*COLUMNS, "matched", *KINDS, "open"]
    assert all(f"`{state}`" in page for state in STATES)
