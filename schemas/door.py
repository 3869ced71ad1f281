"""The door: a Kafka record becomes one `Fact`, or one `Rejected` with the first code that holds.

The checks stand in the order of RULES 3.1. No bytes make this raise.
"""

import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol, cast

from pydantic import ValidationError

from schemas import cards, envelope, strict_json
from schemas.cut import whole_size
from schemas.envelope import BadEnvelope, Envelope
from schemas.facts import FACT_TYPES, FactData, FactType
from schemas.faults import where
from schemas.instructions import INSTRUCTION_TYPES, InstructionData
from schemas.payments import PaymentCaptured
from schemas.reasons import DoorCode
from schemas.supplier_reports import SupplierReported
from schemas.words import WireModel

VALUE_BYTES_MAX: Final = 65_536
_ALL_TYPES: Final = {**FACT_TYPES, **INSTRUCTION_TYPES}
_FREE_TEXT: Final = {fact.model: fact.free_text for fact in FACT_TYPES.values()}
_FREE_TEXT_FIELDS: Final = {"note", "rationale"}


class Record(NamedTuple):
    """A Kafka record, as read; `timestamp_ms` is the only clock that rules know."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes | None]]


class Fact(NamedTuple):
    """What a sender says, past the door. `order_id` is None for `supplier.reported` alone."""

    type: str
    data: FactData
    order_id: str | None
    source: str
    id: str
    t: int  # record timestamp, ms UTC
    payload: bytes  # canonical JSON of the data without nulls and without free text
    text: str | None  # note or rationale, kept apart so that it can be forgotten
    digest: bytes  # SHA-256 over type and payload: what identity compares
    time: str | None
    extensions: tuple[tuple[str, str | int], ...]
    topic: str
    partition: int
    offset: int
    salt: bytes | None = None  # with a text: drawn when the fact is stored, erased with it
    text_digest: bytes | None = None  # SHA-256 over salt and text


class Instruction(NamedTuple):
    """What an operator says about sending, past the door. It concerns no order's decisions."""

    type: str
    data: InstructionData
    source: str
    id: str
    t: int  # record timestamp, ms UTC
    payload: bytes  # canonical JSON of the data
    topic: str
    partition: int
    offset: int


class Rejected(NamedTuple):
    """A record that no stage may act on: a dead letter; source, id and type where known."""

    code: DoorCode
    detail: str  # never holds a value of the record
    record: Record
    source: str | None = None
    id: str | None = None
    type: str | None = None


class Distrust(NamedTuple):
    """Why a record is not looked at: `bad_signature` or `unauthorized_source`."""

    code: DoorCode
    detail: str  # never holds a value of the record


class Trust(Protocol):
    """Who may send what: signatures and source rules, where they are on."""

    def refuses(self, fact: FactType, sent: Envelope, record: Record) -> Distrust | None:
        """None where the record may be looked at."""


class _Refuse(Exception):
    def __init__(self, code: DoorCode, detail: str, sent: Envelope | None = None) -> None:
        self.code: DoorCode = code
        self.detail = detail
        self.sent = sent


def decode(record: Record, trust: Trust | None = None) -> Fact | Rejected:
    """Take one record through the door; a failed check gives `Rejected`, nothing raises."""
    return _taken(record, trust, FACT_TYPES)  # type: ignore[return-value]  # none is an instruction


def decode_with_instructions(
    record: Record, trust: Trust | None = None
) -> Fact | Instruction | Rejected:
    """As `decode`, where operators may tell the sending side what to do."""
    return _taken(record, trust, _ALL_TYPES)


def _taken(
    record: Record, trust: Trust | None, types: Mapping[str, FactType]
) -> Fact | Instruction | Rejected:
    try:
        return _decode(record, trust, types)
    except _Refuse as refusal:
        sent = refusal.sent
        if sent is None:
            return Rejected(refusal.code, refusal.detail, record)
        return Rejected(refusal.code, refusal.detail, record, sent.source, sent.id, sent.type)


def _decode(
    record: Record, trust: Trust | None, types: Mapping[str, FactType]
) -> Fact | Instruction:
    value = record.value
    if value is not None and len(value) > VALUE_BYTES_MAX:
        raise _Refuse("too_large", f"{whole_size(value)} bytes")
    headers = envelope.last_headers(record.headers)
    event: dict[str, Any] | None = None
    try:
        if envelope.is_structured(headers):
            event = _parse(value, None)
            sent = envelope.from_event(event)
        else:
            sent = envelope.from_headers(headers)
        if record.timestamp_ms < 0:
            raise BadEnvelope("the record has no timestamp")
    except BadEnvelope as error:
        raise _Refuse("bad_envelope", str(error)) from None
    fact_type = types.get(sent.type)
    if fact_type is None:
        raise _Refuse("unknown_type", "no such type", sent)
    if fact_type.topic != record.topic:
        raise _Refuse("wrong_topic", f"belongs to {fact_type.topic}", sent)
    if trust is not None and (distrust := trust.refuses(fact_type, sent, record)) is not None:
        raise _Refuse(distrust.code, distrust.detail, sent)
    if event is None:
        data = _from_bytes(fact_type.model, value, sent)
    else:
        data = _from_object(fact_type.model, event.get("data"), sent)
    if sent.type in INSTRUCTION_TYPES:
        return _instruction(record, sent, cast(InstructionData, data))
    return _fact(record, sent, data)


def _instruction(record: Record, sent: Envelope, data: InstructionData) -> Instruction:
    _check(record, sent, data, data.key)
    payload = data.model_dump_json().encode()
    place = (record.topic, record.partition, record.offset)
    return Instruction(sent.type, data, sent.source, sent.id, record.timestamp_ms, payload, *place)


def _check(record: Record, sent: Envelope, data: WireModel, key: str) -> None:
    """The last checks, on parsed data: key, then card numbers."""
    if record.key != key.encode() or (sent.subject is not None and sent.subject != key):
        raise _Refuse("key_mismatch", "key, subject and order id differ", sent)
    for written in _card_texts(data):
        if cards.has_card_number(written):
            raise _Refuse("card_number", "a text holds a card number", sent)


def _fact(record: Record, sent: Envelope, data: WireModel) -> Fact:
    is_report = type(data) is SupplierReported
    key = data.supplier_id if is_report else data.order_id  # type: ignore[attr-defined]
    _check(record, sent, data, key)
    field = _FREE_TEXT[type(data)]
    free_text: str | None = None if field is None else getattr(data, field)
    exclude = None if free_text is None else _FREE_TEXT_FIELDS
    payload = data.__pydantic_serializer__.to_json(data, exclude_none=True, exclude=exclude)
    return Fact(
        sent.type,
        cast(FactData, data),
        None if is_report else key,
        sent.source,
        sent.id,
        record.timestamp_ms,
        payload,
        free_text,
        fact_digest(sent.type, payload),
        sent.time,
        sent.extensions,
        record.topic,
        record.partition,
        record.offset,
    )


def fact_digest(type_name: str, payload: bytes) -> bytes:
    """SHA-256 over type and canonical payload: equal for equal facts, whatever their spelling."""
    return sha256(type_name.encode() + b"\n" + payload).digest()


def seal(fact: Fact, salt: bytes) -> Fact:
    """Bind a fact's free text to it by a salted digest: forgotten, it leaves the chain whole."""
    if fact.text is None:
        return fact
    text_digest = sha256(salt + fact.text.encode()).digest()
    return fact._replace(
        salt=salt, text_digest=text_digest, digest=sealed_digest(fact.digest, text_digest)
    )


def sealed_digest(digest: bytes, text_digest: bytes | None) -> bytes:
    """What the hash chain knows of a fact: type and payload, and the text by its salted digest."""
    return digest if text_digest is None else sha256(digest + text_digest).digest()


def _parse(value: bytes | None, sent: Envelope | None) -> dict[str, Any]:
    try:
        return strict_json.parse_object(value)
    except strict_json.NotJson as error:
        raise _Refuse("invalid_json", str(error), sent) from None
    except strict_json.DuplicateKey as error:
        raise _Refuse("duplicate_key", str(error), sent) from None


def _from_object(model: type[WireModel], data: Any, sent: Envelope) -> WireModel:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _Refuse("invalid_data", where(error), sent) from None


def _from_bytes(model: type[WireModel], value: bytes | None, sent: Envelope) -> WireModel:
    """Binary mode. Pydantic's own parser is taken at its word only where it cannot be wrong.

    Without a backslash and without white space before a colon, `":` ends each name and nothing
    else, so that as many of them as there are fields means: no name stands twice.
    """
    if value is not None and _UNSURE.search(value) is None:
        try:
            data = model.__pydantic_validator__.validate_json(value)
        except ValidationError:
            pass
        else:
            if value.count(b'":') == _names(data):
                return cast(WireModel, data)
    return _from_object(model, _parse(value, sent), sent)


_UNSURE: Final = re.compile(rb'\\|"[ \t\r\n]')


def _names(data: WireModel) -> int:
    """How many names the JSON of this value had, if none stood twice."""
    names = len(data.model_fields_set)
    if isinstance(data, PaymentCaptured) and data.order is not None:
        names += len(data.order.model_fields_set)
        for line in data.order.lines:
            names += len(line.model_fields_set) + len(line.options or ())
    return names


def _card_texts(data: WireModel) -> Iterable[str]:
    """The texts that people write, where a card number could stand."""
    fields = _CARD_FIELDS[type(data)]
    if fields:
        return [text for text in (getattr(data, name) for name in fields) if text is not None]
    if type(data) is PaymentCaptured and data.order is not None:
        options = [line.options for line in data.order.lines if line.options]
        return [text for option in options for item in option.items() for text in item]
    return ()


_CARD_FIELDS: Final = {
    fact.model: tuple(
        name
        for name in ("note", "rationale", "signed_by", "asked_for", "uri")
        if name in fact.model.model_fields
    )
    for fact in _ALL_TYPES.values()
}
