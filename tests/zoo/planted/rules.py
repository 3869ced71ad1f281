"""Planted in the rules themselves."""

from typing import Final

from tests.zoo.shape import ARRIVAL, MODEL, POLICIES, SILENCES, TICKER, Bug, bug

_REQUESTS: Final = "escrow.rules.refund_requests"
_PAYMENTS: Final = "escrow.rules.payments"

RULES: Final[dict[str, Bug]] = {
    "random command_id": bug(
        MODEL,
        "schemas.commands",
        'return sha256(f"{order_id}',
        'return __import__("os").urandom(16).hex() or sha256(f"{order_id}',
    ),
    "parked never woken": bug(
        MODEL, "escrow.arrival", "        steps.extend(_wake(order))\n", "        pass\n"
    ),
    "parked forever": bug(
        MODEL,
        "escrow.arrival",
        "        and waiting.fact.t + policy_at(waiting.fact.t).park_limit_ms <= t",
        "        and t < 0",
    ),
    "expiry off by one": bug(
        ARRIVAL,
        "escrow.arrival",
        "policy_at(waiting.fact.t).park_limit_ms <= t",
        "policy_at(waiting.fact.t).park_limit_ms < t",
    ),
    "float money": bug(
        MODEL,
        "escrow.settlement",
        "    payout = available - refund\n",
        "    payout = available - round(available * 0.1 * (refund / available) / 0.1 * 0.999999)\n",
    ),
    "rounding loss": bug(
        MODEL,
        "escrow.settlement",
        "    payout = available - refund\n",
        "    payout = (available - refund) // 10 * 10\n",
    ),
    "part refund forgets the remainder": bug(
        MODEL,
        "escrow.settlement",
        '        ("payout", old.supplier_id, payout, old.payout_commands + 1),\n',
        '        ("payout", old.supplier_id, 0 if refund else payout, old.payout_commands + 1),\n',
    ),
    "second settlement possible": bug(
        MODEL,
        "escrow.decide",
        "    if status in SETTLED:\n        return Refused",
        "    if status in SETTLED and not order.escrow.refunded_minor:\n        return Refused",
    ),
    "mediation boundary off by one": bug(
        MODEL, _REQUESTS, "    if fact.t < eligible_at:\n", "    if fact.t <= eligible_at:\n"
    ),
    "withdrawn request resets the clock": bug(
        f"{TICKER}::test_each_new_request_schedules_its_own_deadline_ten_days_after_the_first",
        _REQUESTS,
        '        escrow._replace(\n            status="HELD",\n',
        '        escrow._replace(\n            status="HELD", first_requested_at=None,\n',
    ),
    "ruling overwritten": bug(
        MODEL,
        "escrow.rules.mediation_rulings",
        '    return Refused("ruling_final", alarms',
        "    return Applied(escrow._replace(ruling_outcome=data.outcome))\n"
        '    return Refused("ruling_final", alarms',
    ),
    "unknown command's answer dropped": bug(
        MODEL,
        "escrow.rules.gateway_results",
        '        return Parked("awaiting_command")\n',
        '        return Refused("command_is_settled")\n',
    ),
    "facts before the payment skipped": bug(
        MODEL,
        "escrow.decide",
        '        return Parked("awaiting_payment")\n',
        "        return Applied(order.escrow)\n",
    ),
    "payment of another order accepted": bug(
        MODEL,
        _PAYMENTS,
        "    if owner is not None:\n        return Refused",
        "    if owner == '':\n        return Refused",
    ),
    "chargeback taken twice": bug(
        MODEL,
        _PAYMENTS,
        '    if chargeback.state != "open":\n',
        '    if chargeback.state == "won":\n',
    ),
    "retries without an end": bug(
        MODEL,
        "escrow.rules.gateway_results",
        "    if retryable and command.failures <",
        "    if retryable or command.failures <",
    ),
    "own offer accepted": bug(
        MODEL, _REQUESTS, "    if data.by == escrow.offer_by:\n", "    if False:\n"
    ),
    "anyone may speak for the buyer": bug(
        MODEL,
        "escrow.decide",
        '    return None if is_party else Refused("wrong_party")\n',
        "    return None\n",
    ),
    "any returned parcel proves the loss": bug(
        MODEL,
        "escrow.state",
        'self.cause == "undeliverable"',
        "self.cause is not None",
    ),
    # versions of the policy, silences, deadlines
    "an order follows the newest policy": bug(
        POLICIES,
        "escrow.policy",
        "    return policy_at(t) if version is None else POLICIES[version]\n",
        "    return policy_at(t)\n",
    ),
    "a policy in force a millisecond late": bug(
        POLICIES,
        "escrow.policy",
        "        if policy.effective_at <= t:\n",
        "        if policy.effective_at < t:\n",
    ),
    "a chargeback does not end a silence": bug(
        SILENCES,
        "escrow.silence",
        "    return new._replace(silent_since=None) if new.silent_since is not None else new\n",
        "    return new\n",
    ),
    "silence decides before its time": bug(
        SILENCES,
        "escrow.rules.deadlines",
        "    if fact.t < silence.due_at:\n",
        "    if fact.t < silence.due_at - 1:\n",
    ),
    "silence confirms what is still on its way": bug(
        SILENCES,
        "escrow.rules.deadlines",
        'all(p.state == "delivered" for p in parcels)',
        'any(p.state == "delivered" for p in parcels)',
    ),
    "a tick during a chargeback ends the deadline": bug(
        "tests/unit/test_schedule.py",
        "escrow.schedule",
        '    return is_tick and escrow.status != "FROZEN"\n',
        "    return is_tick\n",
    ),
}
