"""docs/gateway-simulator.md tells the magic amounts, all of them, and nothing that is not there."""

import re
from pathlib import Path
from typing import Final

from ops.local.gateway.core import ANSWER_MS, LATER_MS
from ops.local.gateway.deciding import LATER_COMMANDS
from ops.local.gateway.tricks import MAGIC, TRICKS

PAGE: Final = Path(__file__).parents[2] / "docs" / "gateway-simulator.md"


def test_the_table_is_that_of_the_code() -> None:
    told = re.findall(r"^\| (\d{4}) \| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert told == [(str(digits), trick.name) for digits, trick in TRICKS.items()]


def test_the_numbers_are_those_of_the_code() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"`{MAGIC[0]}` to `{MAGIC[-1]}`" in text
    assert f"{ANSWER_MS} ms later" in text
    assert LATER_MS == 1_000
    assert "a late one 1 s" in text
    assert f"after {LATER_COMMANDS} further records" in text
