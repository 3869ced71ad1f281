"""What is sent and how it is signed: Standard Webhooks, symmetric signatures `v1`.

The id is the event's own, the same at every try, so that a receiver can drop repetitions.
"""

import base64
import hmac
import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

from ops.webhooks.endpoints import EVENT_TYPES
from schemas.door import Record
from schemas.envelope import last_headers
from schemas.order_events import SOURCE, rfc3339

VERSION: Final = "v1"


def signature(secret: bytes, id_: str, timestamp: int, body: bytes) -> str:
    """`v1,BASE64` over id, timestamp (seconds) and body."""
    signed = b".".join((id_.encode(), str(timestamp).encode(), body))
    return f"{VERSION}," + base64.b64encode(hmac.new(secret, signed, sha256).digest()).decode()


def headers_of(secrets: Sequence[bytes], id_: str, timestamp: int, body: bytes) -> dict[str, str]:
    """All headers of one try; signed with each secret while they are exchanged."""
    return {
        "content-type": "application/json",
        "user-agent": "escrow-webhooks",
        "webhook-id": id_,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(one, id_, timestamp, body) for one in secrets),
    }


class Event(NamedTuple):
    """What is told."""

    id: str
    type: str
    body: bytes


def event_of(record: Record) -> Event | None:
    """An order event as it is told; None for a record that is none of ours."""
    headers = last_headers(record.headers)
    id_, type_ = (
        headers.get(name, b"").decode("utf-8", "replace") for name in ("ce_id", "ce_type")
    )
    if headers.get("ce_source") != SOURCE.encode() or type_ not in EVENT_TYPES or not id_:
        return None
    try:
        data: Any = json.loads(record.value or b"")
    except (ValueError, RecursionError):
        return None
    body = {"type": type_, "timestamp": rfc3339(record.timestamp_ms), "data": data}
    return Event(id_, type_, json.dumps(body, separators=(",", ":")).encode())
