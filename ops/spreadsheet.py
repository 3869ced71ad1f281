"""CSV that people open in a spreadsheet: no cell of it is ever taken for a formula."""

import csv
from collections.abc import Iterable, Sequence
from typing import IO, Final

# The wide forms too: some spreadsheets take them for the narrow ones.
_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_BREAKS: Final = ("\t", "\r", "\n")


def cell(value: object) -> str:
    """A cell's text; what a spreadsheet would calculate gets an apostrophe in front of it."""
    text = "" if value is None else str(value)
    if isinstance(value, int):
        return text
    is_harmless = not text.startswith(_BREAKS) and not text.lstrip().startswith(_FORMULA)
    return text if is_harmless else f"'{text}"


def write_csv(out: IO[str], columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """A head and rows, RFC 4180; returns how many rows."""
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    count = 0
    for row in rows:
        writer.writerow([cell(value) for value in row])
        count += 1
    return count
