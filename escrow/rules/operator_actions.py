"""A failed or returned command is reissued at most once, under a new id (RULES 4.6)."""

from escrow.decision import Applied, Outcome, Parked, Refused
from escrow.state import Command, Order
from schemas.commands import reissue_command_id
from schemas.door import Fact
from schemas.operator_actions import CommandReissued


def reissued(order: Order, fact: Fact, data: CommandReissued) -> Outcome:
    """The old command stays as it is; the new one does not count in n."""
    old = order.commands.get(data.command_id)
    if old is None:
        return Parked("awaiting_command")
    if old.state not in ("FAILED", "RETURNED"):
        return Refused("command_not_final")
    if old.reissue_id is not None:
        return Refused("command_is_reissued")
    new = Command(
        reissue_command_id(old.command_id),
        old.kind,
        "reissue",
        old.payment_id,
        old.party_id,
        old.amount_minor,
        old.currency,
        old.decided_by,
        fact.source,
        fact.id,
        asked_at=fact.t,
    )
    marked = old._replace(reissue_id=new.command_id)
    return Applied(order.escrow, children=(marked, new), sends=(new,))
