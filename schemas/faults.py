"""What is wrong with data is said in our own words: names of fields and kinds of fault, never a value."""

from typing import Final

from pydantic import ValidationError

from schemas.facts import FACT_TYPES
from schemas.instructions import INSTRUCTION_TYPES
from schemas.payments import OrderDetails, OrderLine
from schemas.words import WireModel


def where(error: ValidationError) -> str:
    """Where the first fault is, and of which kind."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(
        str(part) for part in first["loc"] if isinstance(part, int) or part in _FIELD_NAMES
    )
    return f"{path or 'data'}: {first['type']}"[:200]


_MODELS: Final[tuple[type[WireModel], ...]] = (
    *(fact.model for fact in (*FACT_TYPES.values(), *INSTRUCTION_TYPES.values())),
    OrderDetails,
    OrderLine,
)
# Ours alone: unknown names, and those of options, are a sender's words.
_FIELD_NAMES: Final = frozenset(name for model in _MODELS for name in model.model_fields)
