"""A relay's key for one run of the kit: made here, given to no file but the adapter's own JWKS, then forgotten."""

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.keys import COMMAND_TYPES, Signing, b64url
from schemas.order_events import SOURCE

KID: Final = "relay"


def new_key() -> Signing:
    """A key under the relay's name; a second one is a stranger's."""
    return Signing(KID, Ed25519PrivateKey.generate())


def jwks_of(key: Signing) -> dict[str, Any]:
    """What an adapter is told: whose signature counts, and for what."""
    x = b64url(key.private.public_key().public_bytes_raw())
    bound = {"holder": "relay", "sources": [SOURCE], "types": list(COMMAND_TYPES)}
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": key.kid, **bound, "x": x}]}
