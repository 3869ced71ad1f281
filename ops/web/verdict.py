"""Is money moving, and if not, what to do first: one sentence, and findings with the worst first.

Each finding leads to its first action: a page here, or a command to type.
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from ops.cli.terminal import how_long
from ops.lag import PartitionLag
from ops.paused_words import paused_words
from ops.web.history import Look
from ops.web.watcher import Seen
from schemas.money import format_amount
from storage.overview import Counted, Figures

Level = Literal["bad", "warn", "note"]
OUTBOX_SECONDS_MAX: Final = 10.0
BLIND_SECONDS_MAX: Final = 10.0
WHAT_TO_DO: Final = "what to do"
_ORDER: Final = ("bad", "warn", "note")
_EVERYWHERE: Final = 8  # stages


class Finding(NamedTuple):
    """Something that somebody must know, and where to begin."""

    level: Level
    text: str
    href: str
    action: str


class Verdict(NamedTuple):
    """The whole line in one word and a sentence."""

    level: Literal["good", "warn", "bad", "unknown"]
    sentence: str
    findings: list[Finding]


def judge(seen: Seen) -> Verdict:
    """What the last looks say. Without a look nothing is said to be good."""
    findings = sorted(_findings(seen), key=lambda finding: _ORDER.index(finding.level))
    levels = {finding.level for finding in findings}
    if "bad" in levels:
        return Verdict("bad", "Money is not moving as it should", findings)
    if seen.troubles:
        return Verdict("unknown", "Nobody can see whether money is moving", findings)
    if seen.look is None or seen.figures is None:
        return Verdict("unknown", "Looking for the first time", findings)
    if "warn" in levels:
        return Verdict("warn", "Money is moving, and something needs a person", findings)
    return Verdict("good", "Money is moving", findings)


def _findings(seen: Seen) -> Iterator[Finding]:
    for trouble in seen.troubles.values():
        yield Finding("warn", trouble.text, "/lag", "run `escrow doctor`")
    if seen.figures is not None:
        yield from _of_money(seen.figures)
        for pause in seen.figures.paused:
            yield Finding("bad", paused_words(pause), "/runbook#sending-paused", WHAT_TO_DO)
    if seen.look is not None:
        yield from _of_lag(seen.look)
    if seen.counts is not None:
        yield from _of_counts(seen.counts.counted)


def _of_money(figures: Figures) -> Iterator[Finding]:
    off: dict[str, int] = {}
    for money in figures.money:
        off[money.currency] = off.get(money.currency, 0) + money.imbalance
    for currency, minor in off.items():
        if minor:
            text = f"{format_amount(minor, currency)} captured and nowhere to be found"
            yield Finding("bad", text, "/", "run `escrow audit`")


def _of_lag(look: Look) -> Iterator[Finding]:
    for topic in look.report.missing_topics:
        yield Finding("bad", f"there is no topic {topic}", "/lag", "run `escrow topics apply`")
    stages: dict[str, list[PartitionLag]] = {}
    for row in look.report.partitions:
        stages.setdefault(row.stage, []).append(row)
    empty = [name for name, rows in stages.items() if rows[0].verdict == "no-members"]
    if len(empty) == _EVERYWHERE:
        yield Finding("bad", "no stage has a process", "/lag", "start the stages")
    else:
        for name in empty:
            behind = sum(row.behind for row in stages[name])
            text = f"{name} has no process, {behind:,} records wait for it"
            yield Finding("bad", text, f"/lag/{name}", f"run `escrow consume {name}`")
    for name, rows in stages.items():
        for verdict, level in (("stuck", "bad"), ("slow", "warn")):
            if hit := [row for row in rows if row.verdict == verdict]:
                places = "partition " + ", ".join(str(row.partition) for row in hit)
                text = f"{name} is {verdict} in {places}: {hit[0].detail}"
                yield Finding(level, text, f"/lag/{name}", "look at the stage")  # type: ignore[arg-type]
    if look.unsent_seconds > OUTBOX_SECONDS_MAX:
        text = (
            f"{look.report.unsent:,} records wait for the relay, the oldest for"
            f" {how_long(int(look.unsent_seconds * 1000))} at least"
        )
        yield Finding("bad", text, "/", "is `escrow relay` running?")


def _of_counts(counted: Counted) -> Iterator[Finding]:
    rows = counted.rows
    failed = sum(rows.unresolved.values())
    letters = sum(letter.number for letter in rows.dead_letters.values())
    list_failed = "run `escrow commands list --state failed`"
    found: tuple[tuple[int, Level, str, str, str], ...] = (
        (rows.held_back, "warn", "commands held for a person", "/runbook#held-command", WHAT_TO_DO),
        (
            counted.silent,
            "warn",
            "commands without a final answer for too long",
            "/runbook#silent-command",
            WHAT_TO_DO,
        ),
        (rows.overdue, "warn", "deadlines passed and undecided", "/lag/deadlines", "look"),
        (letters, "note", "dead letters that wait for a person", "/dead-letters", "look at them"),
        (
            failed,
            "note",
            "commands that failed or came back, and were not reissued",
            "/",
            list_failed,
        ),
    )
    for number, level, text, href, action in found:
        if number:
            yield Finding(level, f"{text}: {number:,}", href, action)
