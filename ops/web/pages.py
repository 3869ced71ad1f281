"""How a page is made: one template, autoescaped, with what every page needs beside its own figures."""

import time
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ops.web import assets, words
from ops.web.console import Console, console_of, person_of, session_of
from ops.web.people import COOKIE, SESSION_SECONDS, Session

HERE: Final = Path(__file__).parent
_NAV: Final = (
    ("/", "Overview"),
    ("/orders", "Orders"),
    ("/lag", "Lag"),
    ("/dead-letters", "Dead letters"),
    ("/mediation", "Mediation"),
    ("/suppliers", "Suppliers"),
    ("/alarms", "Alarms"),
    ("/webhooks", "Webhooks"),
    ("/reconciliation", "Reconciliation"),
    ("/contract", "Contract"),
)

environment: Final = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=select_autoescape(default=True, default_for_string=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters.update(words.FILTERS)
environment.globals["amount"] = words.amount
environment.globals["asset"] = assets.address_of


def page(
    request: Request, template: str, title: str, *, status_code: int = 200, **figures: Any
) -> Response:
    """Render a page. A person who may act gets a session, because a form needs one."""
    console, person = console_of(request), person_of(request)
    session = session_of(request)
    fresh = None
    if session is None and person is not None and person.may("auditor"):
        session = fresh = console.people.begin(person)
    here = "/" + request.url.path.split("/")[1]
    text = environment.get_template(template).render(
        title=title,
        nav=_NAV,
        here=here,
        path=request.url.path,
        person=person,
        signed_in=console.people.asks_for_tokens and person is not None,
        csrf="" if session is None else session.csrf,
        ticket=console.people.ticket,
        now=time.time_ns() // 1_000_000,
        **figures,
    )
    response = HTMLResponse(text, status_code)
    if fresh is not None:
        give_session(response, console, fresh)
    return response


def give_session(response: Response, console: Console, session: Session) -> None:
    """Put the session's cookie into an answer."""
    response.set_cookie(
        COOKIE,
        session.key,
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=console.settings.web.ssl_certfile is not None or console.people.has_proxy,
    )
