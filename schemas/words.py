"""The constrained words that facts are made of: ids, texts, digests, times (RULES 2)."""

import re
from datetime import date
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)

ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$"
_NO_CONTROLS: Final = r"^[^\p{Cc}]*$"
_NO_CONTROLS_BUT_LINES: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"

Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_NO_CONTROLS)]
Uri = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_NO_CONTROLS)]
Note = Annotated[
    str, StringConstraints(min_length=1, max_length=2000, pattern=_NO_CONTROLS_BUT_LINES)
]
Rationale = Annotated[
    str, StringConstraints(min_length=1, max_length=4000, pattern=_NO_CONTROLS_BUT_LINES)
]
Method = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")]
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
SizeBytes = Annotated[int, Field(ge=1, le=2**53 - 1)]

_RFC3339: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.\d+)?"
    r"(?:[Zz]|([+-])(\d{2}):(\d{2}))",
    re.ASCII,
)


def is_rfc3339(text: str) -> bool:
    """True for an RFC 3339 date-time with an offset; second 60 only where it is 23:59 UTC."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return False
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    try:
        date(year or 4, month, day)  # year 0000 is legal there, and a leap year like year 4
    except ValueError:
        return False
    sign, off_hour, off_minute = match[7] or "+", int(match[8] or 0), int(match[9] or 0)
    if max(hour, off_hour) > 23 or max(minute, off_minute) > 59:
        return False
    offset = (off_hour * 60 + off_minute) * (-1 if sign == "-" else 1)
    is_last_minute = (hour * 60 + minute - offset) % 1440 == 1439
    return second <= (60 if is_last_minute else 59)


def _rfc3339(text: str) -> str:
    if not is_rfc3339(text):
        raise ValueError("not an RFC 3339 time with an offset")
    return text


Rfc3339 = Annotated[
    str, AfterValidator(_rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})
]


class WireModel(BaseModel):
    """Base of every fact's data: frozen, strict, closed; absent and null are the same."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        revalidate_instances="never",
    )
