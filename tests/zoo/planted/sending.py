"""Planted where rows become records, and where commands take effect: relay, ticker, gateway."""

from typing import Final

from tests.zoo.shape import CONTROL, RELAY, RESTORE, TICKER, Bug, bug

SENDING: Final[dict[str, Bug]] = {
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
    # the simulated gateway
    "one command id, two payments": bug(
        "tests/unit/test_gateway_core.py",
        "ops.local.gateway.core",
        '        return Reaction("conflict", case)  # one',
        "        return _try(_new_case(command, kind), t, limit)  # one",
    ),
    # what stops sending
    "a pause of everything pauses nothing": bug(
        f"{CONTROL}::test_nothing_goes_out_while_sending_is_paused_and_everything_is_decided",
        "storage.relaying",
        "WHERE p.scope = 'all' OR p.scope",
        "WHERE p.scope",
    ),
    "held by a person and sent all the same": bug(
        f"{CONTROL}::test_a_held_command_waits_whenever_it_was_decided_and_its_order_does_not",
        "storage.relaying",
        "h.command_id = o.command_id AND NOT h.released)",
        "h.command_id = o.command_id AND h.released)",
    ),
    "the breaker opens after it was too much": bug(
        f"{CONTROL}::test_too_much_in_an_hour_opens_the_breaker_until_a_person_resumes",
        "consumers.engine.caps",
        "counting.spent.get(one.currency, 0) + one.amount_minor <= cap",
        "counting.spent.get(one.currency, 0) <= cap",
    ),
    "what a supplier was paid before is not counted": bug(
        f"{CONTROL}::test_one_supplier_gets_so_much_an_hour_and_another_the_same",
        "consumers.engine.caps",
        "            paid = counting.paid.get((one.party_id, one.currency), 0)\n",
        "            paid = 0\n",
    ),
    # a restored database
    "a restored database is believed": bug(
        f"{RESTORE}::test_a_copy_of_the_files_keeps_its_timeline_so_the_relay_must_be_told",
        "consumers.engine.relay",
        "                relay.promises, is_confirmed = confirm(), True\n",
        "                is_confirmed = True\n",
    ),
    "a promise with another body counts as kept": bug(
        "tests/unit/test_promises.py",
        "consumers.engine.promises",
        "        if digest != _digest(row.payload.encode()):\n",
        "        if False:\n",
    ),
    "an order goes another way than gateways were told": bug(
        "tests/unit/test_promises.py",
        "consumers.engine.promises",
        "        if digest is None:\n",
        "        if digest is None:\n            return False\n        if False:\n",
    ),
    "a relay that was replaced keeps a promise": bug(
        f"{RESTORE}::test_a_promise_is_kept_by_the_one_writer_of_its_slice",
        "consumers.engine.relay",
        "                if marked < len(kept):",
        "                if marked < 0:",
    ),
}
