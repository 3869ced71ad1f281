"""The simulator's own account as gateways send it, true to its store; or with differences planted by a seed.

What is planted is said, so that a reconciliation can be tried: all of it is to be found, and no more.
"""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from ops.gateway_file import COLUMNS, STATES, Entry
from ops.local.gateway.reading import outcomes
from ops.spreadsheet import write_csv
from schemas.order_events import rfc3339


class Planted(NamedTuple):
    """One difference: which kind a reconciliation must call it, and about which command."""

    kind: str
    command_id: str


def account(data_dir: Path) -> list[Entry]:
    """A line for each command that was ever read, by id."""
    return [
        Entry(
            0,
            outcome.command_id,
            outcome.order_id,
            outcome.kind,
            outcome.party_id,
            outcome.amount_minor,
            outcome.currency,
            next(state for state in STATES if outcome.truth == f"gateway.{state}"),
            outcome.attempt,
            rfc3339(outcome.t),
        )
        for outcome in outcomes(data_dir)
    ]


def planted(entries: list[Entry], number: int, seed: int) -> tuple[list[Entry], list[Planted]]:
    """The account with so many differences, each about another command; fewer where it is short.

    Only settled lines are changed, so that each difference can be seen from outside.
    """
    rng = Random(seed)
    settled = [entry.command_id for entry in entries if entry.state == "settled"]
    chosen = rng.sample(settled, min(number, len(settled)))
    by_id = {command_id: _PLANTS[n % len(_PLANTS)] for n, command_id in enumerate(chosen)}
    told: list[Entry] = []
    plants: list[Planted] = []
    for entry in entries:
        plant = by_id.get(entry.command_id)
        if plant is None:
            told.append(entry)
            continue
        kind, change = plant
        lines = change(entry)
        told.extend(lines)
        about = lines[-1].command_id if kind == "extra" else entry.command_id
        plants.append(Planted(kind, about))
    rng.shuffle(told)
    return told, plants


_PLANTS: Final[tuple[tuple[str, Callable[[Entry], list[Entry]]], ...]] = (
    ("missing", lambda _entry: []),
    ("extra", lambda entry: [entry, entry._replace(command_id=f"x{entry.command_id[1:]}")]),
    ("doubled", lambda entry: [entry, entry]),
    ("different", lambda entry: [entry._replace(amount_minor=entry.amount_minor + 1)]),
    ("different", lambda entry: [entry._replace(currency="XPF")]),
    ("different", lambda entry: [entry._replace(state="failed")]),
    ("different", lambda entry: [entry._replace(state="returned")]),
    ("different", lambda entry: [entry._replace(party_id=f"{entry.party_id[:60]}.x")]),
)


def write_account(path: Path, entries: list[Entry]) -> None:
    """As CSV, or as JSON Lines where the name ends so."""
    with path.open("w", encoding="utf-8", newline="") as out:
        if path.suffix == ".jsonl":
            for entry in entries:
                row = dict(zip(COLUMNS, entry[1:], strict=True))
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
        else:
            write_csv(out, COLUMNS, (entry[1:] for entry in entries))
