"""A signature covers everything that decides what a record does, or it covers nothing.

Detached EdDSA JWS (RFC 7515, appendix F) in the header `escrow-signature`, in both modes. Its payload is
the netstrings of topic, key, specversion, source, id, type, subject, content-type and the exact
bytes of the value, in this order; what is absent is `-,`. Extension attributes are not covered:
they decide nothing. Several signatures of one record are separated by commas.
"""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature

from schemas.envelope import (
    BadEnvelope,
    Envelope,
    from_event,
    from_headers,
    is_structured,
    last_headers,
)
from schemas.keys import Key, KeyRing, Signing, b64url
from schemas.strict_json import DuplicateKey, NotJson, parse_object

HEADER: Final = "escrow-signature"
HEADER_BYTES_MAX: Final = 2_048
SIGNATURES_MAX: Final = 4
_SIGNATURE_CHARACTERS: Final = 86  # of 64 bytes in base64url


class Unsigned(ValueError):
    """No signature, or one that does not hold; the text says why, without a value of the record."""


class Covered(NamedTuple):
    """What is signed of a record, with the attributes that its mode puts elsewhere."""

    topic: str
    key: bytes | None
    sent: Envelope
    content_type: bytes | None
    value: bytes | None


def payload_of(what: Covered) -> bytes:
    """The bytes that are signed: unambiguous, since each part says how long it is."""
    sent = what.sent
    if sent.subject is not None and not isinstance(sent.subject, str):
        raise Unsigned("its subject is not a text")
    parts = (
        what.topic.encode("utf-8", "backslashreplace"),
        what.key,
        b"1.0",
        sent.source.encode(),
        sent.id.encode(),
        sent.type.encode(),
        None if sent.subject is None else sent.subject.encode(),
        what.content_type,
        what.value,
    )
    return b"".join(b"-," if part is None else b"%d:%b," % (len(part), part) for part in parts)


def signers(
    ring: KeyRing, what: Covered, header: bytes | None, t: int, *, revoked_for_all_time: bool
) -> tuple[Key, ...]:
    """The keys whose signatures the record carries; every one of them must hold.

    The first that speaks for the record's source and type makes it the source's; others only
    agree. `t`: ms UTC of the record. `revoked_for_all_time`: `t` is the sender's own, so that a
    thief of a revoked key could choose an earlier one. Raises Unsigned.
    """
    if header is None:
        raise Unsigned("it is not signed")
    if len(header) > HEADER_BYTES_MAX:
        raise Unsigned("its signature is too long")
    try:
        texts = header.decode("ascii").split(",")
    except UnicodeDecodeError:
        raise Unsigned("its signature is not a detached JWS") from None
    if len(texts) > SIGNATURES_MAX:
        raise Unsigned("it has too many signatures")
    encoded = b64url(payload_of(what)).encode()
    keys: list[Key] = []
    for text in texts:
        key = _verified(ring, text.strip(" "), encoded)
        _assert_in_force(key, t, revoked_for_all_time=revoked_for_all_time)
        if not key.may_sign(what.sent.type):
            raise Unsigned("its key may not sign this type")
        keys.append(key)
    if not any(key.speaks_for(what.sent.source, what.sent.type) for key in keys):
        raise Unsigned("its key does not speak for this source")
    return tuple(keys)


def sign(key: Signing, what: Covered) -> bytes:
    """The header's value: one signature. Raises Unsigned for what cannot be signed."""
    protected = _protected(key.kid)
    signature = key.private.sign(f"{protected}.{b64url(payload_of(what))}".encode())
    return f"{protected}..{b64url(signature)}".encode()


def signature_header(
    key: Signing,
    topic: str,
    record_key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
) -> tuple[str, bytes]:
    """For publishers: the header to add to a record in either mode. Sign last, change nothing after.

    A record that is signed already gets this signature beside the others. Raises Unsigned where
    the record is no CloudEvent.
    """
    last = last_headers(headers)
    mine = sign(key, covered(topic, record_key, value, last))
    there = last.get(HEADER)
    return HEADER, mine if there is None else b"%b,%b" % (there, mine)


def covered(
    topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]
) -> Covered:
    """What a signature covers of a record whose envelope is not read yet. Raises Unsigned."""
    try:
        structured = is_structured(headers)
        sent = from_event(parse_object(value)) if structured else from_headers(headers)
    except (BadEnvelope, NotJson, DuplicateKey) as error:
        raise Unsigned(f"it is no CloudEvent: {error}") from None
    return Covered(topic, key, sent, headers.get("content-type"), value)


def _verified(ring: KeyRing, text: str, payload: bytes) -> Key:
    protected, _, rest = text.partition(".")
    empty, _, signature = rest.partition(".")
    kid = _kid_of(protected)
    if kid is None or empty or len(signature) != _SIGNATURE_CHARACTERS:
        raise Unsigned("its signature is not a detached JWS")
    key = ring.get(kid)
    if key is None:
        raise Unsigned("its key is unknown")
    raw = _decoded(signature)
    if raw is None:
        raise Unsigned("its signature is not a detached JWS")
    try:
        key.public.verify(raw, b"%b.%b" % (protected.encode(), payload))
    except InvalidSignature:
        raise Unsigned("its signature does not fit it") from None
    return key


def _assert_in_force(key: Key, t: int, *, revoked_for_all_time: bool) -> None:
    if key.revoked_at is not None and (revoked_for_all_time or t >= key.revoked_at):
        raise Unsigned("its key is revoked")
    if key.not_before is not None and t < key.not_before:
        raise Unsigned("its key does not count yet")
    if key.not_after is not None and t >= key.not_after:
        raise Unsigned("its key has run out")


@lru_cache(maxsize=1024)
def _kid_of(protected: str) -> str | None:
    """The kid of a protected header that says just `alg` and `kid`; anything else is none."""
    raw = _decoded(protected)
    try:
        said: Any = {} if raw is None else parse_object(raw)
    except (NotJson, DuplicateKey):
        return None
    if said.keys() != {"alg", "kid"} or said["alg"] != "EdDSA" or not isinstance(said["kid"], str):
        return None
    kid: str = said["kid"]
    return kid


@lru_cache(maxsize=64)
def _protected(kid: str) -> str:
    return b64url(json.dumps({"alg": "EdDSA", "kid": kid}, separators=(",", ":")).encode())


def _decoded(text: str) -> bytes | None:
    """Base64url, spelt in the one way there is: no padding, no stray bits, no other alphabet."""
    try:
        raw = urlsafe_b64decode(f"{text}{'=' * (-len(text) % 4)}")
    except ValueError:
        return None
    return raw if b64url(raw) == text else None
