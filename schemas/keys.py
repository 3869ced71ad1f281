"""Who signs with which key: a JWKS in which each kid is bound to a holder, his sources and types.

A key counts between `not_before` and `not_after`, so that an old and a new one overlap, and never
from `revoked_at` on. Times are compared with the record's own; no clock is read.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from schemas.commands import COMMAND_TYPE
from schemas.facts import FACT_TYPES
from schemas.instructions import INSTRUCTION_TYPES
from schemas.words import is_rfc3339

COMMAND_TYPES: Final = (*COMMAND_TYPE.values(), "command.status_requested")
SIGNED_TYPES: Final = (*FACT_TYPES, *INSTRUCTION_TYPES, *COMMAND_TYPES)
_TIMES: Final = ("not_before", "not_after", "revoked_at")
_FIELDS: Final = {"kty", "crv", "x", "kid", "alg", "use", "holder", "sources", "types", *_TIMES}


class BadKeys(ValueError):
    """A file of keys that must not be used; the text says which key and why, never a secret."""


class Key(NamedTuple):
    """One public key and what it is good for. Times in ms UTC of the record; None: no bound."""

    kid: str
    holder: str  # the person or system that has the private part
    public: Ed25519PublicKey
    sources: tuple[str, ...]  # patterns; `*` stands for any text
    types: tuple[str, ...]
    not_before: int | None = None
    not_after: int | None = None
    revoked_at: int | None = None

    def speaks_for(self, source: str, type_name: str) -> bool:
        """May it sign a fact of this type in the name of this source?"""
        return self.may_sign(type_name) and _matches(source, self.sources)

    def may_sign(self, type_name: str) -> bool:
        """Is it bound to this type, whoever the sender is?"""
        return _matches(type_name, self.types)


class KeyRing:
    """All keys that count for anything, by kid."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        """Raises BadKeys where one kid stands twice."""
        self._keys: dict[str, Key] = {}
        for key in keys:
            if key.kid in self._keys:
                raise BadKeys(f"{key.kid}: this kid stands twice")
            self._keys[key.kid] = key

    @classmethod
    def from_jwks(cls, jwks: object) -> "KeyRing":
        """A JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037). Raises BadKeys."""
        keys = jwks.get("keys") if isinstance(jwks, dict) else None
        if not isinstance(keys, list) or not keys:
            raise BadKeys('expected {"keys": [...]} with at least one key')
        return cls(_key(jwk, f"key {n}") for n, jwk in enumerate(keys, 1))

    @classmethod
    def from_file(cls, path: Path) -> "KeyRing":
        """Raises BadKeys or OSError."""
        return cls.from_jwks(read_json(path))

    def get(self, kid: str) -> Key | None:
        return self._keys.get(kid)

    def all(self) -> list[Key]:
        """In the order of the file."""
        return list(self._keys.values())


class Signing(NamedTuple):
    """A private key and its name."""

    kid: str
    private: Ed25519PrivateKey


def signing_key(path: Path) -> Signing:
    """The private key of a JWK file. Raises BadKeys or OSError."""
    jwk = read_json(path)
    if not isinstance(jwk, dict) or "d" not in jwk:
        raise BadKeys("no private key: expected one JWK with `d`")
    public = _key({name: value for name, value in jwk.items() if name != "d"}, "the key")
    secret = _octets(jwk["d"], public.kid)
    private = Ed25519PrivateKey.from_private_bytes(secret)
    if private.public_key() != public.public:
        raise BadKeys(f"{public.kid}: `d` and `x` do not belong together")
    return Signing(public.kid, private)


def new_jwk(
    holder: str, sources: Iterable[str], types: Iterable[str], **times: str | None
) -> dict[str, Any]:
    """A new private key as a JWK; without `d` it is what others may know. Raises BadKeys."""
    private = Ed25519PrivateKey.generate()
    x = b64url(private.public_key().public_bytes_raw())
    thumbprint = sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).hexdigest()
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": f"{holder}-{thumbprint[:8]}",
        "holder": holder,
        "sources": list(sources),
        "types": list(types),
        **{name: time for name, time in times.items() if time is not None},
        "x": x,
    }
    _key(jwk, "the new key")
    return {**jwk, "d": b64url(private.private_bytes_raw())}


def read_json(path: Path) -> Any:
    """Raises BadKeys or OSError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise BadKeys("not JSON") from None


def b64url(raw: bytes) -> str:
    """Base64url without padding (RFC 7515, appendix C)."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _key(jwk: object, where: str) -> Key:
    """One JWK, all of it understood, or BadKeys."""
    if not isinstance(jwk, dict):
        raise BadKeys(f"{where}: not a JSON object")
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise BadKeys(f"{where}: no kid")
    if "d" in jwk:
        raise BadKeys(f"{kid}: a private key among public ones; take `d` out, and use a new key")
    if unknown := jwk.keys() - _FIELDS:  # a misspelt `revoked_at` must not be passed over
        raise BadKeys(f"{kid}: unknown members: {', '.join(sorted(unknown))}")
    if (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519"):
        raise BadKeys(f"{kid}: only Ed25519 keys are taken")
    if jwk.get("alg", "EdDSA") != "EdDSA" or jwk.get("use", "sig") != "sig":
        raise BadKeys(f"{kid}: not a key for EdDSA signatures")
    holder = jwk.get("holder")
    if not isinstance(holder, str) or not holder:
        raise BadKeys(f"{kid}: no holder: two signatures of one holder count as one")
    types = _texts(jwk, "types", kid)
    for pattern in types:
        if not any(fnmatchcase(name, pattern) for name in SIGNED_TYPES):
            raise BadKeys(f"{kid}: {pattern} is no type that is signed")
    public = Ed25519PublicKey.from_public_bytes(_octets(jwk.get("x"), kid))
    times = (_ms(jwk, name, kid) for name in _TIMES)
    return Key(kid, holder, public, _texts(jwk, "sources", kid), types, *times)


def _texts(jwk: Mapping[str, Any], name: str, kid: str) -> tuple[str, ...]:
    texts = jwk.get(name)
    if isinstance(texts, list) and texts and all(isinstance(t, str) and t for t in texts):
        return tuple(texts)
    raise BadKeys(f"{kid}: {name} is a list of texts, at least one")


def _ms(jwk: Mapping[str, Any], name: str, kid: str) -> int | None:
    text = jwk.get(name)
    if text is None:
        return None
    if not isinstance(text, str) or not is_rfc3339(text) or text[17:19] == "60":
        raise BadKeys(f"{kid}: {name} is not an RFC 3339 time")
    try:
        return int(datetime.fromisoformat(text.upper()).timestamp() * 1_000)
    except (ValueError, OverflowError):
        raise BadKeys(f"{kid}: {name} is out of range") from None


def _octets(text: object, kid: str) -> bytes:
    """The 32 bytes of one half of an Ed25519 key."""
    raw = b""
    if isinstance(text, str) and len(text) == 43:
        try:
            raw = urlsafe_b64decode(f"{text}=")
        except ValueError:
            raw = b""
    if len(raw) != 32 or b64url(raw) != text:
        raise BadKeys(f"{kid}: not the 32 bytes of an Ed25519 key in base64url")
    return raw


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
