"""What this process says in its own name it signs, where it has a key; what others said it never does.

A replay goes out with the bytes and the signature that it had, or without one.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from consumers.engine.config import Settings
from consumers.engine.processing import Halt
from schemas.commands import COMMAND_TOPIC
from schemas.door import Record
from schemas.facts import INPUT_TOPICS
from schemas.keys import BadKeys, Signing, signing_key
from schemas.signatures import signature_header

# Topics whose readers ask who has written a record; what is told to everybody is not signed.
SIGNED_TOPICS: Final = frozenset((*INPUT_TOPICS, *COMMAND_TOPIC.values()))


class Wire(NamedTuple):
    """One record as it goes out: a CloudEvent in binary mode."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    timestamp_ms: int


def own_key(settings: Settings) -> Signing | None:
    """The private key of this process, if it was given one. Raises Halt where it cannot be used."""
    path: Path | None = settings.signing.private_key_file
    if path is None:
        return None
    try:
        return signing_key(path)
    except (BadKeys, OSError) as error:
        raise unusable("signing.private_key_file", path, error) from None


def assert_commands_are_signed(settings: Settings) -> None:
    """Raises Halt where a gateway could not tell our commands from others."""
    if settings.profile != "local" and settings.signing.private_key_file is None:
        raise Halt(
            "signing.private_key_file: outside the profile local every command is signed."
            " See docs/runbook.md, `keys or rules cannot be used`."
        )


def unusable(setting: str, path: Path, error: Exception) -> Halt:
    """Why a process does not go on without this file."""
    why = error.strerror if isinstance(error, OSError) else error
    return Halt(f"{setting}: {path}: {why}. See docs/runbook.md, `keys or rules cannot be used`.")


def signing_wires(key: Signing) -> Callable[[Wire], Wire]:
    """Adds the signature to what goes to a topic whose readers ask for it."""

    def sign(wire: Wire) -> Wire:
        if wire.topic not in SIGNED_TOPICS:
            return wire
        header = signature_header(key, wire.topic, wire.key, wire.value, wire.headers)
        return wire._replace(headers=[*wire.headers, header])

    return sign


def signed(settings: Settings, record: Record) -> Record:
    """A person's own record, with the signature of this process where it has a key. Raises Halt."""
    key = own_key(settings)
    if key is None:
        return record
    headers = list(record.headers)
    header = signature_header(key, record.topic, record.key, record.value, headers)
    return record._replace(headers=[*headers, header])
