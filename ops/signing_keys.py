"""Keys for signatures: a private one is shown to nobody and lies in a file of its own, the public one in the JWKS.

The JWKS is replaced as a whole, so that no reader ever sees half of it.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from schemas.keys import BadKeys, Key, KeyRing, new_jwk, read_json


class NewKey(NamedTuple):
    """What a new key is bound to. Times are RFC 3339 texts."""

    holder: str
    sources: Sequence[str]
    types: Sequence[str]
    not_before: str | None = None
    not_after: str | None = None


def make_key(wanted: NewKey, private_path: Path, jwks_path: Path) -> str:
    """Write the private key, then add the public one to the JWKS; returns its kid.

    Raises BadKeys, or OSError; FileExistsError where there is a private key already.
    """
    times = {"not_before": wanted.not_before, "not_after": wanted.not_after}
    private = new_jwk(wanted.holder, wanted.sources, wanted.types, **times)
    public = {name: value for name, value in private.items() if name != "d"}
    jwks = read_json(jwks_path) if jwks_path.exists() else {"keys": []}
    if jwks.get("keys"):
        KeyRing.from_jwks(jwks)
    descriptor = os.open(private_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(json.dumps(private, indent=2) + "\n")
    _write(jwks_path, {**jwks, "keys": [*jwks["keys"], public]})
    kid: str = public["kid"]
    return kid


def revoke(jwks_path: Path, kid: str, since: str) -> Key:
    """Mark a key as revoked from that instant on. Raises BadKeys or OSError."""
    jwks = read_json(jwks_path)
    before = KeyRing.from_jwks(jwks).get(kid)
    if before is None:
        raise BadKeys(f"{kid}: no such key")
    keys = [{**jwk, "revoked_at": since} if jwk["kid"] == kid else jwk for jwk in jwks["keys"]]
    changed = {**jwks, "keys": keys}
    key = KeyRing.from_jwks(changed).get(kid)
    assert key is not None
    if before.revoked_at is not None and (key.revoked_at or 0) > before.revoked_at:
        raise BadKeys(f"{kid}: it is revoked from an earlier time on")
    _write(jwks_path, changed)
    return key


def _write(path: Path, jwks: dict[str, Any]) -> None:
    KeyRing.from_jwks(jwks)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(jwks, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)
