"""The committed results: one JSON object a line, only ever appended; the last line of a report adds up."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
Entry = dict[str, Any]


def path() -> Path:
    """The committed ledger, unless the environment names another (CHAOS_LEDGER)."""
    return Path(os.environ.get("CHAOS_LEDGER") or Path(__file__).with_name("ledger.jsonl"))


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def append(kind: str, seed: int, counts: Counter[str], seconds: float, violations: int) -> Entry:
    """Book one run: `counts` by name of place, fault or code; of bugs, 1 for caught, 0 for not."""
    entry: Entry = {
        "kind": kind,
        "seed": seed,
        "count": counts.total(),
        "by": dict(sorted(counts.items())),
        "seconds": round(seconds, 1),
        "commit": commit(),
        "violations": violations,
    }
    with path().open("a") as file:
        file.write(json.dumps(entry, separators=(",", ":")) + "\n")
    return entry


def read() -> list[Entry]:
    file = path()
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def summed(entries: Iterable[Entry], kind: str) -> Counter[str]:
    """How often each place, fault or code was tried."""
    total: Counter[str] = Counter()
    for entry in entries:
        if entry["kind"] == kind:
            total.update(entry["by"])
    return total


def unexplained(entries: Sequence[Entry]) -> int:
    """Violations whose root nobody has written down."""
    found: int = sum(entry["violations"] for entry in entries)
    return found - summed(entries, "explained").total()


def last_line(entries: Sequence[Entry]) -> str:
    """Faults include no kills at named places: those are counted by themselves."""
    schedules = summed(entries, "schedules").total()
    kills = summed(entries, "kills").total()
    faults = +summed(entries, "faults")
    inputs = summed(entries, "inputs").total()
    bugs = {
        name: caught for e in entries if e["kind"] == "bugs" for name, caught in e["by"].items()
    }
    return (
        f"chaos: {schedules} schedules, {kills} kills, {faults.total()} faults of {len(faults)}"
        f" kinds, {inputs} bad inputs, {sum(bugs.values())}/{len(bugs)} planted bugs caught,"
        f" {unexplained(entries)} violations"
    )
