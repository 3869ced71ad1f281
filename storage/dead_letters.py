"""A dead letter is kept once for each record, redacted before anything is kept or published."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from psycopg.types.json import Jsonb
from sqlalchemy import Connection

from escrow.telling import Outgoing
from schemas.cards import redact, redact_text
from schemas.cut import whole_sha256, whole_size
from schemas.door import Fact, Instruction, Record, Rejected
from schemas.order_events import DEAD_LETTERS, DeadLettered, sent_id
from schemas.reasons import DEAD_LETTERS as SENTENCES
from schemas.reasons import DeadLetterCode
from storage.rows import fetch

VALUE_BYTES_MAX: Final = 65_536
HEADER_BYTES_MAX: Final = 8_192
_TEXT_MAX: Final = 1_000
_CARD_MAX: Final = 6 * (19 + 18)  # bytes that a card number can take, each escaped as \\u0034
TYPE: Final = "fact.dead_lettered"


class DeadLetter(NamedTuple):
    """One row of `dead_letters`, in the order of its columns after the cluster."""

    topic: str
    partition: int
    offset: int
    stage: str
    code: DeadLetterCode
    detail: str
    order_id: str | None
    type: str | None
    source: str | None
    id: str | None
    t: int
    key: str | None
    headers: dict[str, str]
    value: bytes | None
    value_bytes: int | None
    value_sha256: bytes | None
    cut: bool
    redacted: bool


def from_rejected(stage: str, rejected: Rejected) -> DeadLetter:
    """A record that did not pass the door."""
    record = rejected.record
    said = (None, rejected.type, rejected.source, rejected.id)
    return _letter(stage, record, rejected.code, rejected.detail, said)


def from_record(
    stage: str, record: Record, fact: Fact | Instruction, code: DeadLetterCode
) -> DeadLetter:
    """A fact that passed the door, but not further."""
    order_id = fact.order_id if isinstance(fact, Fact) else None
    said = (order_id, fact.type, fact.source, fact.id)
    return _letter(stage, record, code, SENTENCES[code], said)


def from_fact(stage: str, fact: Fact, code: DeadLetterCode) -> DeadLetter:
    """A stored fact; its value is the canonical one, the original lies at its position."""
    key = None if fact.order_id is None else fact.order_id.encode()
    record = Record(fact.topic, fact.partition, fact.offset, fact.t, key, fact.payload, ())
    return from_record(stage, record, fact, code)


def write_dead_letters(
    connection: Connection, cluster_id: str, letters: Sequence[DeadLetter]
) -> list[DeadLetter]:
    """Keep those that are not kept yet; returns them. A record read again makes no second one."""
    if not letters:
        return []
    columns = ", ".join(f'"{name}"' for name in DeadLetter._fields)
    arrays = ", ".join(
        f"%({name})b::{kind}[]" for name, kind in zip(DeadLetter._fields, _KINDS, strict=True)
    )
    rows = fetch(
        connection,
        f"INSERT INTO dead_letters (cluster_id, {columns})"  # noqa: S608  our own names
        f" SELECT %(cluster_id)b, * FROM unnest({arrays})"
        ' ON CONFLICT DO NOTHING RETURNING topic, "partition", "offset"',
        cluster_id=cluster_id,
        **{name: [_value(name, letter) for letter in letters] for name in DeadLetter._fields},
    )
    new = set(rows)
    return [letter for letter in letters if (letter[0], letter[1], letter[2]) in new]


def publication(cluster_id: str, letter: DeadLetter) -> Outgoing:
    """The dead letter as others read it on its topic."""
    place = f"{cluster_id}/{letter.topic}/{letter.partition}/{letter.offset}"
    data = DeadLettered(
        code=letter.code,
        detail=letter.detail,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        timestamp_ms=letter.t,
        key=letter.key,
        headers=letter.headers,
        value_base64=None if letter.value is None else b64encode(letter.value).decode(),
        value_bytes=letter.value_bytes,
        value_sha256=None if letter.value_sha256 is None else letter.value_sha256.hex(),
        cut=letter.cut,
        redacted=letter.redacted,
    )
    key = letter.key or f"{letter.topic}/{letter.partition}/{letter.offset}"
    return Outgoing(
        DEAD_LETTERS, key, TYPE, sent_id(place, TYPE, 0), max(letter.t, 0), data.model_dump_json()
    )


_KINDS: Final = (
    "text",
    "int",
    "bigint",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "text",
    "bigint",
    "text",
    "jsonb",
    "bytea",
    "int",
    "bytea",
    "bool",
    "bool",
)


def _value(name: str, letter: DeadLetter) -> Any:
    value = getattr(letter, name)
    return Jsonb(value) if name == "headers" else value


def _letter(
    stage: str,
    record: Record,
    code: DeadLetterCode,
    detail: str,
    said: tuple[str | None, str | None, str | None, str | None],
) -> DeadLetter:
    # cut before it is redacted, but beyond where a number that begins in the copy could end
    cut = record.value if record.value is None else record.value[: VALUE_BYTES_MAX + _CARD_MAX]
    value, value_redacted = (None, False) if cut is None else redact(cut)
    headers, is_cut = _headers(record)
    key = None if record.key is None else record.key.decode("utf-8", "backslashreplace")
    order_id, type_name, source, id_ = (None if text is None else _text(text) for text in said)
    return DeadLetter(
        record.topic,
        record.partition,
        record.offset,
        stage,
        code,
        detail,
        order_id,
        type_name,
        source,
        id_,
        record.timestamp_ms,
        None if key is None else _text(key),
        headers,
        None if value is None else value[:VALUE_BYTES_MAX],
        None if record.value is None else whole_size(record.value),
        None if record.value is None else whole_sha256(record.value),
        is_cut or len(key or "") > _TEXT_MAX or len(record.value or b"") > VALUE_BYTES_MAX,
        value_redacted,
    )


def _headers(record: Record) -> tuple[dict[str, str], bool]:
    """Redacted headers as text, up to a limit; whether any was shortened or had to be left out."""
    kept: dict[str, str] = {}
    size = 0
    is_cut = False
    for name, raw in record.headers:
        whole = (raw or b"")[: HEADER_BYTES_MAX + _CARD_MAX].decode("utf-8", "backslashreplace")
        text = _text(whole)
        is_cut = is_cut or max(len(name), len(whole)) > _TEXT_MAX
        size += len(name.encode("utf-8", "backslashreplace")) + len(text.encode())
        if size > HEADER_BYTES_MAX:
            return kept, True
        kept[_text(name)] = text
    return kept, is_cut


def _text(text: str) -> str:
    """Redacted, and storable: PostgreSQL takes no U+0000 and no surrogates; length is bounded."""
    text = text[: _TEXT_MAX + _CARD_MAX]
    safe = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return redact_text(safe)[:_TEXT_MAX]
