"""The console judges by the rules of Prometheus as Prometheus does: its own tests of them are the oracle."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typing_extensions import override

from consumers.engine.catalogue import CATALOGUE
from consumers.engine.config import Settings
from ops.alarms import BadRules, Judge, duration, humanized, read_rules, said
from ops.promql import NotUnderstood, parse
from ops.sample_memory import Memory, Sample, increase
from ops.scraping import scrape
from ops.web.alarm_watch import AlarmWatch
from tests.unit.looks import COUNTED, NOW, a_sample, seen_by

FOLDER: Final = Path(__file__).parents[2] / "ops" / "prometheus"
RULES: Final = read_rules()
TESTS: Final[list[dict[str, Any]]] = yaml.safe_load((FOLDER / "rules_test.yml").read_text())[
    "tests"
]
MINUTE: Final = 60
# promtool's series end without a mark, so Prometheus believes in them for five minutes more; a scrape's do not
ENDING: Final = [test for test in TESTS if any("_x" in s["values"] for s in test["input_series"])]


def values_of(text: str) -> list[float | None]:
    """promtool's notation: `1 2x3 0+5x2 _x4`."""
    values: list[float | None] = []
    for word in text.split():
        found = re.fullmatch(r"(_|-?\d+)(?:\+(\d+))?(?:x(\d+))?", word)
        assert found is not None, word
        start = None if found[1] == "_" else float(found[1])
        step, times = float(found[2] or 0), int(found[3] or 0)
        if start is None:
            values += [None] * max(times, 1)
        else:
            values += [start + step * n for n in range(times + 1)]
    return values


def series_of(test: dict[str, Any]) -> list[tuple[str, Any, list[float | None]]]:
    found = []
    for one in test["input_series"]:
        name, _, rest = one["series"].partition("{")
        labels = tuple(sorted(re.findall(r'(\w+)="([^"]*)"', rest)))
        found.append((name, labels, values_of(one["values"])))
    return found


def judged(test: dict[str, Any]) -> dict[int, list[tuple[str, dict[str, str], str, str]]]:
    """Minute → what fires then: name, labels, summary, first action."""
    judge, firing, series = Judge(RULES), {}, series_of(test)
    for minute in range(13):
        samples = [
            Sample(name, labels, value)
            for name, labels, values in series
            if minute < len(values) and (value := values[minute]) is not None
        ]
        found = judge.judge(minute * MINUTE, samples)
        firing[minute] = [
            (one.rule.name, dict(one.labels), one.summary, one.first_action) for one in found.firing
        ]
    return firing


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test["name"])
def test_it_judges_as_prometheus_does(test: dict[str, Any]) -> None:
    firing = judged(test)
    for one in test["alert_rule_test"]:
        if test in ENDING and not one["exp_alerts"]:
            continue
        minute = int(one["eval_time"].removesuffix("m"))
        mine = [found[1:] for found in firing[minute] if found[0] == one["alertname"]]
        theirs = [
            (
                {k: v for k, v in alert.get("exp_labels", {}).items() if k != "severity"},
                alert["exp_annotations"]["summary"],
                alert["exp_annotations"]["first_action"],
            )
            for alert in one["exp_alerts"]
        ]
        assert mine == theirs, minute


def test_since_is_when_it_was_first_seen_and_what_ends_is_forgotten() -> None:
    judge = Judge(RULES)
    missing = Sample("escrow_topics_missing", (), 1)
    for at, samples, fires in (
        (0, [missing], False),
        (30, [missing], False),
        (60, [missing], True),
        (90, [], None),
        (120, [missing], False),
    ):
        found = [a for a in judge.judge(at, samples).alarms if a.rule.name == "EscrowTopicMissing"]
        assert [one.fires for one in found] == ([] if fires is None else [fires]), at
        assert all(one.since == (120 if at == 120 else 0) for one in found)


def test_a_rule_whose_metrics_nobody_sees_is_unknown_not_quiet() -> None:
    names = {"escrow_topics_missing"}
    found = Judge(RULES).judge(0, [Sample("escrow_topics_missing", (), 0)], names)
    assert [rule.name for rule in found.quiet] == ["EscrowTopicMissing"]
    assert len(found.unknown) == len(RULES) - 1
    assert found.alarms == ()


def test_a_console_alone_judges_what_it_sees_itself() -> None:
    watch = AlarmWatch(Settings())
    seen = seen_by([a_sample(0, members=0, end=30)])
    found = watch.look(seen.look, COUNTED, NOW)
    assert [(a.rule.name, dict(a.labels)) for a in found.alarms] == [
        ("EscrowStageWithoutMembers", {"stage": "payments"})
    ]
    unknown = {rule.name for rule in found.unknown}
    assert {"EscrowProgramDown", "EscrowBlind", "EscrowRelayMissing"} <= unknown
    assert "EscrowMoneyImbalance" in {rule.name for rule in found.quiet}
    assert len(watch.look(None, None, 0).unknown) == len(RULES)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "x >",
        "x > y",
        "max by (a (x)",
        "x{a~'b'}",
        'x{a=~"b"}',
        "rate(x)",
        "x[5q]",
        "avg(x) > 1",
        "x) > 1",
    ],
)
def test_what_is_not_understood_is_an_error_and_never_a_silent_alarm(expression: str) -> None:
    with pytest.raises(NotUnderstood):
        parse(expression)


def test_rules_that_lack_something_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text("groups: [{rules: [{alert: A, expr: 'x > 1', labels: {severity: info}}]}]")
    with pytest.raises(BadRules, match="A: 'annotations'"):
        read_rules(file)


def test_a_counter_that_begins_anew_has_still_grown() -> None:
    points = [(0.0, 5.0), (10.0, 9.0), (20.0, 2.0), (30.0, 3.0)]
    assert increase(points, 30, 30, counts=True) == pytest.approx(7.0)
    assert increase(points, 30, 30, counts=False) == pytest.approx(-2.0)
    assert increase(points[:1], 30, 30, counts=True) is None


def test_memory_is_bounded_by_time() -> None:
    memory = Memory({"x": 60})
    for at in range(0, 600, 10):
        memory.look(at, [Sample("x", (), at), Sample("y", (), at)])
    ((_, points),) = memory.past("x", 60)
    assert [at for at, _ in points] == [530, 540, 550, 560, 570, 580, 590]
    assert list(memory.past("y", 60)) == []


def test_figures_are_written_as_prometheus_writes_them() -> None:
    assert [humanized(v) for v in (0, 12, 1234.5, 2_500_000)] == ["0", "12", "1.234k", "2.5M"]
    assert [duration(v) for v in (1.5, 61, 3_601, 604_801)] == [
        "1.5s",
        "1m 1s",
        "1h 0m 1s",
        "7d 0h 0m 1s",
    ]
    assert said("{{ $labels.gone }} {{ $value }}", {}, 0.5) == " 0.5"


class _Program(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'# HELP x y\nescrow_topics_missing 2.0\nother{program="x"} 1\nescrow_turn_age_seconds{program="relay"} 3\n'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def program() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Program)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_programs_are_asked_where_their_files_say(program: str, tmp_path: Path) -> None:
    for name, address in (("relay", program), ("ticker", "127.0.0.1:1")):
        target = {"targets": [address], "labels": {"program": name}}
        (tmp_path / f"{name}-1.json").write_text(json.dumps([target]))
    (tmp_path / "half-2.json").write_text('[{"targ')
    found = scrape(tmp_path, {"escrow_topics_missing", "escrow_turn_age_seconds"})
    told = {(one.name, dict(one.labels)["program"]): one.value for one in found}
    assert told == {
        ("up", "relay"): 1,
        ("up", "ticker"): 0,
        ("escrow_topics_missing", "relay"): 2,
        ("escrow_turn_age_seconds", "relay"): 3,
    }
    assert dict(found[0].labels)["instance"] == program


def test_every_metric_that_a_rule_asks_for_is_served() -> None:
    served = {metric.name for metric in CATALOGUE} | {"up"}
    assert frozenset().union(*(rule.query.names for rule in RULES)) <= served
