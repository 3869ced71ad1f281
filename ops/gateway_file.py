"""A gateway's own account of a day, as it sends it: CSV or JSON Lines, read line by line, never trusted.

Columns: docs/reconciliation.md. A line that cannot be read stops the reading and is named; nothing
is guessed.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from schemas.money import AMOUNT_MINOR_MAX, EXPONENTS

FileState = Literal["accepted", "settled", "failed", "returned"]
STATES: Final[tuple[FileState, ...]] = get_args(FileState)
COLUMNS: Final = (
    "command_id",
    "order_id",
    "kind",
    "party_id",
    "amount_minor",
    "currency",
    "state",
    "attempt",
    "at",
)
_NUMBERS: Final = ("amount_minor", "attempt")
_TEXT_MAX: Final = 200


class Entry(NamedTuple):
    """One line: what a gateway says of one command. `line` counts from 1, the head of a CSV too."""

    line: int
    command_id: str
    order_id: str
    kind: str
    party_id: str
    amount_minor: int
    currency: str
    state: FileState
    attempt: int
    at: str  # RFC 3339, when it came into that state; for people


class BadFile(ValueError):
    """The file cannot be read; the text names the line and what is wrong with it."""


def read_gateway_file(path: Path) -> Iterator[Entry]:
    """Its entries in order. JSON Lines if the first line is an object. Raises BadFile, OSError."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            first = file.readline()
            file.seek(0)
            rows = _json_rows(file) if first.lstrip().startswith("{") else _csv_rows(file)
            for line, row in rows:
                yield _entry(line, row)
        except UnicodeDecodeError:
            raise BadFile("the file is not UTF-8") from None
        except csv.Error as error:
            raise BadFile(f"not CSV: {error}") from None


def _json_rows(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            raise BadFile(f"line {number}: not JSON") from None
        if not isinstance(row, dict):
            raise BadFile(f"line {number}: not an object")
        yield number, row


def _csv_rows(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(lines, strict=True)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise BadFile(f"line 1: no column {', '.join(missing)}")
    for row in reader:
        if None in row or None in row.values():
            raise BadFile(f"line {reader.line_num}: not as many cells as columns")
        yield reader.line_num, row


def _entry(line: int, row: dict[str, Any]) -> Entry:
    texts = {name: _text(line, row, name) for name in COLUMNS if name not in _NUMBERS}
    state = next((known for known in STATES if known == texts["state"]), None)
    if state is None:
        raise BadFile(f"line {line}: state is one of {', '.join(STATES)}")
    if texts["kind"] not in ("refund", "payout"):
        raise BadFile(f"line {line}: kind is refund or payout")
    if texts["currency"] not in EXPONENTS:
        raise BadFile(f"line {line}: no such currency")
    return Entry(
        line,
        texts["command_id"],
        texts["order_id"],
        texts["kind"],
        texts["party_id"],
        _whole(line, row, "amount_minor", AMOUNT_MINOR_MAX),
        texts["currency"],
        state,
        _whole(line, row, "attempt", 1_000_000),
        texts["at"],
    )


def _text(line: int, row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _TEXT_MAX or not value.isprintable():
        raise BadFile(f"line {line}: {name} is a text of 1 to {_TEXT_MAX} characters")
    return value


def _whole(line: int, row: dict[str, Any], name: str, largest: int) -> int:
    value = row.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if type(value) is not int or not 0 < value <= largest:
        raise BadFile(f"line {line}: {name} is a whole number from 1 on")
    return value
