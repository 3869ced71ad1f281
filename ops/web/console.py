"""What all pages share: settings, the watcher, the people; and who has asked."""

from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request

from consumers.engine.config import Role, Settings
from ops.web.kept_views import KeptViews
from ops.web.limits import Meters
from ops.web.people import COOKIE, People, Person, Session
from ops.web.watcher import Watcher

PROXY_HEADER: Final = "X-Escrow-Proxy"


class Console(NamedTuple):
    """One console."""

    settings: Settings
    watcher: Watcher
    people: People
    views: KeptViews
    meters: Meters

    @property
    def url(self) -> str:
        """Of the database, its password in it: never to be shown."""
        return self.settings.database.connection_url


def address_of(request: Request) -> str:
    """Where it comes from, as the connection says; no header can change it."""
    return request.client.host if request.client else ""


def console_of(request: Request) -> Console:
    console: Console = request.app.state.console
    return console


def session_of(request: Request) -> Session | None:
    """The session that the request's cookie names; where a proxy says who asks, only that person's."""
    people = console_of(request).people
    session = people.session(request.cookies.get(COOKIE))
    if session is not None and people.has_proxy and session.person != _named(request):
        return None
    return session


def person_of(request: Request) -> Person | None:
    """Who asks: as the proxy says, by session, by bearer token, or whoever sits at this machine.

    None: not let in.
    """
    people = console_of(request).people
    if (named := _named(request)) is not None:
        return named
    if (session := session_of(request)) is not None:
        return session.person
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return people.by_token(token)
    return people.stranger()


def _named(request: Request) -> Person | None:
    header = console_of(request).settings.web.proxy_user_header
    secret = request.headers.get(PROXY_HEADER, "")
    return console_of(request).people.by_proxy(secret, request.headers.get(header, ""))


def require(request: Request, role: Role) -> Person:
    """The person, if their role includes this one. Raises HTTPException (401, 403)."""
    person = person_of(request)
    if person is None:
        raise HTTPException(401)
    if not person.may(role):
        raise HTTPException(403, f"this needs the role {role}; yours is {person.role}")
    return person
