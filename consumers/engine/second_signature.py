"""A ruling over more than a limit moves nothing unless two mediators have signed it.

How much a ruling moves is the order's, so this is asked once the order is locked. Where no amount
is known yet two are needed, and so they are in a currency without a limit.
"""

from collections.abc import Mapping

from escrow.state import Order
from schemas.door import Fact, Record
from schemas.envelope import last_headers
from schemas.mediation_rulings import RulingIssued
from schemas.signatures import Unsigned, covered
from schemas.trust import SignatureRules


class SecondSignature:
    """Limits in minor units by currency."""

    def __init__(self, limits: Mapping[str, int], signatures: SignatureRules) -> None:
        self._limits = limits
        self._signatures = signatures

    def is_missing(self, record: Record, fact: Fact, order: Order) -> bool:
        """True for a ruling that only one person has signed although it takes two."""
        if not isinstance(fact.data, RulingIssued):
            return False
        escrow = order.escrow
        at_stake = escrow.captured_minor - escrow.charged_back_minor
        limit = self._limits.get(escrow.currency, 0)
        if escrow.status is not None and at_stake <= limit:
            return False
        try:
            headers = last_headers(record.headers)
            what = covered(record.topic, record.key, record.value, headers)
            keys = self._signatures.signers(what.sent, record)
        except Unsigned:
            return True
        return len({key.holder for key in keys}) < 2
