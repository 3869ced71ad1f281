"""The published schemas in a schema registry that speaks Confluent's REST API; nothing of the line ever asks one.

A subject is TOPIC-TYPE (the strategy TopicRecordName), since several types share a topic. What is there
already is looked up, not written again; so a run that was interrupted is simply run again.
"""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any, Final, Literal, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen
from uuid import UUID

from ops.contract.json_schemas import Schema, closed
from ops.contract.messages import MESSAGES

HEADER: Final = "__value_schema_id"  # of Confluent's serializers that leave the value as it is
TIMEOUT_SECONDS: Final = 10.0
_JSON: Final = "application/vnd.schemaregistry.v1+json"
_UNKNOWN: Final = (40401, 40403)  # no such subject; no such schema in it

State = Literal["there", "new", "new version", "registered", "incompatible", "refused"]


class RegistryTrouble(Exception):
    """The registry did not answer, or not as one; the text says what was asked and what came."""


class Entry(NamedTuple):
    """One subject. `id` and `header` once the registry has it; `why` where it refuses."""

    subject: str
    type: str
    state: State
    id: int | None = None
    header: str | None = None  # the value of HEADER that names this schema, in base64
    why: str = ""


class _Refused(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Registry:
    """A registry at an http or https address; `user`: name and password."""

    def __init__(
        self,
        url: str,
        user: tuple[str, str] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        """Raises RegistryTrouble where this is no address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise RegistryTrouble(f"{url} is no http or https address without a name in it")
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._headers = {"Content-Type": _JSON, "Accept": f"{_JSON}, application/json"}
        if user is not None:
            word = base64.b64encode(":".join(user).encode()).decode()
            self._headers["Authorization"] = f"Basic {word}"

    def look(self, subject: str, type_name: str, schema: Schema) -> Entry:
        """Whether it has this schema; nothing is written. Raises RegistryTrouble."""
        path = f"/subjects/{quote(subject, safe='')}"
        try:
            return _entry(subject, type_name, "there", self._ask(path, _body(schema)))
        except _Refused as refused:
            if refused.code not in _UNKNOWN:
                return _refusal(subject, type_name, refused)
            if refused.code == _UNKNOWN[0]:
                return Entry(subject, type_name, "new")
        path = f"/compatibility{path}/versions/latest?verbose=true"
        try:
            answer = self._ask(path, _body(schema))
        except _Refused as refused:
            return _refusal(subject, type_name, refused)
        if answer.get("is_compatible") is True:
            return Entry(subject, type_name, "new version")
        why = "; ".join(map(str, answer.get("messages", ()))) or "not compatible with the last one"
        return Entry(subject, type_name, "incompatible", why=why)

    def register(self, subject: str, type_name: str, schema: Schema) -> Entry:
        """Write it, or learn why not. Raises RegistryTrouble."""
        path = f"/subjects/{quote(subject, safe='')}/versions"
        try:
            return _entry(subject, type_name, "registered", self._ask(path, _body(schema)))
        except _Refused as refused:
            return _refusal(subject, type_name, refused)

    def _ask(self, path: str, body: bytes) -> dict[str, Any]:
        """Raises _Refused for what a client can do something about, RegistryTrouble for all else."""
        request = Request(self._url + path, body, self._headers)  # noqa: S310  http or https, see above
        try:
            with urlopen(request, timeout=self._timeout_seconds) as answer:  # noqa: S310
                return _object(path, answer.read())
        except HTTPError as error:
            with error:
                said = error.read(10_000)
            if error.code in (404, 409, 422):
                found = _object(path, said)
                message = str(found.get("message", error.reason))
                code = found.get("error_code", error.code)
                raise _Refused(error.code, code, message) from None
            words = said.decode(errors="replace")[:200] or error.reason
            raise RegistryTrouble(f"{path}: HTTP {error.code}: {words}") from None
        except (OSError, HTTPException) as error:
            raise RegistryTrouble(f"{self._url}: {getattr(error, 'reason', error)}") from None


def subjects() -> Iterator[tuple[str, str]]:
    """Each subject and its type: a type that goes to two topics has two."""
    for message in MESSAGES.values():
        for topic in message.topics:
            yield f"{topic}-{message.name}", message.name


def plan(registry: Registry) -> list[Entry]:
    """What `register_all` would do. Raises RegistryTrouble."""
    return [registry.look(subject, name, closed(name)) for subject, name in subjects()]


def register_all(
    registry: Registry, entries: list[Entry], each: Callable[[Entry], None]
) -> list[Entry]:
    """Write what is new, tell of each; the others stay as they were. Raises RegistryTrouble."""
    found = []
    for entry in entries:
        if entry.state in ("new", "new version"):
            entry = registry.register(entry.subject, entry.type, closed(entry.type))  # noqa: PLW2901
            each(entry)
        found.append(entry)
    return found


def _body(schema: Schema) -> bytes:
    """Always the same text for the same schema, since registries compare texts."""
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    return json.dumps({"schemaType": "JSON", "schema": text}).encode()


def _entry(subject: str, type_name: str, state: State, answer: dict[str, Any]) -> Entry:
    id_ = answer.get("id")
    if type(id_) is not int:
        raise RegistryTrouble(f"{subject}: the registry's answer has no id")
    return Entry(subject, type_name, state, id_, _header_value(id_, answer.get("guid")))


def _header_value(id_: int, guid: object) -> str:
    """By the GUID where the registry has them (a 1 and 16 bytes), else by the id (a 0 and 4 bytes)."""
    try:
        raw = b"\x01" + UUID(guid).bytes if isinstance(guid, str) else struct.pack(">bI", 0, id_)
    except (ValueError, struct.error) as error:
        raise RegistryTrouble(f"the registry's id {id_}, {guid} is none: {error}") from None
    return base64.b64encode(raw).decode()


def _refusal(subject: str, type_name: str, refused: _Refused) -> Entry:
    state: State = "incompatible" if refused.status == 409 else "refused"
    return Entry(subject, type_name, state, why=f"{refused.code}: {refused}")


def _object(path: str, said: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(said)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise RegistryTrouble(f"{path}: the answer is no JSON object: is this a schema registry?")
    return answer
