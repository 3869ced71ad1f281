"""Who looks and what they may do: a viewer reads, an auditor also reconciles, an operator acts, a mediator rules.

An action needs a session and that session's own token in the form, so that no other site can send it.
Where tokens are given nobody is let in without one; tokens are kept as digests only. Where a proxy
names people, it must prove itself with a secret with each request; a header alone is nobody.
"""

import hmac
import json
import secrets
import time
from collections import OrderedDict
from hashlib import sha256
from typing import Final, NamedTuple, get_args

from consumers.engine.config import ConfigError, Role, WebSettings
from consumers.engine.connections import read_secret

ROLES: Final[tuple[Role, ...]] = get_args(Role)
COOKIE: Final = "escrow_session"
SESSION_SECONDS: Final = 12 * 3600
SESSIONS_MAX: Final = 1_000
TICKETS_MAX: Final = 10_000


class Person(NamedTuple):
    """Somebody in front of a page; without a name they must give one with each action."""

    name: str | None
    role: Role

    def may(self, role: Role) -> bool:
        """Whether this person's role includes the other one."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Session(NamedTuple):
    key: str
    person: Person
    until: float  # monotonic

    @property
    def csrf(self) -> str:
        """What a form must carry; known to this session's pages only."""
        return hmac.new(self.key.encode(), b"form", sha256).hexdigest()


class People:
    """Tokens and sessions, in memory: all must sign in again after a restart."""

    def __init__(self, settings: WebSettings) -> None:
        self._everyone = Person(settings.operator, settings.role)
        self._tokens = _read_tokens(settings)
        self._named = _read_named(settings)
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._tickets: OrderedDict[str, None] = OrderedDict()

    @property
    def asks_for_tokens(self) -> bool:
        return self._tokens is not None

    @property
    def has_proxy(self) -> bool:
        return self._named is not None

    def by_proxy(self, secret: str, name: str) -> Person | None:
        """Whom the proxy names, if it is the proxy, and may name them."""
        if self._named is None or not same(_digest(secret), self._named.secret_digest):
            return None
        role = self._named.roles.get(name)
        return None if role is None else Person(name, role)

    def by_token(self, token: str) -> Person | None:
        """Whose token this is."""
        return (self._tokens or {}).get(_digest(token))

    def begin(self, person: Person | None = None) -> Session:
        """A new session; the oldest one gives way where there are too many."""
        until = time.monotonic() + SESSION_SECONDS
        session = Session(secrets.token_urlsafe(32), person or self._everyone, until)
        self._sessions[session.key] = session
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return session

    def session(self, key: str | None) -> Session | None:
        """The session of a cookie, if it is still good."""
        session = self._sessions.get(key or "")
        if session is not None and session.until < time.monotonic():
            del self._sessions[session.key]
            return None
        return session

    def once(self, ticket: str) -> bool:
        """Whether this form's ticket was never used before; it is now."""
        if ticket not in self._tickets:
            return False
        self._tickets.pop(ticket)
        return True

    def ticket(self) -> str:
        """For one form, to be sent once."""
        ticket = secrets.token_urlsafe(16)
        self._tickets[ticket] = None
        while len(self._tickets) > TICKETS_MAX:
            self._tickets.popitem(last=False)
        return ticket

    def end(self, key: str | None) -> None:
        self._sessions.pop(key or "", None)

    def stranger(self) -> Person | None:
        """Who somebody without a session is: everyone, or nobody where tokens are given."""
        return None if self.asks_for_tokens or self.has_proxy else self._everyone


class _Named(NamedTuple):
    """Whom a proxy may name, and what it proves itself with."""

    roles: dict[str, Role]
    secret_digest: str


def _read_named(settings: WebSettings) -> _Named | None:
    """Raises ConfigError."""
    if settings.proxy_people_file is None or settings.proxy_secret_file is None:
        return None
    try:
        roles = json.loads(settings.proxy_people_file.read_text(encoding="utf-8"))
        secret = read_secret(None, settings.proxy_secret_file)
        known = all(isinstance(name, str) and role in ROLES for name, role in roles.items())
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigError(f"web.proxy_people_file: not readable ({type(error).__name__})") from None
    if not known:
        raise ConfigError(f"web.proxy_people_file: a role is one of {', '.join(ROLES)}")
    if secret is None or len(secret.get_secret_value()) < 24:
        raise ConfigError("web.proxy_secret_file: a secret has 24 characters or more")
    return _Named(roles, _digest(secret.get_secret_value()))


def _read_tokens(settings: WebSettings) -> dict[str, Person] | None:
    """Digest of a token → person. Raises ConfigError."""
    if settings.tokens_file is None:
        return None
    try:
        given = json.loads(settings.tokens_file.read_text(encoding="utf-8"))
        people = {token: Person(str(who["name"]), who["role"]) for token, who in given.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"web.tokens_file: not readable ({type(error).__name__})") from None
    if any(person.role not in ROLES for person in people.values()):
        raise ConfigError(f"web.tokens_file: a role is one of {', '.join(ROLES)}")
    if any(len(token) < 24 for token in people):
        raise ConfigError("web.tokens_file: a token has 24 characters or more")
    return {_digest(token): person for token, person in people.items()}


def same(one: str, other: str) -> bool:
    """Compared in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
