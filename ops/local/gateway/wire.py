"""Commands as the simulator reads them, results as it writes them: CloudEvents in binary mode."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from consumers.engine.tracing import TRACEPARENT
from ops.local.gateway.core import Answer, Case
from schemas.commands import COMMAND_TOPIC, Kind
from schemas.envelope import last_headers
from schemas.facts import FACT_TYPES, GATEWAY_RESULTS

SOURCE: Final = "gateway-simulator"


class Channels(NamedTuple):
    """The topics that the simulator works on."""

    refunds: str = COMMAND_TOPIC["refund"]
    payouts: str = COMMAND_TOPIC["payout"]
    results: str = GATEWAY_RESULTS

    @property
    def kinds(self) -> dict[str, Kind]:
        """Command topic → what its commands do."""
        return {self.refunds: "refund", self.payouts: "payout"}


_TRACE: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER_MS: Final = 2**63 - 1
_TIME_ENDS: Final = "9999-12-31T23:59:59"  # where times that cannot be written stay


def trace_in(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The trace that a command belongs to, so that its results belong to it, too."""
    found = last_headers(headers).get(f"ce_{TRACEPARENT}")
    text = "" if found is None else found.decode("ascii", "replace")
    return text if _TRACE.fullmatch(text) else None


def limit_of(not_after: str) -> int:
    """An RFC 3339 time as milliseconds UTC, rounded down; years that Python lacks end nothing."""
    text = not_after.upper()
    leap = text[17:19] == "60"
    if text.startswith(("0000", _TIME_ENDS)):
        return _NEVER_MS if text.startswith("9999") else 0
    instant = datetime.fromisoformat(f"{text[:17]}59{text[19:]}" if leap else text)
    return (instant - _EPOCH) // timedelta(milliseconds=1) + (1_000 if leap else 0)


def value_of(case: Case, answer: Answer) -> bytes:
    """The data of a result; the reference is the same for every answer about one command."""
    result = FACT_TYPES[answer.type].model.model_validate(
        {
            "order_id": case.order_id,
            "command_id": case.command_id,
            "amount_minor": answer.amount_minor,
            "currency": case.currency,
            "gateway_reference": f"sim-{case.command_id[:16]}",
            "reason_code": answer.reason_code,
            "retryable": answer.retryable,
        }
    )
    return result.model_dump_json(exclude_none=True).encode()
