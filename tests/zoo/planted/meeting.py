"""Planted where it only shows when processes meet at the wrong moment."""

from typing import Final

from tests.zoo.shape import SIMULATION, Bug, Edit, bug

MEETING: Final[dict[str, Bug]] = {
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
}
