"""The zoo: what could go wrong in a pipeline like this one, as text that replaces other text.

Most are the list of the reliability page; the rest are mistakes that were made, or nearly, elsewhere.
"""

from typing import Final, NamedTuple

MODEL: Final = "tests/unit/test_against_model.py"
ARRIVAL: Final = "tests/unit/test_arrival.py"
ROWS: Final = "tests/integration/test_batch_equals_dry_run.py::test_rows_equal_the_dry_run[2-7]"
RACES: Final = "tests/integration/test_races.py"
RELAY: Final = "tests/integration/test_relay.py"
TICKER: Final = "tests/integration/test_ticker.py"
SIMULATION: Final = (
    "tests/unit/test_simulation.py::test_schedules_that_nobody_has_tried_before_end_well"
)


class Edit(NamedTuple):
    module: str
    old: str  # stands there exactly once
    new: str


class Bug(NamedTuple):
    caught_by: str  # the tests that must fail
    edits: tuple[Edit, ...]


def bug(caught_by: str, module: str, old: str, new: str, *more: Edit) -> Bug:
    return Bug(caught_by, (Edit(module, old, new), *more))


_REQUESTS: Final = "escrow.rules.refund_requests"
_PAYMENTS: Final = "escrow.rules.payments"

BUGS: Final[dict[str, Bug]] = {
    # positions and locks
    "offset outside the transaction": bug(
        f"{RACES}::test_a_backend_that_is_ended_leaves_the_outcome_to_be_looked_up",
        "consumers.engine.batch",
        '        _fence(connection, job.stage, positions, chunk, facts)\n        crash_point("batch.fenced")\n',
        "        _fence(connection, job.stage, positions, chunk, facts)\n"
        "    with connection.begin():\n",
    ),
    "no fence": bug(
        f"{RACES}::test_a_stale_epoch_writes_nothing",
        "storage.positions",
        "  AND p.epoch = s.epoch AND p.next_offset = s.expected\nRETURNING",
        "RETURNING",
    ),
    "fence without epoch": bug(
        f"{RACES}::test_a_stale_epoch_writes_nothing",
        "storage.positions",
        "  AND p.epoch = s.epoch AND p.next",
        "  AND p.next",
    ),
    "fence without offset": bug(
        f"{RACES}::test_the_same_batch_a_second_time_is_fenced",
        "storage.positions",
        "p.epoch = s.epoch AND p.next_offset = s.expected",
        "p.epoch = s.epoch",
    ),
    "unsorted locks, retry dropped": bug(
        f"{RACES}::test_eight_writers_on_five_hot_orders",
        "storage.orders",
        "ORDER BY order_id FOR NO KEY UPDATE",
        "ORDER BY random() FOR NO KEY UPDATE",
        Edit(
            "storage.orders",
            "    ids = sorted(order_ids, key=str.encode)\n",
            "    ids = list(order_ids)\n",
        ),
        Edit(
            "storage.engine",
            "        return Remedy.HALVE\n",
            '        return Remedy.HALVE\n    if sqlstate == "40P01":\n        return Remedy.STOP\n',
        ),
    ),
    "check-then-insert without the row lock": bug(
        f"{RACES}::test_parking_before_a_capture_that_waits_for_the_lock_is_woken",
        "storage.orders",
        "ORDER BY order_id FOR NO KEY UPDATE",
        "ORDER BY order_id",
    ),
    "no lock row for an unknown order": bug(
        ROWS, "storage.orders", "    execute(connection, _INSERT_LOCK_ROWS, order_ids=ids)\n", ""
    ),
    "order lock and parked read at one snapshot": bug(
        f"{RACES}::test_parking_before_a_capture_that_waits_for_the_lock_is_woken",
        "consumers.engine.batch",
        "    with connection.begin():\n",
        '    with connection.execution_options(isolation_level="REPEATABLE READ").begin():\n',
    ),
    "COMMIT retried blindly": bug(
        f"{RACES}::test_a_backend_that_is_ended_leaves_the_outcome_to_be_looked_up",
        "storage.engine",
        "        return Remedy.UNKNOWN\n",
        "        return Remedy.RETRY\n",
    ),
    "good facts dead-lettered on a race": bug(
        f"{RACES}::test_two_captures_of_one_payment_for_two_orders",
        "storage.engine",
        "        return Remedy.RETRY\n    return Remedy.STOP",
        "        return Remedy.BISECT\n    return Remedy.STOP",
    ),
    # identities
    "payload digest ignored": bug(
        ROWS,
        "storage.facts",
        "        if self.digest != fact.digest[:16] or (",
        "        if (",
    ),
    "identities that expire": bug(
        ROWS,
        "storage.facts",
        "WHERE identity = ANY(%(identities)b::bytea[])\n",
        "WHERE identity = ANY(%(identities)b::bytea[]) AND get_byte(identity, 0) > 100\n",
    ),
    "identity kept of what found no room": bug(
        "tests/unit/test_parked_no_identity.py",
        "escrow.replay",
        "        if not any(isinstance(step, Decided)",
        "        if True or not any(isinstance(step, Decided)",
    ),
    # the relay, the ticker
    "cursor over max(id)": bug(
        f"{RELAY}::test_a_lower_id_that_commits_later_is_still_sent",
        "consumers.engine.relay",
        "            rows = relaying.read_unsent(connection, slices, *self._limits, guarded=self._guarded)\n",
        "            rows = relaying.read_unsent(connection, slices, *self._limits, guarded=self._guarded)\n"
        '            rows = [r for r in rows if r.id > getattr(self, "_cursor", 0)]\n'
        "            self._cursor = max((r.id for r in rows), default=getattr(self, '_cursor', 0))\n",
    ),
    "two relays without epochs": bug(
        f"{RELAY}::test_a_stale_relay_marks_nothing_and_gives_its_slices_up",
        "storage.relaying",
        "    ON s.slice = e.slice AND s.epoch = e.epoch\n  ORDER",
        "    ON s.slice = e.slice\n  ORDER",
    ),
    "sent marked before the ack": bug(
        f"{RELAY}::test_a_refused_row_stops_its_slice_in_order_and_no_other",
        "consumers.engine.relay",
        "        return self.mark(self.send(rows)) if rows else 0\n",
        "        if not rows:\n            return 0\n"
        "        marked = self.mark(rows)\n        self.send(rows)\n        return marked\n",
    ),
    "rows after a failed one sent all the same": bug(
        "tests/unit/test_publishing.py::test_of_each_slice_only_what_stands_before_the_first_failure_counts_as_sent",
        "consumers.engine.relay",
        "            if row.slice in stopped:\n                continue\n",
        "",
    ),
    "hold not looked at": bug(
        f"{RELAY}::test_a_reissue_on_hold_is_not_sent_until_a_person_lets_it_go",
        "storage.relaying",
        '_NOT_HELD: Final = """(o.let_go IS DISTINCT FROM false OR NOT EXISTS (',
        '_NOT_HELD: Final = """(o.id > 0 OR NOT EXISTS (',
    ),
    "local clock for deadlines": bug(
        f"{TICKER}::test_the_clock_is_the_brokers_or_the_facts_never_another",
        "consumers.engine.ticker",
        "    return decided_until\n",
        "    return lambda _connection: time.time_ns() // 1_000_000\n",
    ),
    "tick marked before it was sent": bug(
        f"{TICKER}::test_killed_between_send_and_mark_sends_the_same_tick_again",
        "consumers.engine.ticker",
        '        crash_point("ticker.claimed")\n',
        "        with connection.begin():\n            ticking.mark_ticked(connection, due, now)\n",
    ),
    "stale tick applied": bug(
        f"{TICKER}::test_a_tick_for_an_order_that_went_to_mediation_meanwhile_says_nothing",
        "escrow.rules.deadlines",
        '        and escrow.status == "DISPUTED"\n',
        "",
    ),
    # the door
    "duplicate JSON key accepted": bug(
        MODEL, "schemas.strict_json", "    if builder.duplicate:\n", "    if False:\n"
    ),
    "card number not looked for": bug(
        MODEL, "schemas.door", "        if cards.has_card_number(written):\n", "        if False:\n"
    ),
    "key not compared": bug(
        MODEL, "schemas.door", "    if record.key != key.encode() or (", "    if ("
    ),
    "any source may send": bug(
        "tests/unit/test_trust.py",
        "schemas.trust",
        "        return any(fnmatchcase(source, pattern) for",
        "        return bool(source) or any(fnmatchcase(source, pattern) for",
    ),
    "stripped signature accepted": bug(
        "tests/unit/test_signatures.py",
        "schemas.trust",
        "        if HEADER not in headers and fact.stage not in self._required:\n",
        "        if HEADER not in headers:\n",
    ),
    "a signature good for every topic": bug(
        "tests/unit/test_signatures.py",
        "schemas.signatures",
        '        what.topic.encode("utf-8", "backslashreplace"),\n',
        '        b"",\n',
    ),
    "any known key signs for everybody": bug(
        "tests/unit/test_attack.py",
        "schemas.signatures",
        "    if not any(key.speaks_for(what.sent.source, what.sent.type) for key in keys):\n",
        "    if not keys:\n",
    ),
    "one mediator signs twice": bug(
        "tests/integration/test_two_signatures.py",
        "consumers.engine.second_signature",
        "        return len({key.holder for key in keys}) < 2\n",
        "        return len(keys) < 1\n",
    ),
    # the rules
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
    # the rows
    "total not moved with the row": bug(
        "tests/integration/test_audit.py::test_a_small_world_is_clean",
        "storage.decisions",
        "        add_deltas(connection, changes)\n",
        "        add_deltas(connection, changes[1:])\n",
    ),
    "woken fact stays in the work table": bug(
        ROWS, "storage.decisions", "        if self._left:\n", "        if len(self._left) > 1:\n"
    ),
    "code left out of the chain": bug(
        "tests/unit/test_chain.py",
        "escrow.arrival",
        "{outcome}\\n{code or ''}\\n",
        "{outcome}\\n",
    ),
    # what only shows when processes meet at the wrong moment
    "a partition taken away kills the worker": bug(
        SIMULATION,
        "consumers.engine.assignment",
        "    except (ValueError, KeyError):  # how kafka-python says: not assigned\n",
        "    except ZeroDivisionError:\n",
    ),
    "a transaction ended for idling kills the relay": bug(
        SIMULATION,
        "storage.engine",
        "(DriverOperationalError, IdleInTransactionSessionTimeout, DBAPIError)",
        "(DriverOperationalError, DBAPIError)",
    ),
    "a record where a marker was is skipped": bug(
        "tests/unit/test_worker_chunks.py",
        "consumers.engine.assignment",
        "    if expected is None and record.offset >= position.next_offset:\n        return True\n",
        "    if expected is None:\n        return record.offset >= position.next_offset\n",
    ),
    "an envelope is no part of a record": bug(
        "tests/unit/test_worker_chunks.py",
        "consumers.engine.records",
        "    for name, value in record.headers:\n",
        "    for name, value in ():\n",
    ),
    "waiting facts read before the lock": bug(
        SIMULATION,
        "storage.orders",
        "    execute(connection, _INSERT_LOCK_ROWS, order_ids=ids)\n",
        "    early = fetch(connection, _WAITING, order_ids=ids, expired_at=[None] * len(ids))\n"
        "    lock_orders.early = {**getattr(lock_orders, 'early', {}), id(connection): early}\n"
        "    execute(connection, _INSERT_LOCK_ROWS, order_ids=ids)\n",
        Edit(
            "storage.orders",
            "        for row in fetch(connection, _WAITING, order_ids=list(with_waiting), expired_at=limits):\n",
            "        for row in lock_orders.early[id(connection)]:\n",
        ),
    ),
    "positions kept when the connection goes": bug(
        SIMULATION,
        "consumers.engine.worker",
        "            self._positions.clear()\n            self._unchecked.clear()\n",
        "            self._to_adopt -= self._positions.keys()\n",
    ),
    "what was polled before a rebalance is used": bug(
        SIMULATION,
        "consumers.engine.worker",
        "            if position is None or partition in changed:\n",
        "            if position is None:\n",
    ),
    "acks counted, not looked at": bug(
        SIMULATION,
        "consumers.engine.relay",
        "            if error is None:\n",
        "            if error is None or isinstance(error, NotTried):\n",
    ),
    # the simulated gateway
    "one command id, two payments": bug(
        "tests/unit/test_gateway_core.py",
        "ops.local.gateway.core",
        '        return Reaction("conflict", case)  # one',
        "        return _try(_new_case(command, kind), t, limit)  # one",
    ),
}
