"""The first page says the worst first, costs no server a question, and stays small and safe."""

import re
import time

import psycopg
import pytest
from starlette.testclient import TestClient

from consumers.engine.config import Settings, WebSettings
from ops.web.app import create_app
from ops.web.assets import FOR_EVER
from ops.web.heat import HEATS
from ops.web.history import COLUMNS_MAX
from ops.web.overview import funnel
from ops.web.safety import CONTENT_SECURITY_POLICY
from ops.web.verdict import judge
from ops.web.watcher import Counts, Seen, Trouble
from storage.overview import Endings
from storage.sending import Pause
from tests.unit.looks import COUNTED, MONEY, NOW, ROWS, Eyes, a_sample, seen_by

ORIGIN = "http://127.0.0.1"
PAGE_BYTES_MAX = 100_000


def client(seen: Seen, settings: Settings | None = None) -> TestClient:
    app = create_app(settings or Settings(), Eyes(seen, settings))
    return TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)


QUIET = seen_by([a_sample(0), a_sample(1)])


def test_a_quiet_line_is_said_to_be_quiet() -> None:
    verdict = judge(QUIET)
    assert (verdict.level, verdict.sentence) == ("good", "Money is moving")
    assert [finding.text for finding in verdict.findings] == [
        "dead letters that wait for a person: 2"
    ]


@pytest.mark.parametrize(
    ("seen", "level", "first"),
    [
        (Seen(0), "unknown", None),
        (seen_by([a_sample(0, members=0, end=30)]), "bad", "payments has no process, 20 records"),
        (
            seen_by([a_sample(0, end=5)]),
            "bad",
            "payments is stuck in partition 0: the position 10 is beyond the end 5",
        ),
        (
            seen_by([a_sample(at, unsent=3, unsent_since=1) for at in range(12)]),
            "bad",
            "3 records wait for the relay, the oldest for 11 s at least",
        ),
        (
            QUIET._replace(figures=QUIET.figures._replace(money=[MONEY._replace(held=4199)]))
            if QUIET.figures
            else QUIET,
            "bad",
            "0.01 EUR captured and nowhere to be found",
        ),
        (
            QUIET._replace(troubles={"books": Trouble("the database does not answer", NOW)}),
            "unknown",
            "the database does not answer",
        ),
        (
            seen_by([a_sample(0)])._replace(
                counts=Counts(COUNTED._replace(rows=ROWS._replace(held_back=1)), NOW, 0.1)
            ),
            "warn",
            "commands held for a person: 1",
        ),
    ],
)
def test_the_worst_comes_first(seen: Seen, level: str, first: str | None) -> None:
    verdict = judge(seen)
    assert verdict.level == level
    if first is not None:
        assert verdict.findings[0].text.startswith(first)
        assert verdict.findings[0].action


def test_a_pause_of_sending_is_the_first_thing_said_and_its_note_is_text() -> None:
    assert QUIET.figures is not None
    pause = Pause("all", "operator", "anna", "<b>a theft?</b>", NOW)
    seen = QUIET._replace(figures=QUIET.figures._replace(paused=(pause,)))
    verdict = judge(seen)
    assert (verdict.level, verdict.findings[0].href) == ("bad", "/runbook#sending-paused")
    page = client(seen).get("/").text
    assert "all commands are paused by anna: &lt;b&gt;a theft?" in page
    assert "<b>" not in page


def test_a_page_asks_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a page must not ask the database")

    monkeypatch.setattr(psycopg, "connect", forbidden)
    monkeypatch.setattr(psycopg.Connection, "connect", forbidden)
    for path in ("/", "/lag", "/lag/payments"):
        answer = client(QUIET).get(path)
        assert answer.status_code == 200, path


def test_the_figures_stand_on_the_page_with_unit_source_and_age() -> None:
    page = client(QUIET).get("/").text
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "EUR 42.00 42.00 0 0 0 3" in text
    assert "settled by agreement 1 100.0 %" in text
    assert "invalid json 2" in text
    assert "totals in the database" in text
    assert "positions from the database, ends from Kafka" in text


@pytest.mark.parametrize("path", ["/", "/lag", "/lag/payments", "/alarms"])
def test_a_server_that_is_away_breaks_no_page(path: str) -> None:
    """/lag once failed itself, for want of brackets around a duration."""
    since = time.time_ns() // 1_000_000 - 90_000
    troubles = {"lag": Trouble("Kafka does not answer: nobody there", since)}
    answer = client(QUIET._replace(troubles=troubles)).get(path)
    assert answer.status_code == 200
    if path == "/lag":
        assert "Kafka does not answer: nobody there (for 1 min 30 s)" in answer.text


def test_nothing_was_seen_yet() -> None:
    for path in ("/", "/lag", "/lag/payments"):
        answer = client(Seen(0)).get(path)
        assert answer.status_code == 200
        assert "seen yet" in answer.text


def test_a_bad_quarter_of_an_hour_is_no_bigger_a_page() -> None:
    """Every cell another heat than its neighbours, in every partition."""
    seen = seen_by([a_sample(at * 10) for at in range(COLUMNS_MAX)])
    columns = tuple(
        column._replace(
            cells={
                place: cell._replace(seconds=(0.0, *HEATS)[(index + place[1]) % 6])
                for place, cell in column.cells.items()
            }
        )
        for index, column in enumerate(seen.columns)
    )
    for path in ("/", "/lag"):
        page = client(seen._replace(columns=columns)).get(path)
        assert len(page.content) < PAGE_BYTES_MAX - assets_bytes()


def assets_bytes() -> int:
    paths = ("/static/console.css", "/static/console.js", "/static/icon.svg")
    return sum(len(client(QUIET).get(path).content) for path in paths)


@pytest.mark.parametrize("path", ["/", "/lag", "/lag/payments", "/nowhere", "/static/console.js"])
def test_only_our_own_scripts_and_styles_can_run(path: str) -> None:
    answer = client(QUIET).get(path)
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    if path.startswith("/static"):
        return
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)
    assert re.findall(r"<script[^>?]*", answer.text) == ['<script src="/static/console.js']
    assert not re.search(r"(src|href|action)=\"(https?:)?//", answer.text)


def test_a_browser_asks_once_for_what_does_not_change() -> None:
    """Three requests a page were made anew for each page, and the first paint waited for them."""
    page = client(QUIET).get("/")
    assert page.headers["cache-control"] == "no-store"
    found = re.findall(r'"(/static/[^"]+)"', page.text)
    assert len(found) == 3
    for address in found:
        name, _, digest = address.partition("?")
        for asked, kept in (
            (address, FOR_EVER),
            (name, "no-store"),
            (f"{name}?0{digest}", "no-store"),
        ):
            answer = client(QUIET).get(asked)
            assert (answer.status_code, answer.headers["cache-control"]) == (200, kept), asked
    assert client(QUIET).get("/static/../app.py?0").status_code == 404


def test_the_console_answers_to_its_own_name_only() -> None:
    for host, status in (
        ("127.0.0.1:8099", 200),
        ("localhost", 200),
        ("[::1]:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:8099", 421),
        ("", 421),
    ):
        assert client(QUIET).get("/", headers={"host": host}).status_code == status, host


@pytest.mark.parametrize("path", ["/", "/api/orders/o-1"])
def test_what_a_page_does_not_do_it_says_with_what_it_does(path: str) -> None:
    """It was once left out what is allowed, which RFC 9110 asks for."""
    for method in ("TRACE", "PUT", "DELETE"):
        answer = client(QUIET).request(method, path)
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_what_is_not_there_is_a_page_and_for_programs_a_value() -> None:
    answer = client(QUIET).get("/nowhere")
    assert answer.status_code == 404
    assert "There is no such page." in answer.text
    answer = client(QUIET).get("/nowhere", headers={"accept": "application/json"})
    assert answer.json() == {"error": "There is no such page."}
    assert client(QUIET).get("/lag/no-such-stage").status_code == 404


def test_a_bug_of_ours_shows_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.web.overview.judge", lambda _seen: 1 / 0)
    answer = client(QUIET).get("/")
    assert answer.status_code == 500
    assert "This page failed." in answer.text
    assert "ZeroDivision" not in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


def test_a_server_that_is_away_is_named_and_what_was_seen_stays() -> None:
    trouble = {"books": Trouble("the database does not answer (<gone>)", NOW)}
    page = client(QUIET._replace(troubles=trouble)).get("/").text
    assert "Nobody can see whether money is moving" in page
    assert "the database does not answer (&lt;gone&gt;)" in page
    assert "42.00" in page


def test_the_funnel_counts_each_order_once() -> None:
    steps = funnel(
        [
            Endings("NOT_PROTECTED", None, False, 50),
            Endings("RELEASED", "buyer", False, 6),
            Endings("RELEASED", "buyer", True, 1),
            Endings("DISPUTED", None, True, 2),
            Endings("IN_MEDIATION", None, True, 3),
            Endings("SPLIT", "ruling", True, 4),
        ]
    )
    assert [step.orders for step in steps] == [16, 10, 2, 3, 0, 4, 0, 1]


def test_beyond_loopback_only_with_tokens_and_tls() -> None:
    for web in (
        WebSettings(host="10.0.0.1"),
        WebSettings(host="0.0.0.0"),
    ):
        with pytest.raises(ValueError, match=r"web\.host: beyond loopback only with"):
            Settings(web=web)
