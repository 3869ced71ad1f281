"""Planted where facts become rows: positions, locks, identities, what is written of a decision."""

from typing import Final

from tests.zoo.shape import RACES, ROWS, Bug, Edit, bug

WRITING: Final[dict[str, Bug]] = {
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
    "auto reset latest": bug(
        "tests/integration/test_worker.py::"
        "test_a_reader_that_retention_passes_is_not_moved_on_by_its_client",
        "consumers.engine.kafka_clients",
        '        "auto_offset_reset": "none",\n',
        '        "auto_offset_reset": "latest",\n',
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
    # connections, versions, words
    "a connection that was not understood is used again": bug(
        "tests/integration/test_network_faults.py::"
        "test_a_connection_whose_words_are_not_understood_is_lost_and_answers_nothing_more",
        "storage.engine",
        "            self.pgconn.finish()\n            raise DriverOperationalError(",
        "            raise DriverOperationalError(",
    ),
    "a new policy leaves workers their epochs": bug(
        "tests/integration/test_policy.py::"
        "test_no_batch_is_decided_by_a_worker_that_has_not_read_the_new_version",
        "storage.policies",
        "    execute(connection, _END_EPOCHS)\n",
        "",
    ),
    "the salt of forgotten words is kept": bug(
        "tests/integration/test_forget.py",
        "storage.forgetting",
        "        execute(connection, _SALTS, sources=list(sources), ids=list(ids))\n",
        "        del sources, ids\n",
    ),
}
