"""A stage that runs ahead of the captures lets them go first: a fact decided early is paid for twice.

What comes before its capture is parked, and decided again by the stage of payments, which falls
behind the more. Waiting ends as soon as that stage stands still: nobody waits for one that is down.
"""

import time
from collections import Counter
from threading import Event
from typing import Final

from consumers.engine.batch import Ending
from storage.engine import Connection
from storage.positions import progress

WAIT_SECONDS_MAX: Final = 1.0  # after one batch
LOOK_SECONDS: Final = 0.25  # between two commits of a busy stage, most of the time
CAPTURES: Final = "payments"


def give_way(connection: Connection, endings: Counter[Ending], stop: Event) -> bool:
    """Wait if most of this batch came too early, for as long as captures are being worked off.

    True if there was reason to wait: then the next batch had better be a small one.
    """
    if 2 * endings["parked", "awaiting_payment"] <= endings.total():
        return False
    until = time.monotonic() + WAIT_SECONDS_MAX
    first = before = _captures(connection)
    while not stop.wait(LOOK_SECONDS) and time.monotonic() < until:
        now = _captures(connection)
        if now == before:
            break
        before = now
    return before > first


def _captures(connection: Connection) -> int:
    with connection.begin():
        return progress(connection, CAPTURES)
