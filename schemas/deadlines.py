"""A deadline that the ticker saw pass; it acts only if its condition still holds."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, WithJsonSchema

from schemas.words import Id, Rfc3339, WireModel

Kind = Literal["mediation_available", "park_limit", "auto_confirm", "supplier_silence"]
SILENCES: Final[frozenset[Kind]] = frozenset({"auto_confirm", "supplier_silence"})
# Those that a known version of the policy asks for: by default none, and then they are no kinds.
SWITCHED_ON: Final[set[Kind]] = set()


# The contract names those that are always there; the others are between our ticker and our stage.
_PUBLISHED: Final = WithJsonSchema(
    {"enum": ["mediation_available", "park_limit"], "type": "string"}
)


def _asked_for(kind: Kind) -> Kind:
    if kind in SILENCES and kind not in SWITCHED_ON:
        raise ValueError("no policy asks for it")
    return kind


class DeadlineReached(WireModel):
    """A deadline of the order has passed; written by the ticker, never from outside."""

    order_id: Id
    deadline_id: Id
    kind: Annotated[Kind, AfterValidator(_asked_for), _PUBLISHED]
    due_at: Rfc3339
