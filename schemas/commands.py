"""What we order a payment gateway to do: imperative, idempotent by `command_id` (RULES 4.6)."""

from hashlib import sha256
from typing import Annotated, Final, Literal

from pydantic import Field

from schemas.money import AmountMinor, Currency
from schemas.words import Id, Rfc3339, WireModel

REFUND_COMMANDS: Final = "escrow.refund-commands.v1"
PAYOUT_COMMANDS: Final = "escrow.payout-commands.v1"

Kind = Literal["refund", "payout"]
Purpose = Literal["settlement", "duplicate_payment", "not_eligible", "reissue"]
DecidedBy = Literal["buyer", "agreement", "ruling", "carrier", "card_network"]
COMMAND_TOPIC: Final[dict[str, str]] = {"refund": REFUND_COMMANDS, "payout": PAYOUT_COMMANDS}
COMMAND_TYPE: Final[dict[str, str]] = {"refund": "refund.issue", "payout": "payout.release"}


class Cause(WireModel):
    """The identity of the fact that led to this."""

    source: Annotated[str, Field(min_length=1, max_length=256)]
    id: Annotated[str, Field(min_length=1, max_length=256)]


class PaymentCommand(WireModel):
    """Pay `amount_minor` to `party_id`, at most once for this `command_id`.

    Executed again only if the gateway's own last answer was `failed` and `attempt` is higher;
    not begun after `not_after`.
    """

    command_id: Id
    order_id: Id
    payment_id: Id
    party_id: Id
    amount_minor: AmountMinor
    currency: Currency
    purpose: Purpose
    decided_by: DecidedBy | None
    cause: Cause
    attempt: Annotated[int, Field(ge=1)]
    not_after: Rfc3339


class CommandStatusRequested(WireModel):
    """A question about a silent command; the answer is an ordinary gateway result."""

    command_id: Id
    order_id: Id


def command_id(order_id: str, kind: Kind, n: int) -> str:
    """The gateway's idempotency key: 32 hex digits, the same whenever the facts are re-decided."""
    return sha256(f"{order_id}\n{kind}\n{n}".encode()).hexdigest()[:32]


def reissue_command_id(old_command_id: str) -> str:
    """The id of the one command that may follow a failed or returned one."""
    return sha256(f"{old_command_id}\nreissue".encode()).hexdigest()[:32]
