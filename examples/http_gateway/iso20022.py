"""What a bank says in ISO 20022 (pain.002), as an answer to a command; docs/how-to/gateway.md has the table.

A status that is not final is never told as `failed`: who has not moved money for certain says nothing.
"""

from typing import Final, NamedTuple

# ExternalPaymentTransactionStatus1Code → what is told; None: nothing yet, ask again
STATUSES: Final[dict[str, str | None]] = {
    "RCVD": None,
    "PDNG": None,
    "BLCK": None,
    "ACTC": "gateway.accepted",
    "ACCP": "gateway.accepted",
    "ACFC": "gateway.accepted",
    "ACSP": "gateway.accepted",
    "ACWC": "gateway.accepted",
    "ACWP": "gateway.accepted",
    "ACSC": "gateway.settled",
    "ACCC": "gateway.settled",
    "RJCT": "gateway.failed",
    "CANC": "gateway.failed",
}
# ExternalStatusReason1Code of a rejection that another attempt may get past
RETRYABLE: Final = frozenset({"AB05", "AB06", "AM04", "ED05", "TM01"})
DUPLICATION: Final = "AM05"  # it was executed before: no failure, ask for its status


class Told(NamedTuple):
    """An answer to a command."""

    type: str
    reason_code: str | None = None
    retryable: bool | None = None


def told(status: str, reason: str | None) -> Told | None:
    """The answer to give; None: the bank's word is not final, or unknown, so ask again."""
    answer = STATUSES.get(status)
    if answer is None or (answer == "gateway.failed" and reason == DUPLICATION):
        return None
    if answer == "gateway.failed":
        return Told(answer, reason, reason in RETRYABLE)
    return Told(answer)
