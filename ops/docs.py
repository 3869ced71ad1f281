"""The made parts of docs/rules.md: the matrix of statuses and the catalogue of codes.

They stand between markers and say what the code says; `python -m ops.docs` writes them anew, a
test compares. The prose around them is written by hand.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from escrow.transitions import STATUSES, TRANSITIONS
from schemas.facts import FACT_TYPES
from schemas.reasons import ALARMS, DEAD_LETTERS, NOT_PROTECTED, PARKED, REFUSALS

RULES_PAGE: Final = Path(__file__).parents[1] / "docs" / "rules.md"


def matrix() -> str:
    """Type by status: the other statuses in which the order may then be."""
    return "\n".join(_matrix())


def _matrix() -> Iterator[str]:
    yield "| type | " + " | ".join(status or "no escrow" for status in STATUSES) + " |"
    yield "|---" * (len(STATUSES) + 1) + "|"
    for name in FACT_TYPES:
        cells = []
        for status in STATUSES:
            after = TRANSITIONS.get((status, name), frozenset())
            cells.append(", ".join(other for other in STATUSES if other in after) or "·")
        yield f"| `{name}` | " + " | ".join(cells) + " |"


def codes() -> str:
    """Every code with its sentence, by what it is a code of."""
    parts = (
        ("Refused", REFUSALS),
        ("Parked", PARKED),
        ("Applied, and `NOT_PROTECTED`", NOT_PROTECTED),
        ("Dead letters", DEAD_LETTERS),
        ("Alarms", ALARMS),
    )
    return "\n\n".join(_table(title, sentences) for title, sentences in parts)


def _table(title: str, sentences: Mapping[str, str]) -> str:
    rows = [f"| `{code}` | {sentence} |" for code, sentence in sentences.items()]
    return "\n".join((f"### {title}", "", "| code | what it says |", "|---|---|", *rows))


MADE: Final = {"matrix": matrix, "codes": codes}


def filled(page: str) -> str:
    """The page with its made parts as they must be; raises ValueError if a marker is missing."""
    for name, make in MADE.items():
        begin, end = f"<!-- made: {name} -->\n", f"\n<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        made = f"{begin}\n{make()}\n{end}"
        page, count = pattern.subn(lambda _, made=made: made, page)  # type: ignore[misc]
        if count != 1:
            raise ValueError(f"the markers of {name} stand {count} times")
    return page


def main() -> int:
    """Write the page anew; exit code 1 if that changed it, so that a check can be built on it."""
    old = RULES_PAGE.read_text(encoding="utf-8")
    new = filled(old)
    RULES_PAGE.write_text(new, encoding="utf-8")
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
