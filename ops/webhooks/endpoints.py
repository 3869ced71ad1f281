"""To whom we tell what, and with which secret: checked as a whole before anything is sent.

Plain HTTP goes to loopback only. Secrets stand in files of their own and are never shown.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args
from urllib.parse import urlsplit

from consumers.engine.config import ConfigError
from consumers.engine.connections import is_loopback
from schemas.order_events import EventType

EVENT_TYPES: Final[tuple[str, ...]] = get_args(EventType)
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  how a secret begins
SECRETS_MAX: Final = 3  # in one file: the new one first, old ones while they are exchanged
SECRET_BYTES: Final = (24, 64)
ENDPOINTS_MAX: Final = 50


class Endpoint(NamedTuple):
    """One receiver."""

    name: str
    url: str
    types: frozenset[str]
    secrets: tuple[bytes, ...]

    @property
    def host(self) -> str:
        """All of the address that is shown: what follows may be a secret of the receiver's."""
        return urlsplit(self.url).hostname or ""


def read_endpoints(file: Path) -> tuple[Endpoint, ...]:
    """JSON: [{"name", "url", "secret_file", "types"?}]. Raises ConfigError."""
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"webhooks.endpoints_file: not readable ({type(error).__name__})"
        ) from None
    if not isinstance(given, list) or not 0 < len(given) <= ENDPOINTS_MAX:
        raise ConfigError(f"webhooks.endpoints_file: a list of 1 to {ENDPOINTS_MAX} endpoints")
    endpoints = tuple(_endpoint(one, file.parent) for one in given)
    if len({endpoint.name for endpoint in endpoints}) < len(endpoints):
        raise ConfigError("webhooks.endpoints_file: a name twice")
    return endpoints


def _endpoint(given: Any, folder: Path) -> Endpoint:
    wanted = {"name", "url", "secret_file"}
    if not isinstance(given, dict) or not wanted <= given.keys() <= wanted | {"types"}:
        raise ConfigError("webhooks.endpoints_file: an endpoint has name, url, secret_file, types?")
    name = given["name"]
    if not (isinstance(name, str) and 0 < len(name) <= 64 and name.isprintable()):
        raise ConfigError("webhooks.endpoints_file: a name has 1 to 64 characters")
    types = given.get("types", list(EVENT_TYPES))
    if not isinstance(types, list) or not types or not set(types) <= set(EVENT_TYPES):
        raise ConfigError(f"webhooks, {name}: types are of {', '.join(EVENT_TYPES)}")
    return Endpoint(name, _url(given, name), frozenset(types), _secrets(given, name, folder))


def _url(given: Mapping[str, Any], name: str) -> str:
    url = str(given["url"])
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigError(f"webhooks, {name}: not a URL") from None
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not safe or not host or parts.username or parts.fragment or not url.isprintable():
        raise ConfigError(f"webhooks, {name}: an https URL (http on loopback only)")
    return url


def _secrets(given: Mapping[str, Any], name: str, folder: Path) -> tuple[bytes, ...]:
    try:
        lines = (folder / str(given["secret_file"])).read_text(encoding="ascii").split()
        secrets = [_secret(line) for line in lines]
    except (OSError, ValueError, binascii.Error):
        raise ConfigError(f"webhooks, {name}: the secret's file is not readable") from None
    low, high = SECRET_BYTES
    if not 0 < len(secrets) <= SECRETS_MAX or any(not low <= len(s) <= high for s in secrets):
        raise ConfigError(
            f"webhooks, {name}: 1 to {SECRETS_MAX} secrets of {low} to {high} bytes, as"
            f" {SECRET_PREFIX}BASE64, a line each"
        )
    return tuple(secrets)


def _secret(line: str) -> bytes:
    if not line.startswith(SECRET_PREFIX):
        raise ValueError("no secret of this kind")
    return base64.b64decode(line.removeprefix(SECRET_PREFIX), validate=True)
