"""The ledger as a part of the reliability page: what stands there is what was booked."""

from pathlib import Path
from typing import Final

from tests.chaos import ledger
from tests.zoo.bugs import BUGS

PAGE: Final = ledger.ROOT / "docs/reliability.md"
BEGIN: Final = "<!-- figures: python -m tests.chaos report --write -->\n"
END: Final = "<!-- end of figures -->\n"
_TITLES: Final = {
    "schedules": "Simulated schedules, by kind",
    "kills": "Kills, by place",
    "faults": "Faults, by kind",
    "inputs": "Bad inputs, by the code of their refusal",
}


def figures(entries: list[ledger.Entry]) -> str:
    """Markdown: the last line, then a table a kind."""
    parts = [f"`{ledger.last_line(entries)}`", _runs(entries)]
    for kind, title in _TITLES.items():
        counted = ledger.summed(entries, kind)
        if counted:
            rows = [f"| {name} | {counted[name]:,} |" for name in sorted(counted)]
            parts.append("\n".join((f"### {title}\n", "| | Times |", "|---|---|", *rows)))
    parts.append(_bugs(entries))
    return "\n\n".join(parts) + "\n"


def write_figures(entries: list[ledger.Entry], page: Path = PAGE) -> None:
    """Replace what stands between the two marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{figures(entries)}\n{END}{after}")


def _runs(entries: list[ledger.Entry]) -> str:
    rows = [
        "| | Booked | Count | Seconds | Seeds | Commits | Violations |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(entry["kind"] for entry in entries):
        some = [entry for entry in entries if entry["kind"] == kind]
        seeds = ", ".join(str(seed) for seed in sorted({entry["seed"] for entry in some}))
        commits = ", ".join(dict.fromkeys(entry["commit"] for entry in some))
        count, seconds = sum(e["count"] for e in some), sum(e["seconds"] for e in some)
        bad = sum(entry["violations"] for entry in some)
        rows.append(
            f"| {kind} | {len(some)} | {count:,} | {seconds:,.0f} | {seeds} | {commits} | {bad} |"
        )
    return "\n".join(rows)


def _bugs(entries: list[ledger.Entry]) -> str:
    rows = ["### Planted bugs\n", "| Bug | Tests that must fail | | Seconds |", "|---|---|---|---|"]
    last = {name: entry for entry in entries if entry["kind"] == "bugs" for name in entry["by"]}
    for name, entry in last.items():
        said = "caught" if entry["by"][name] else "**not caught**"
        tests = BUGS[name].caught_by.removeprefix("tests/") if name in BUGS else "—"
        rows.append(f"| {name} | {tests} | {said} | {entry['seconds']:.0f} |")
    return "\n".join(rows)
