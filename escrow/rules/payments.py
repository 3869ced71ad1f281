"""Money comes in once, and what a card network takes back is booked, never argued (RULES 4.1)."""

from escrow.decision import Alarm, Applied, Outcome, Refused
from escrow.policy import policy_at
from escrow.postings import Movement, movement
from escrow.settlement import new_command
from escrow.state import SETTLED, Chargeback, Claim, Escrow, Order
from schemas.commands import Purpose
from schemas.door import Fact
from schemas.payments import PaymentCaptured, PaymentChargebackClosed, PaymentChargedBack
from schemas.reasons import AlarmCode, AppliedCode


def captured(order: Order, fact: Fact, data: PaymentCaptured) -> Outcome:
    """RULES 4.1 `payment.captured`: hold, send back, or note as not protected."""
    owner = order.payments.get(data.payment_id)
    if owner == data.order_id:
        return Refused("payment_exists")
    if owner is not None:
        return Refused("payment_reused", alarms=(Alarm("payment_reused"),))
    escrow = order.escrow
    if escrow.status not in (None, "NOT_PROTECTED"):
        if data.paid_through != "escrow":
            return Refused("not_paid_through_escrow")
        return _send_back(escrow, fact, data, "duplicate_payment")
    policy = policy_at(fact.t)
    code: AppliedCode
    if data.paid_through != "escrow":
        code = "not_paid_through_escrow"
    elif not data.agreement_accepted:
        code = "agreement_not_accepted"
    elif data.method not in policy.methods:
        code = "method_not_supported"
    else:
        return _hold(_parties(escrow, data), data, policy.version)
    unprotected = _parties(escrow, data)._replace(status="NOT_PROTECTED")
    if code == "not_paid_through_escrow":  # we never had that money
        return Applied(unprotected, children=(Claim(data.payment_id),), code=code)
    return _send_back(unprotected, fact, data, "not_eligible", code)


def _parties(escrow: Escrow, data: PaymentCaptured) -> Escrow:
    """Parties and currency are those of the capture that last made the order what it is."""
    return escrow._replace(
        payment_id=data.payment_id,
        buyer_id=data.buyer_id,
        supplier_id=data.supplier_id,
        currency=data.currency,
    )


def _hold(escrow: Escrow, data: PaymentCaptured, policy_version: int) -> Applied:
    amount = data.amount_minor
    return Applied(
        escrow._replace(
            status="HELD",
            policy_version=policy_version,
            captured_minor=amount,
            held_minor=amount,
        ),
        children=(Claim(data.payment_id),),
        movements=(Movement("buyer_funds", "held", amount, data.currency),),
    )


def _send_back(
    escrow: Escrow,
    fact: Fact,
    data: PaymentCaptured,
    purpose: Purpose,
    code: AppliedCode | None = None,
) -> Applied:
    """Money that we must not hold goes back to the buyer of that very payment."""
    n = escrow.refund_commands + 1
    command = new_command(
        escrow,
        fact,
        "refund",
        purpose,
        payment_id=data.payment_id,
        party_id=data.buyer_id,
        amount_minor=data.amount_minor,
        currency=data.currency,
        n=n,
    )
    return Applied(
        escrow._replace(refund_commands=n),
        children=(Claim(data.payment_id), command),
        movements=(Movement("buyer_funds", "sent_back", data.amount_minor, data.currency),),
        sends=(command,),
        code=code,
    )


def charged_back(order: Order, data: PaymentChargedBack) -> Outcome:
    """RULES 4.1 `payment.charged_back`: never refused because of amounts or status."""
    if data.chargeback_id in order.chargebacks:
        return Refused("chargeback_exists")
    escrow = order.escrow
    matching = escrow.status != "NOT_PROTECTED" and data.payment_id == escrow.payment_id
    record = Chargeback(
        data.chargeback_id, data.payment_id, data.amount_minor, data.currency, matching, "open"
    )
    if not matching:
        return Applied(escrow, children=(record,), alarms=_alarm("chargeback_unmatched", data))
    alarms: tuple[Alarm, ...] = ()
    if data.currency != escrow.currency or data.amount_minor > escrow.captured_minor:
        alarms = _alarm("chargeback_mismatch", data)
    if escrow.status in SETTLED:
        alarms += _alarm("chargeback_after_settlement", data)
    elif escrow.status == "FROZEN":
        escrow = escrow._replace(chargebacks_open=escrow.chargebacks_open + 1)
    else:
        escrow = escrow._replace(
            status="FROZEN",
            frozen_from=escrow.status,
            chargebacks_open=escrow.chargebacks_open + 1,
        )
    return Applied(escrow, children=(record,), alarms=alarms)


def chargeback_closed(order: Order, data: PaymentChargebackClosed) -> Outcome:
    """RULES 4.1 `payment.chargeback_closed`: what the card network decided."""
    chargeback = order.chargebacks.get(data.chargeback_id)
    if chargeback is None:
        return Refused("no_such_chargeback")
    if chargeback.state != "open":
        return Refused("chargeback_is_closed")
    escrow = order.escrow
    closed = chargeback._replace(state=data.outcome)
    if chargeback.matching and escrow.status == "FROZEN":
        return _closed_while_frozen(escrow, closed)
    if closed.state == "won":
        return Applied(escrow, children=(closed,))
    if chargeback.matching and chargeback.currency == escrow.currency:
        return _lost_after_settlement(escrow, closed)
    return Applied(
        escrow,
        children=(closed,),
        movements=_loss(closed.amount_minor, closed.currency),
        alarms=_alarm("chargeback_unmatched_lost", closed),
    )


def _closed_while_frozen(old: Escrow, closed: Chargeback) -> Applied:
    taken = excess = 0
    if closed.state == "lost":
        same_currency = closed.currency == old.currency
        taken = min(closed.amount_minor, old.held_minor) if same_currency else old.held_minor
        excess = closed.amount_minor - taken if same_currency else 0
    new = old._replace(
        held_minor=old.held_minor - taken,
        charged_back_minor=old.charged_back_minor + taken,
        loss_minor=old.loss_minor + excess,
        chargebacks_open=old.chargebacks_open - 1,
    )
    if new.held_minor == 0:
        new = new._replace(
            status="CHARGED_BACK",
            frozen_from=None,
            decided_by="card_network",
            request_id=None,
            request_reason=None,
            offer_id=None,
            offer_by=None,
            offer_minor=None,
        )
    elif new.chargebacks_open == 0:
        new = new._replace(status=old.frozen_from, frozen_from=None)
    return Applied(
        new,
        children=(closed,),
        movements=movement("held", "charged_back", taken, old.currency)
        + _loss(excess, old.currency),
        alarms=_alarm("chargeback_over_held", closed) if excess else (),
    )


def _lost_after_settlement(old: Escrow, closed: Chargeback) -> Applied:
    debt = min(closed.amount_minor, old.paid_out_minor - old.supplier_debt_minor)
    loss = closed.amount_minor - debt
    return Applied(
        old._replace(
            supplier_debt_minor=old.supplier_debt_minor + debt, loss_minor=old.loss_minor + loss
        ),
        children=(closed,),
        movements=movement("supplier_receivable", "card_network", debt, old.currency)
        + _loss(loss, old.currency),
        alarms=_alarm("double_loss", closed) if old.refunded_minor else (),
    )


def _loss(amount_minor: int, currency: str) -> tuple[Movement, ...]:
    return movement("platform_loss", "card_network", amount_minor, currency)


def _alarm(code: AlarmCode, chargeback: PaymentChargedBack | Chargeback) -> tuple[Alarm, ...]:
    amount = f"{chargeback.amount_minor} {chargeback.currency}"
    return (Alarm(code, (("chargeback_id", chargeback.chargeback_id), ("amount_minor", amount))),)
