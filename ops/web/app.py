"""The console as an ASGI application. Whatever happens, the answer is a page that says so, never a trace.

Pages run in threads, since the servers behind them are asked in blocking calls.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from consumers.engine.asking import KafkaUnavailable
from consumers.engine.config import Settings
from consumers.engine.connections import is_loopback
from ops.web import (
    alarm_pages,
    contract,
    lag_pages,
    letter_actions,
    letters,
    mediation,
    orders,
    overview,
    reconciling,
    runbook,
    signing_in,
    suppliers,
    webhook_pages,
)
from ops.web.assets import Assets
from ops.web.console import Console, address_of, console_of, person_of
from ops.web.kept_views import KeptViews
from ops.web.limits import Meters
from ops.web.pages import page
from ops.web.people import People
from ops.web.safety import LOOPBACK_NAMES, Safety
from ops.web.watcher import Watcher
from storage.reading import DatabaseTrouble

LIVE_LOOK_SECONDS: Final = 0.1  # so soon a live page hears of a new look at the lag
LIVE_SECONDS_MAX: Final = 2.0  # and so late of other news, where there is none
TOO_MANY: Final = "Too many requests: wait a few seconds."
PUBLIC: Final = ("/static/", "/sign-in", "/livez")
log = structlog.get_logger()


def create_app(settings: Settings, watcher: Watcher | None = None) -> ASGIApp:
    """The application; it starts and stops the watcher, unless one is given that looks already."""
    console = Console(
        settings,
        watcher or Watcher(settings),
        People(settings.web),
        KeptViews(settings),
        Meters(),
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if watcher is None:
            console.watcher.start()
        yield
        console.watcher.stop()

    hosts = (*LOOPBACK_NAMES, *settings.web.names) if is_loopback(settings.web.host) else None
    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Door)],
        exception_handlers={
            HTTPException: _refused,
            DatabaseTrouble: _away,
            KafkaUnavailable: _away,
            Exception: _broken,
        },
        lifespan=lifespan,
    )
    app.state.console = console
    return Safety(app, hosts=hosts)  # outside of all, so that it also holds where we fail


def _routes() -> list[BaseRoute]:
    return [
        *overview.routes,
        *orders.routes,
        *lag_pages.routes,
        *letter_actions.routes,
        *letters.routes,
        *mediation.routes,
        *suppliers.routes,
        *alarm_pages.routes,
        *webhook_pages.routes,
        *runbook.routes,
        *reconciling.routes,
        *contract.routes,
        *signing_in.routes,
        Route("/live", _live),
        Route("/livez", lambda _request: PlainTextResponse("ok")),
        Mount("/static", Assets(), name="static"),
    ]


class Door:
    """Nobody unknown comes past this, and everybody who does keeps the watcher awake."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(PUBLIC):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        person, meters = person_of(request), console_of(request).meters
        who = address_of(request) if person is None or person.name is None else person.name
        within = meters.pages.spends(who) and (request.method != "POST" or meters.forms.spends(who))
        if not within:
            log.warning("too many requests", who=who, path=request.url.path)
            await PlainTextResponse(TOO_MANY, 429, {"Retry-After": "5"})(scope, receive, send)
            return
        if person is None:
            answer: Response = RedirectResponse("/sign-in", 303)
            if _wants_json(request):
                answer = JSONResponse({"error": "a token is needed"}, 401)
            await answer(scope, receive, send)
            return
        console_of(request).watcher.somebody_is_here()
        await self._app(scope, receive, send)


async def _live(request: Request) -> Response:
    """Server-sent events: one as soon as the lag was looked at anew. The page then asks for itself.

    Whatever else was seen by then comes with it; so a page asks once a second, and is never late.
    """
    watcher = console_of(request).watcher

    async def events() -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        told, told_at = watcher.seen, time.monotonic()
        while not watcher.stopping:
            await asyncio.sleep(LIVE_LOOK_SECONDS)
            watcher.somebody_is_here()
            seen = watcher.seen
            is_late = time.monotonic() - told_at >= LIVE_SECONDS_MAX
            if seen.look is not told.look or (is_late and seen.number != told.number):
                told, told_at = seen, time.monotonic()
                yield f"event: seen\ndata: {told.number}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def _wants_json(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return request.url.path.startswith("/api/") or (
        "application/json" in accept and "text/html" not in accept
    )


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {
        401: "You must sign in for this.",
        404: "There is no such page.",
        405: "This page does not do that.",
    }
    default = HTTPException(error.status_code).detail
    text = error.detail if error.detail != default else said.get(error.status_code, default)
    answer = _trouble(request, error.status_code, text, "Go to the overview", "/")
    answer.headers.update(error.headers or {})  # a 405 says what is allowed
    return answer


def _away(request: Request, error: Exception) -> Response:
    text = str(error)
    if isinstance(error, KafkaUnavailable):
        text = f"Kafka does not answer: {text}"
    return _trouble(request, 503, text, "Try again", request.url.path)


def _broken(request: Request, error: Exception) -> Response:
    log.error("a page failed", path=request.url.path, error=type(error).__name__)
    text = "This page failed. That is a bug of the console; its log says more."
    return _trouble(request, 500, text, "Go to the overview", "/")


def _trouble(request: Request, status: int, text: str, action: str, href: str) -> Response:
    if _wants_json(request):
        return JSONResponse({"error": text}, status)
    title = {404: "Not found", 403: "Not allowed", 503: "A server does not answer"}
    return page(
        request,
        "trouble.html",
        title.get(status, "This did not work"),
        status_code=status,
        text=text,
        action=action,
        href=href,
    )
