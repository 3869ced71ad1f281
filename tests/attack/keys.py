"""Keys of everybody in the trials, the same in every run: made of their names, so good for nothing else."""

from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.door import Record
from schemas.keys import KeyRing, Signing, b64url
from schemas.signatures import signature_header
from tests.builders import T0

DAY_MS: Final = 86_400_000
# holder → sources, types, times
BOUND: Final[dict[str, tuple[list[str], list[str], dict[str, str]]]] = {
    "shop": (["/shop"], ["*"], {}),
    "carrier": (["/carrier/*"], ["shipment.*"], {}),
    "anna": (["/mediators/anna"], ["ruling.issued"], {}),
    "boris": (["/mediators/boris"], ["ruling.issued"], {}),
    "gateway": (["/gateway"], ["gateway.*"], {}),
    "operators": (["/escrow/operators"], ["command.*"], {}),
    "relay": (["escrow"], ["refund.issue", "payout.release", "command.status_requested"], {}),
    "ticker": (["escrow-ticker"], ["deadline.reached"], {}),
    "stolen": (["/shop"], ["*"], {"revoked_at": "2023-11-14T22:13:20Z"}),  # T0 itself
    "old": (["/shop"], ["*"], {"not_after": "2023-11-14T22:13:20Z"}),
    "next": (["/shop"], ["*"], {"not_before": "2023-11-14T22:13:20.001Z"}),
}
assert T0 == 1_700_000_000_000  # what the times above are about


def private_of(holder: str) -> Ed25519PrivateKey:
    """Also of those whom nobody knows."""
    return Ed25519PrivateKey.from_private_bytes(sha256(f"trial {holder}".encode()).digest())


def signing(holder: str, kid: str | None = None) -> Signing:
    return Signing(holder if kid is None else kid, private_of(holder))


def jwk(who: str, **changes: Any) -> dict[str, Any]:
    sources, types, times = BOUND[who]
    public = private_of(who).public_key().public_bytes_raw()
    made = {"kty": "OKP", "crv": "Ed25519", "kid": who, "holder": who, "x": b64url(public)}
    return {**made, "sources": sources, "types": types, **times, **changes}


def ring(*holders: str) -> KeyRing:
    return KeyRing.from_jwks({"keys": [jwk(holder) for holder in holders or BOUND]})


def signed(record: Record, *holders: str) -> Record:
    """The record with the signature of each of these."""
    for holder in holders:
        headers = list(record.headers)
        header = signature_header(signing(holder), record.topic, record.key, record.value, headers)
        record = record._replace(headers=[*headers, header])
    return record
