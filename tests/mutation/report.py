"""What the verdicts come to, by file, and the reliability page's section of it.

Score: killed of those that were tried and are not listed as equal. A mutant is equal if no test could tell it from the
original; `equal.json` says why of each. One that is listed and yet killed is an error of the list.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.chaos.ledger import commit
from tests.mutation.mutants import ROOT, Module
from tests.mutation.packages import Package
from tests.mutation.pool import BROKEN, TIMED_OUT
from tests.mutation.results import Found

EQUAL: Final = Path(__file__).with_name("equal.json")
BOOKED: Final = Path(__file__).with_name("score.json")
PAGE: Final = ROOT / "docs/reliability.md"
BEGIN: Final = "<!-- mutants: python -m tests.mutation --write -->\n"
END: Final = "<!-- end of mutants -->\n"
SCORE_MIN: Final = 95.0
COLUMNS: Final = ("mutants", "killed", "too_slow", "equal", "survived", "untried")
Counts = dict[str, int]


def equal_ones() -> dict[str, str]:
    """Why each of these mutants is the same as the original, by its key."""
    listed: list[dict[str, Any]] = json.loads(EQUAL.read_text())
    return {key: entry["because"] for entry in listed for key in entry["mutants"]}


def report(package: Package, modules: Sequence[Module], found: Found, *, write: bool) -> int:
    """Print the score by file and each survivor; 0 if enough are killed and none is left untried."""
    equal = equal_ones()
    files = {module.path: counts(module, found, equal) for module in modules}
    for module in modules:
        for mutant in module.mutants:
            said = _finding(found.known.get(mutant.key), listed=mutant.key in equal)
            if said:
                place = f"{mutant.path}:{mutant.lines.start} {mutant.function}"
                sys.stdout.write(f"\n{said}: {place}\n- {mutant.was}\n+ {mutant.becomes}\n")
                sys.stdout.write(f"  {mutant.key}\n" if mutant.occurrence else "")
    whole = added_up(files.values())
    sys.stdout.write("\n" + "\n".join(table(files)) + f"\n\n{last_line(package.name, whole)}\n")
    if write:
        book(package.name, files)
    wrong = any(found.known.get(key) for key in equal)
    return 1 if wrong or whole["untried"] or score(whole) < SCORE_MIN else 0


def _finding(by: str | None, *, listed: bool) -> str:
    if listed:
        return f"listed as equal, yet killed by {by}" if by else ""
    return "survives" if by == "" else ""


def counts(module: Module, found: Found, equal: dict[str, str]) -> Counts:
    sums = dict.fromkeys(COLUMNS, 0)
    for mutant in module.mutants:
        by = found.known.get(mutant.key)
        if mutant.key in equal:
            sums["equal"] += 1
        elif by is None or by == BROKEN:
            sums["untried"] += 1
        else:
            sums["killed" if by else "survived"] += 1
            sums["too_slow"] += by == TIMED_OUT
        sums["mutants"] += 1
    return sums


def added_up(files: Iterable[Counts]) -> Counts:
    sums = dict.fromkeys(COLUMNS, 0)
    for file in files:
        for name in COLUMNS:
            sums[name] += file[name]
    return sums


def score(sums: Counts) -> float:
    """Of a hundred that were tried and could be told from the original."""
    counted = sums["killed"] + sums["survived"]
    return 100.0 * sums["killed"] / counted if counted else 0.0


def last_line(package: str, sums: Counts) -> str:
    untried = f", {sums['untried']} not tried yet" if sums["untried"] else ""
    return (
        f"mutation of {package}: {sums['mutants']} mutants, {sums['equal']} equal,"
        f" {sums['killed']} killed ({sums['too_slow']} by time), {sums['survived']} survive{untried};"
        f" score {score(sums):.1f} of 100{' of those tried' if untried else ''}"
    )


def table(files: dict[str, Counts]) -> list[str]:
    rows = [
        "| File | Mutants | Equal | Killed | Survive | Not tried | Score |",
        "|---|---|---|---|---|---|---|",
    ]
    for path, n in files.items():
        of_tried = f"{score(n):.1f}" if n["killed"] + n["survived"] else "—"
        rows.append(
            f"| {path} | {n['mutants']} | {n['equal']} | {n['killed']} | {n['survived']}"
            f" | {n['untried']} | {of_tried} |"
        )
    return rows


def book(package: str, files: dict[str, Counts]) -> None:
    """Into the committed score, and from there into the page."""
    booked = json.loads(BOOKED.read_text()) if BOOKED.exists() else {}
    booked[package] = {"commit": commit(), "files": files}
    BOOKED.write_text(json.dumps(booked, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{section(booked)}\n{END}{rest.partition(END)[2]}")


def section(booked: dict[str, Any]) -> str:
    """Markdown: a table a package, and why the equal ones are equal."""
    parts = []
    for package, run in booked.items():
        said = last_line(package, added_up(run["files"].values()))
        command = f"make mutation{'' if package == 'escrow' else f' ARGS={package}'}"
        parts.append(f"`{said}`\n\n`{command}` at {run['commit']}.")
        parts.append("\n".join(table(run["files"])))
    listed: list[dict[str, Any]] = json.loads(EQUAL.read_text())
    parts.append("Equal to the original, and why:")
    parts.append("\n".join(f"- {len(entry['mutants'])}: {entry['because']}" for entry in listed))
    return "\n\n".join(parts) + "\n"
