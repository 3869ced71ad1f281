"""Planted where rows become records, and where commands take effect: relay, ticker, gateway."""

from typing import Final

from tests.zoo.shape import RELAY, TICKER, Bug, bug

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
}
