"""Where tokens are given: a page that takes one, and a way out."""

from typing import Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ops.web.console import address_of, console_of, session_of
from ops.web.pages import give_session, page
from ops.web.people import COOKIE

log = structlog.get_logger()
TOKEN_LENGTH_MAX: Final = 1_000


async def sign_in(request: Request) -> Response:
    """Ask for a token; take it."""
    console = console_of(request)
    if not console.people.asks_for_tokens:
        return RedirectResponse("/", 303)
    wrong = False
    if request.method == "POST":
        meter, who = console.meters.wrong_tokens, address_of(request)
        if meter.left(who) < 1:
            raise HTTPException(429, "Too many wrong tokens: wait a minute.")
        token = str((await request.form()).get("token", ""))[:TOKEN_LENGTH_MAX]
        if (person := console.people.by_token(token)) is not None:
            log.info("signed in", operator=person.name, role=person.role)
            answer = RedirectResponse("/", 303)
            give_session(answer, console, console.people.begin(person))
            return answer
        meter.spends(who)
        log.warning("a wrong token", address=who)
        wrong = True
    return page(request, "sign_in.html", "Sign in", status_code=401 if wrong else 200, wrong=wrong)


async def sign_out(request: Request) -> Response:
    """Forget the session."""
    session = session_of(request)
    if session is not None:
        console_of(request).people.end(session.key)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(COOKIE)
    return answer


routes: Final = [
    Route("/sign-in", sign_in, methods=["GET", "POST"]),
    Route("/sign-out", sign_out, methods=["POST"]),
]
