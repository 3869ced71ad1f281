"""What we tell others: changes of status, refusals, alarms, dead letters (RULES 4.8)."""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from schemas.commands import Cause, DecidedBy
from schemas.money import Currency
from schemas.words import WireModel

ORDER_EVENTS: Final = "escrow.order-events.v1"
DEAD_LETTERS: Final = "escrow.dead-letters.v1"
SOURCE: Final = "escrow"  # the CloudEvents source of all that the pipeline sends


class OrderChanged(WireModel):
    """One change of status; the first one comes from null. Amounts as they stand after it.

    On the wire the two statuses are `from` and `to`; the former is a word of Python's own.
    """

    model_config = ConfigDict(
        serialize_by_alias=True, validate_by_alias=True, validate_by_name=True
    )

    order_id: str
    from_status: Annotated[str | None, Field(alias="from")]
    to_status: Annotated[str, Field(alias="to")]
    held_minor: int
    refunded_minor: int
    paid_out_minor: int
    currency: Currency
    decided_by: DecidedBy | None
    cause: Cause
    decision_no: int
    chain_head: str  # hex; a witness that the database cannot take back


class FactRefused(WireModel):
    """A fact was refused; `detail` says more where there is more, such as `eligible_at`."""

    order_id: str
    cause: Cause
    type: str
    code: str
    detail: dict[str, str] | None = None


class MediationAvailable(WireModel):
    """From now on the buyer may ask for the mediator."""

    order_id: str
    request_id: str
    first_requested_at: str


class AlarmRaised(WireModel):
    """Something that a person must look at."""

    order_id: str | None
    alarm: str
    cause: Cause
    detail: dict[str, str] | None = None


class DeadLettered(WireModel):
    """A record that an operator must look at: redacted copy, digests and place of the original."""

    code: str
    detail: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str | None
    headers: dict[str, str]
    value_base64: str | None
    value_bytes: int | None
    value_sha256: str | None
    cut: bool  # the copy is shorter than the original
    redacted: bool  # card numbers were replaced


EventType = Literal["order.changed", "fact.refused", "mediation.available", "alarm.raised"]


def sent_id(cause: str, type_name: str, index: int) -> str:
    """A deterministic CloudEvents id for what we send, so that readers can drop repetitions."""
    return sha256(f"{cause}\n{type_name}\n{index}".encode()).hexdigest()[:32]


def rfc3339(t: int) -> str:
    """Milliseconds UTC as text, `2026-01-31T10:00:00.000Z`; past year 9999 it stays at its end."""
    instant = _EPOCH + timedelta(milliseconds=min(t, _LAST_MS))
    return instant.isoformat(timespec="milliseconds") + "Z"


_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  in UTC, as the Z says
_LAST_MS: Final = 253_402_300_799_999
