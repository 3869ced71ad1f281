"""Records for the door: a capture in either mode, with whatever may be wrong with it."""

from typing import Any, Final, Literal

from schemas.door import Fact, Record, decode
from tests.builders import a_record, compact, sample

Mode = Literal["binary", "structured"]
BOTH: Final[tuple[Mode, ...]] = ("binary", "structured")
CAPTURED: Final = sample("payment.captured")
EVENT: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "id-1",
    "source": "/shop",
    "type": "payment.captured",
    "data": CAPTURED,
}


def with_headers(*headers: tuple[str, bytes | None], without: str = "") -> Record:
    """A binary capture with more headers, or without one."""
    record = a_record("payment.captured")
    kept = [(name, value) for name, value in record.headers if name != without]
    return record._replace(headers=[*kept, *headers])


def structured(event: object = EVENT, **changes: object) -> Record:
    """A structured capture; a change to `...` takes the attribute away."""
    if isinstance(event, dict):
        event = {k: v for k, v in {**event, **changes}.items() if v is not ...}
    return a_record("payment.captured", mode="structured")._replace(value=compact(event))


def takes(record: Record) -> Fact:
    fact = decode(record)
    assert isinstance(fact, Fact), fact
    return fact
