"""What a payment gateway answers to a command; amount and currency must be the command's."""

from schemas.money import AmountMinor, Currency
from schemas.words import Id, Text, WireModel


class _GatewayResult(WireModel):
    order_id: Id
    command_id: Id
    amount_minor: AmountMinor
    currency: Currency
    gateway_reference: Text | None = None
    reason_code: Text | None = None
    retryable: bool | None = None


class GatewayAccepted(_GatewayResult):
    """The gateway has the command and works on it."""


class GatewaySettled(_GatewayResult):
    """The money has moved."""


class GatewayFailed(_GatewayResult):
    """The money has not moved; `retryable` says whether another attempt may help."""


class GatewayReturned(_GatewayResult):
    """The money moved and came back."""
