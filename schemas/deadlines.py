"""A deadline that the ticker saw pass; it acts only if its condition still holds."""

from typing import Literal

from schemas.words import Id, Rfc3339, WireModel


class DeadlineReached(WireModel):
    """A deadline of the order has passed; written by the ticker, never from outside."""

    order_id: Id
    deadline_id: Id
    kind: Literal["mediation_available", "park_limit"]
    due_at: Rfc3339
