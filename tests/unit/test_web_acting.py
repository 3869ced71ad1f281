"""Nobody acts without a role, this session's own form, a name and a reason; and nothing is done twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from consumers.engine.config import ConfigError, Role, Settings, WebSettings
from ops.web import limits
from ops.web.acting import Act, done
from ops.web.app import create_app
from ops.web.console import Console
from ops.web.kept_views import KeptViews
from ops.web.limits import KNOWN_MAX, PAGE_BYTES_MAX, Limit, Meter, Meters
from ops.web.people import COOKIE, People, Person, Session
from tests.unit.looks import Eyes, a_sample, seen_by

TOKENS = {
    "v" * 24: ("vera", "viewer"),
    "o" * 24: ("olga", "operator"),
    "m" * 24: ("max", "mediator"),
}


class Desk:
    """A console with one action: what was done lies in `acts`."""

    def __init__(self, web: WebSettings) -> None:
        settings = Settings(web=web)
        self.acts: list[Act] = []
        self.people = People(web)
        app = Starlette(routes=[Route("/act", done("operator", self._act), methods=["POST"])])
        app.state.console = Console(
            settings, Eyes(seen_by([a_sample(0)])), self.people, KeptViews(settings), Meters()
        )
        self.client = TestClient(app)

    def _act(self, _request: Request, act: Act) -> Response:
        self.acts.append(act)
        act.log("something", place="payments/0/1")
        return PlainTextResponse("done")

    def session(self, role: Role = "operator", name: str | None = None) -> Session:
        session = self.people.begin(Person(name, role))
        self.client.cookies.set(COOKIE, session.key)
        return session

    def send(self, session: Session, **changes: str) -> int:
        form = {
            "csrf": session.csrf,
            "once": self.people.ticket(),
            "reason": "why",
            "operator": "o",
        }
        return self.client.post("/act", data=form | changes).status_code


@pytest.fixture
def desk() -> Desk:
    return Desk(WebSettings(role="operator"))


def test_an_action_is_done_with_name_and_reason_and_written_down(desk: Desk) -> None:
    with capture_logs() as logs:
        assert desk.send(desk.session(), reason=" the  schema\nwas wrong ") == 200
    (act,) = desk.acts
    assert (act.operator, act.reason) == ("o", "the schema was wrong")
    assert logs == [
        {
            "action": "something",
            "event": "action",
            "log_level": "info",
            "operator": "o",
            "role": "operator",
            "reason": "the schema was wrong",
            "place": "payments/0/1",
        }
    ]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"csrf": ""}, 403),
        ({"csrf": "0" * 64}, 403),
        ({"csrf": "ü"}, 403),
        ({"once": ""}, 409),
        ({"once": "guessed"}, 409),
        ({"reason": ""}, 400),
        ({"reason": " \n "}, 400),
        ({"reason": "x" * 501}, 400),
        ({"reason": "a\x00b"}, 400),
        ({"operator": ""}, 400),
        ({"operator": "x" * 65}, 400),
        ({"operator": "a\x1b[2J"}, 400),
    ],
)
def test_what_is_missing_stops_it(desk: Desk, change: dict[str, str], status: int) -> None:
    assert desk.send(desk.session(), **change) == status
    assert desk.acts == []


def test_a_form_sent_twice_is_done_once(desk: Desk) -> None:
    session, ticket = desk.session(), desk.people.ticket()
    assert desk.send(session, once=ticket) == 200
    assert desk.send(session, once=ticket) == 409
    assert len(desk.acts) == 1


def test_another_sessions_form_is_refused(desk: Desk) -> None:
    other = desk.people.begin()
    mine = desk.session()
    assert desk.send(mine, csrf=other.csrf) == 403
    desk.client.cookies.clear()
    assert desk.send(mine) == 403
    assert desk.acts == []


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("operator", 200), ("mediator", 200)]
)
def test_a_role_includes_those_below_it(desk: Desk, role: Role, status: int) -> None:
    assert desk.send(desk.session(role)) == status


def test_a_name_that_is_known_is_not_the_forms_to_say(desk: Desk) -> None:
    assert desk.send(desk.session(name="olga"), operator="somebody else") == 200
    assert desk.acts[0].operator == "olga"


@pytest.fixture
def guarded(tmp_path: Path) -> WebSettings:
    file = tmp_path / "tokens.json"
    people = {token: {"name": name, "role": role} for token, (name, role) in TOKENS.items()}
    file.write_text(json.dumps(people))
    return WebSettings(tokens_file=file)


@pytest.fixture
def visitor(guarded: WebSettings) -> TestClient:
    settings = Settings(web=guarded)
    app = create_app(settings, Eyes(seen_by([a_sample(0)]), settings))
    return TestClient(app, base_url="http://127.0.0.1", follow_redirects=False)


@pytest.mark.parametrize("path", ["/", "/lag", "/orders/o-1", "/dead-letters", "/live"])
def test_where_tokens_are_given_nobody_comes_in_without_one(visitor: TestClient, path: str) -> None:
    answer = visitor.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    answer = visitor.get("/api/orders/o-1")
    assert (answer.status_code, answer.json()) == (401, {"error": "a token is needed"})
    wrong = {"authorization": "Bearer " + "x" * 24}
    assert visitor.get("/api/orders/o-1", headers=wrong).status_code == 401


def test_a_token_opens_a_session_and_signing_out_ends_it(visitor: TestClient) -> None:
    assert visitor.post("/sign-in", data={"token": "x" * 24}).status_code == 401
    answer = visitor.post("/sign-in", data={"token": "o" * 24})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    page = visitor.get("/").text
    assert "olga operator" in page
    assert "o" * 24 not in page
    visitor.post("/sign-out")
    assert visitor.get("/").status_code == 303


def test_programs_send_their_token(visitor: TestClient) -> None:
    answer = visitor.get("/", headers={"authorization": "Bearer " + "v" * 24})
    assert "vera viewer" in answer.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not readable"),
        ('{"short": {"name": "a", "role": "viewer"}}', "24 characters"),
        ('{"%s": {"name": "a", "role": "root"}}' % ("x" * 24), "a role is one of"),
        ('{"%s": {}}' % ("x" * 24), "not readable"),
    ],
)
def test_a_tokens_file_that_cannot_be_right_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        People(WebSettings(tokens_file=file))


def test_sessions_and_tickets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.web.people.SESSIONS_MAX", 3)
    monkeypatch.setattr("ops.web.people.TICKETS_MAX", 3)
    people = People(WebSettings())
    sessions = [people.begin() for _ in range(5)]
    assert [people.session(one.key) is not None for one in sessions] == [False] * 2 + [True] * 3
    tickets = [people.ticket() for _ in range(5)]
    assert [people.once(ticket) for ticket in tickets] == [False] * 2 + [True] * 3


def test_a_viewer_sees_no_form_and_no_session_is_made() -> None:
    for role, has_session in (("viewer", False), ("operator", True)):
        settings = Settings(web=WebSettings(role=role))
        app = create_app(settings, Eyes(seen_by([a_sample(0)]), settings))
        answer = TestClient(app, base_url="http://127.0.0.1").get("/")
        assert (COOKIE in answer.headers.get("set-cookie", "")) == has_session


SECRET = "s" * 32


@pytest.fixture
def proxied(tmp_path: Path) -> TestClient:
    people, secret = tmp_path / "people.json", tmp_path / "secret"
    people.write_text(json.dumps({"olga": "operator", "vera": "viewer"}))
    secret.write_text(SECRET + "\n")
    web = WebSettings(
        proxy_people_file=people, proxy_secret_file=secret, names=("console.example",)
    )
    settings = Settings(web=web)
    app = create_app(settings, Eyes(seen_by([a_sample(0)]), settings))
    return TestClient(app, base_url="https://console.example", follow_redirects=False)


def named(name: str, secret: str = SECRET) -> dict[str, str]:
    return {"X-Forwarded-User": name, "X-Escrow-Proxy": secret}


def test_a_proxy_that_proves_itself_says_who_asks(proxied: TestClient) -> None:
    assert "olga operator" in proxied.get("/", headers=named("olga")).text
    proxied.cookies.clear()
    for headers in ({}, named("olga", ""), named("olga", "x" * 32), named("mallory"), named("")):
        assert proxied.get("/", headers=headers).status_code == 303, headers


def test_a_session_is_only_good_for_whom_the_proxy_names(proxied: TestClient) -> None:
    page = proxied.get("/", headers=named("olga"))
    assert COOKIE in page.headers["set-cookie"]
    assert "Secure" in page.headers["set-cookie"]
    assert "vera viewer" in proxied.get("/", headers=named("vera")).text
    assert proxied.get("/").status_code == 303  # the cookie alone
    assert proxied.post("/dead-letters/replay", headers=named("vera")).status_code == 403


@pytest.mark.parametrize(
    ("people", "secret", "said"),
    [
        ("{", SECRET, "not readable"),
        ('{"anna": "root"}', SECRET, "a role is one of"),
        ("[]", SECRET, "not readable"),
        ("{}", "short", "24 characters"),
    ],
)
def test_a_proxys_files_that_cannot_be_right_are_refused(
    tmp_path: Path, people: str, secret: str, said: str
) -> None:
    (tmp_path / "people").write_text(people)
    (tmp_path / "secret").write_text(secret)
    web = WebSettings(proxy_people_file=tmp_path / "people", proxy_secret_file=tmp_path / "secret")
    with pytest.raises(ConfigError, match=said):
        People(web)


def test_whoever_asks_too_much_is_refused_and_welcome_again() -> None:
    now = [0.0]
    meter = Meter(Limit(3, 0.5), clock=lambda: now[0])
    assert [meter.spends("a") for _ in range(4)] == [True, True, True, False]
    assert meter.spends("b")
    now[0] = 2.0
    assert [meter.spends("a") for _ in range(2)] == [True, False]
    for n in range(KNOWN_MAX + 10):
        meter.spends(f"many-{n}")
    assert meter.left("a") == 3  # forgotten


def test_a_flood_of_pages_and_of_forms_ends(
    visitor: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAGES", Limit(20, 0))
    monkeypatch.setattr(limits, "FORMS", Limit(5, 0))
    inner: Any = visitor.app
    inner.app.state.console = inner.app.state.console._replace(meters=Meters())
    token = {"authorization": "Bearer " + "v" * 24}
    answers = [visitor.post("/dead-letters/replay", headers=token).status_code for _ in range(8)]
    assert answers == [403] * 5 + [429] * 3
    answers = [visitor.get("/lag", headers=token).status_code for _ in range(14)]
    assert answers == [200] * 12 + [429] * 2
    other = {"authorization": "Bearer " + "o" * 24}
    assert visitor.get("/lag", headers=other).status_code == 200


def test_tokens_cannot_be_guessed_one_after_another(visitor: TestClient) -> None:
    answers = [visitor.post("/sign-in", data={"token": f"{n:024}"}).status_code for n in range(15)]
    assert answers[:10] == [401] * 10
    assert answers[-1] == 429
    assert visitor.post("/sign-in", data={"token": "o" * 24}).status_code == 429


def test_what_is_too_long_is_not_read(visitor: TestClient) -> None:
    big = {"content-length": str(PAGE_BYTES_MAX + 1)}
    assert visitor.post("/sign-in", content=b"x", headers=big).status_code == 413

    def endless() -> Iterator[bytes]:
        yield b"token="

    assert visitor.post("/sign-in", content=endless()).status_code == 411
