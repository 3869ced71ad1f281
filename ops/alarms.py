"""Which of our alert rules hold now, since when, and what to do first: the rules are those of Prometheus.

Nothing is decided by alarms. A rule whose metrics nobody can look at is unknown, never quiet.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import yaml

from ops.promql import NotUnderstood, Query, parse, seconds_of
from ops.sample_memory import Labels, Memory, Sample

RULES: Final = Path(__file__).parent / "prometheus" / "rules.yml"
Severity = Literal["critical", "warning", "info"]
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning", "info")
_PREFIXES: Final = ("", "k", "M", "G", "T")
_SLOT: Final = re.compile(r"\{\{ \$(value|labels\.(\w+))(?: \| (humanize|humanizeDuration))? \}\}")


class BadRules(ValueError):
    """The rules cannot be read; the text names the alert and what is wrong with it."""


class Rule(NamedTuple):
    """One alert, as `ops/prometheus/rules.yml` says it."""

    name: str
    query: Query
    for_seconds: float
    severity: Severity
    summary: str  # with slots
    first_action: str
    runbook: str  # the section of docs/runbook.md


class Alarm(NamedTuple):
    """A rule that holds for one set of labels."""

    rule: Rule
    labels: Labels
    value: float
    since: float  # seconds, when it was first seen to hold
    fires: bool  # it has held for as long as the rule asks

    @property
    def summary(self) -> str:
        return said(self.rule.summary, dict(self.labels), self.value)

    @property
    def first_action(self) -> str:
        return said(self.rule.first_action, dict(self.labels), self.value)


class Judged(NamedTuple):
    """One judgement over all rules."""

    alarms: tuple[Alarm, ...]  # the gravest first
    quiet: tuple[Rule, ...]
    unknown: tuple[Rule, ...]  # what they need is not looked at from here

    @property
    def firing(self) -> list[Alarm]:
        return [alarm for alarm in self.alarms if alarm.fires]


class Judge:
    """Looks again and again, and remembers since when what holds."""

    def __init__(self, rules: Collection[Rule]) -> None:
        spans: dict[str, float] = {}
        for rule in rules:
            for name, span in rule.query.spans.items():
                spans[name] = max(span, spans.get(name, 0))
        self._rules = rules
        self._memory = Memory(spans)
        self._since: dict[tuple[str, Labels], float] = {}

    @property
    def names(self) -> frozenset[str]:
        """All metrics that the rules ask for."""
        return frozenset().union(*(rule.query.names for rule in self._rules))

    def judge(
        self, at: float, samples: Iterable[Sample], known: Collection[str] | None = None
    ) -> Judged:
        """The rules over what was seen at this instant (seconds).

        `known`: metrics that could have been seen at all; a rule that needs others is unknown.
        """
        self._memory.look(at, samples)
        alarms: list[Alarm] = []
        quiet: list[Rule] = []
        unknown: list[Rule] = []
        for rule in self._rules:
            if known is not None and not rule.query.names <= set(known):
                unknown.append(rule)
                continue
            found = self._alarms(rule, at)
            alarms += found
            if not found:
                quiet.append(rule)
        self._since = {(alarm.rule.name, alarm.labels): alarm.since for alarm in alarms}
        alarms.sort(key=lambda a: (not a.fires, SEVERITIES.index(a.rule.severity), a.since))
        return Judged(tuple(alarms), tuple(quiet), tuple(unknown))

    def _alarms(self, rule: Rule, at: float) -> list[Alarm]:
        alarms = []
        for labels, value in rule.query.ask(self._memory).items():
            since = self._since.get((rule.name, labels), at)
            alarms.append(Alarm(rule, labels, value, since, at - since >= rule.for_seconds))
        return alarms


def read_rules(path: Path = RULES) -> tuple[Rule, ...]:
    """The alerts of a file of Prometheus' own form, in its order. Raises BadRules, OSError."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return tuple(_rule(alert) for group in groups for alert in group["rules"])


def _rule(alert: Mapping[str, Any]) -> Rule:
    try:
        notes = alert["annotations"]
        return Rule(
            alert["alert"],
            parse(alert["expr"]),
            seconds_of(alert.get("for", "0s")),
            alert["labels"]["severity"],
            notes["summary"],
            notes["first_action"],
            notes["runbook_url"].partition("#")[2],
        )
    except (NotUnderstood, KeyError) as error:
        raise BadRules(f"{alert.get('alert')}: {error}") from None


def said(summary: str, labels: Mapping[str, str], value: float) -> str:
    """A summary with its slots filled, as Prometheus fills them."""

    def filled(slot: re.Match[str]) -> str:
        if slot[2]:
            return labels.get(slot[2], "")
        return {"humanize": humanized, "humanizeDuration": duration}.get(slot[3], plain)(value)

    return _SLOT.sub(filled, summary)


def plain(value: float) -> str:
    """`12`, not `12.0`."""
    return f"{value:g}" if value != int(value) else str(int(value))


def humanized(value: float) -> str:
    """Four digits and a prefix: `1.235k`."""
    if not isfinite(value):
        return f"{value:g}"
    power = 0
    while abs(value) >= 1_000 and power + 1 < len(_PREFIXES):
        value, power = value / 1_000, power + 1
    return f"{value:.4g}{_PREFIXES[power]}"


def duration(seconds: float) -> str:
    """`2m 1s`, `7d 0h 0m 1s`."""
    if not isfinite(seconds) or abs(seconds) < 60:
        return f"{seconds:.4g}s"
    minutes, second = divmod(int(abs(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    parts = [f"{day}d", f"{hour}h", f"{minute}m", f"{second}s"]
    shown = parts[0 if day else 1 if hour else 2 :]
    return ("-" if seconds < 0 else "") + " ".join(shown)
