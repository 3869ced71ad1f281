"""A mediator's ruling: final, for the one open request that it names."""

from typing import Literal, Self

from pydantic import model_validator

from schemas.money import AmountMinor
from schemas.words import Id, Rationale, WireModel


class RulingIssued(WireModel):
    """The mediator has decided; `refund_minor` stands exactly where the outcome is `refund_partial`."""

    order_id: Id
    ruling_id: Id
    request_id: Id
    mediator_id: Id
    outcome: Literal["refund_full", "refund_partial", "release"]
    refund_minor: AmountMinor | None = None
    rationale: Rationale | None = None

    @model_validator(mode="after")
    def _amount_only_for_a_part(self) -> Self:
        if (self.outcome == "refund_partial") != (self.refund_minor is not None):
            raise ValueError("refund_minor belongs to refund_partial, and to it alone")
        return self
