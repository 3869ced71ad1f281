"""A dead letter that a person has mended goes out under a new id, which names the old one, who and why.

The old record stays what it is; the new one passes the door like any other, or is not sent.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from uuid import uuid4

from consumers.engine import admin
from consumers.engine.config import Settings
from consumers.engine.signing import signed
from ops.dead_letters import CannotReplay, Original, find_originals, place_of
from schemas import envelope, strict_json
from schemas.cards import redact_text
from schemas.door import Record
from schemas.signatures import HEADER, Unsigned
from storage.dead_letter_reading import LetterRow, record_action

_OLD_ID_CHARACTERS: Final = 180  # ids may have 256; the rest is ours
_REASON_CHARACTERS: Final = 200


class CannotEdit(Exception):
    """The letter cannot be mended so; the text says why."""


class Edit(NamedTuple):
    """What a person wants changed; None or nothing: as it was. An empty text removes a header."""

    value: bytes | None
    headers: Mapping[str, str]
    key: str | None


class Mended(NamedTuple):
    """The record to send, and both versions as texts to compare."""

    record: Record
    new_id: str
    before: str
    after: str


def edited(
    settings: Settings, letter: LetterRow, edit: Edit, operator_id: str, reason: str, wall_ms: int
) -> Mended:
    """Apply the changes to the original, or to the kept copy. Raises CannotEdit, KafkaUnavailable."""
    original = _best_copy(settings, letter, edit)
    headers = {name: value or b"" for name, value in original.headers}
    for name, text in edit.headers.items():
        headers.pop(name, None)
        if text:
            headers[name] = text.encode()
    new_id = f"edit:{(letter.id or place_of(letter))[:_OLD_ID_CHARACTERS]}:{uuid4().hex[:8]}"
    marks = {
        "editof": letter.id or place_of(letter),
        "editedby": operator_id,
        "editreason": reason[:_REASON_CHARACTERS],
    }
    value = original.value if edit.value is None else edit.value
    if envelope.is_structured(headers):
        value = _mark_event(value, {"id": new_id, **marks})
    else:
        headers["ce_id"] = new_id.encode()
        headers |= {f"ce_{name}": text.encode() for name, text in marks.items()}
    key = original.key if edit.key is None else edit.key.encode()
    headers.pop(HEADER, None)  # it was the sender's, over what he had said
    record = original._replace(
        key=key,
        value=value,
        headers=list(headers.items()),
        timestamp_ms=original.timestamp_ms if original.timestamp_ms >= 0 else wall_ms,
    )
    try:
        record = signed(settings, record)
    except Unsigned as error:
        raise CannotEdit(str(error)) from None
    return Mended(record, new_id, _readable(original), _readable(record))


def send_edited(
    settings: Settings, letter: LetterRow, mended: Mended, operator_id: str, reason: str
) -> tuple[int, int]:
    """Write down who mends it and why, then publish; returns the new partition and offset.

    Raises DatabaseTrouble (nothing was done) or KafkaUnavailable (written down as failed).
    """
    url = settings.database.connection_url

    def note(action: str, why: str) -> None:
        record_action(
            url, letter, action=action, operator_id=operator_id, reason=why, new_id=mended.new_id
        )

    note("replayed_edited", reason)
    try:
        return admin.republish(settings, mended.record)
    except admin.KafkaUnavailable as error:
        note("replay_failed", f"{type(error).__name__}: {error}"[:1_000])
        raise


def _best_copy(settings: Settings, letter: LetterRow, edit: Edit) -> Record:
    """The original, else the kept copy: what was cut or redacted there must be given anew."""
    (found,) = find_originals(settings, [letter._replace(code="edited")])
    if isinstance(found, Original):
        return found.record
    assert isinstance(found, CannotReplay)
    if edit.value is None:
        raise CannotEdit("the original is gone and the kept copy is not whole: give a whole value")
    headers = [(name, text.encode()) for name, text in letter.headers.items()]
    key = None if letter.key is None else letter.key.encode()
    place = (letter.topic, letter.partition, letter.offset)
    return Record(*place, letter.t, key, letter.value, headers)


def _mark_event(value: bytes | None, marks: Mapping[str, str]) -> bytes:
    """Structured mode: id and extensions stand in the event itself."""
    try:
        event: dict[str, Any] = strict_json.parse_object(value)
    except strict_json.DuplicateKey as error:
        raise CannotEdit(f"the value has one name twice: {error}") from None
    except strict_json.NotJson as error:
        raise CannotEdit(f"the value is not a JSON object: {error}") from None
    return json.dumps({**event, **marks}, ensure_ascii=False, separators=(",", ":")).encode()


def _readable(record: Record) -> str:
    """Key, headers and value, line by line; JSON is laid out so that a change is one line."""
    lines = [f"key {(record.key or b'').decode('utf-8', 'backslashreplace')}"]
    for name, header in record.headers:
        lines.append(f"{name}: {(header or b'').decode('utf-8', 'backslashreplace')}")
    value = record.value or b""
    try:
        text = json.dumps(json.loads(value), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        text = value.decode("utf-8", "backslashreplace")
    return redact_text("\n".join([*lines, *text.splitlines()]))
