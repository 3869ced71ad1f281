"""Whose silence decides an order, and when: two switches of the policy, both off in version 1.

`silent_since` of the row is the only clock. It starts anew whenever there is something new to be
silent about: a delivery, an offer, a status come back to. A chargeback, a mediator or a settlement
ends it.
"""

from typing import Literal, NamedTuple

from escrow.policy import POLICIES
from escrow.state import Escrow

SilenceKind = Literal["auto_confirm", "supplier_silence"]


class Silence(NamedTuple):
    """A silence that will decide the order at `due_at`, ms UTC, if nobody speaks until then."""

    kind: SilenceKind
    due_at: int


def silence_of(escrow: Escrow) -> Silence | None:
    """The silence that counts in this order now, if its policy lets any count."""
    if escrow.silent_since is None or escrow.policy_version is None:
        return None
    policy = POLICIES[escrow.policy_version]
    if escrow.status == "HELD" and policy.auto_confirm_after_ms is not None:
        return Silence("auto_confirm", escrow.silent_since + policy.auto_confirm_after_ms)
    asked = escrow.status == "DISPUTED" and escrow.offer_by == "buyer"
    if asked and policy.supplier_silence_ms is not None:
        return Silence("supplier_silence", escrow.silent_since + policy.supplier_silence_ms)
    return None


def counted(old: Escrow, new: Escrow, fact_type: str, t: int) -> Escrow:
    """The row after a fact of `t`, with the clock started, stopped, or left as it was."""
    if new.policy_version is None:
        return new
    policy = POLICIES[new.policy_version]
    if policy.auto_confirm_after_ms is None and policy.supplier_silence_ms is None:
        return new
    if new.status == "HELD":
        if old.status == "HELD" and fact_type != "shipment.delivered":
            return new
        return new._replace(silent_since=t if new.shipments_known else None)
    if new.status == "DISPUTED":
        news = old.status != "DISPUTED" or new.offer_id != old.offer_id
        return new._replace(silent_since=t) if news else new
    return new._replace(silent_since=None) if new.silent_since is not None else new
