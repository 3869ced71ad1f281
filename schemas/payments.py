"""Payment facts: money that came in, and money that a card network takes back (RULES 2)."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.money import AmountMinor, AmountMinorOrZero, Currency
from schemas.words import Id, Method, Rfc3339, Sha256Hex, Text, WireModel


def _sorted(options: dict[str, str]) -> dict[str, str]:
    return dict(sorted(options.items()))


Options = Annotated[dict[Text, Text], Field(max_length=20), AfterValidator(_sorted)]


class OrderLine(WireModel):
    """One line of the order as the buyer confirmed it; line ids may repeat."""

    line_id: Id
    sku: Text
    quantity: Annotated[int, Field(ge=1, le=10**6)]
    unit_minor: AmountMinorOrZero
    options: Options | None = None  # in one order of names, so that equal facts are equal bytes


class OrderDetails(WireModel):
    """What was bought and where it goes (P12); the address only as a digest."""

    # Not strict: JSON has arrays only, and Python's parser hands them over as lists.
    lines: Annotated[tuple[OrderLine, ...], Field(min_length=1, max_length=200, strict=False)]
    shipping_minor: AmountMinorOrZero
    delivery_address_sha256: Sha256Hex | None = None
    promised_by: Rfc3339 | None = None


class PaymentCaptured(WireModel):
    """The buyer's money has arrived; whether it is protected is decided by RULES 4.1."""

    order_id: Id
    payment_id: Id
    buyer_id: Id
    supplier_id: Id
    amount_minor: AmountMinor
    currency: Currency
    method: Method
    paid_through: Literal["escrow", "other"]
    agreement_accepted: bool
    order: OrderDetails | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.buyer_id == self.supplier_id:
            raise ValueError("buyer and supplier are the same")
        if self.order is not None:
            total = sum(line.quantity * line.unit_minor for line in self.order.lines)
            if total + self.order.shipping_minor != self.amount_minor:
                raise ValueError("lines and shipping do not add up to the amount")
        return self


class PaymentChargedBack(WireModel):
    """The card network disputes a payment: the money is on its way out."""

    order_id: Id
    chargeback_id: Id
    payment_id: Id
    amount_minor: AmountMinor
    currency: Currency


class PaymentChargebackClosed(WireModel):
    """The card network has decided; `won`: the money stays with us."""

    order_id: Id
    chargeback_id: Id
    outcome: Literal["won", "lost"]
