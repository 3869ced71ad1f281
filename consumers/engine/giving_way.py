"""A stage that runs ahead of the captures lets them go first: a fact decided early is paid for twice.

What comes before its capture is parked, and decided again by the stage of payments, which falls
behind the more. So a stage that has lately been early looks before a batch whether the captures of
its orders are there, and waits for them while the stage of payments moves: nobody waits twice for one
that stands still.
"""

import time
from collections import Counter
from collections.abc import Sequence
from threading import Event
from typing import Final

from consumers.engine.batch import Ending
from schemas.door import Record
from storage.engine import Connection
from storage.orders import count_escrows
from storage.positions import progress

WAIT_SECONDS_MAX: Final = 2.0  # before one batch
STILL_SECONDS: Final = 0.5  # between two commits of a busy stage, most of the time
LOOK_SECONDS: Final = 0.02
WARY_SECONDS: Final = 10.0  # it looks for so long after it was early
RECORDS_MIN: Final = 100  # a batch of fewer is decided as it comes
ORDERS_MAX: Final = 32  # of a batch, spread evenly, that are looked for
CAPTURES: Final = "payments"


class GivingWay:
    """What one worker knows about how it stands to the captures."""

    def __init__(self, stage: str, stop: Event) -> None:
        self._is_first = stage == CAPTURES  # and waits for nobody
        self._stop = stop
        self._wary_until = float("-inf")
        self._stood_at = -1  # captures, when they were waited for in vain

    def after(self, endings: Counter[Ending]) -> None:
        """A batch has ended so."""
        if endings["parked", "awaiting_payment"] and not self._is_first:
            self._wary_until = time.monotonic() + WARY_SECONDS

    def before(self, connection: Connection, records: Sequence[Record]) -> None:
        """Wait if more than an eighth of these come too early, for as long as captures are made."""
        now = moved_at = time.monotonic()
        if len(records) < RECORDS_MIN or now > self._wary_until:
            return
        order_ids, until, before = _some_orders(records), now + WAIT_SECONDS_MAX, -1
        while now < until:
            with connection.begin():
                there = count_escrows(connection, order_ids)
                captures = progress(connection, CAPTURES)
            if 8 * (len(order_ids) - there) <= len(order_ids):
                return
            self._wary_until = now + WARY_SECONDS
            moved_at = now if captures > before else moved_at
            if captures == self._stood_at or now - moved_at > STILL_SECONDS:
                self._stood_at = captures
                return
            before = captures
            if self._stop.wait(LOOK_SECONDS):
                return
            now = time.monotonic()


def _some_orders(records: Sequence[Record]) -> list[str]:
    """Of records of facts the key is the order's id; what can be none is not looked for."""
    some = records[:: 1 + len(records) // ORDERS_MAX]
    keys = {record.key for record in some if record.key}
    return [key.decode() for key in keys if key.isascii() and b"\0" not in key]
