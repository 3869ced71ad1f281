"""Places where a process can be told to die, so that dying there can be tried: nothing else is here.

`ESCROW_CRASH_AT=relay.sent:3` kills the process, as a power cut would, when it passes that place for
the third time. Where it is not set, passing a place costs a look at one name.
"""

import os
import signal
import threading
from typing import Final, Literal, get_args

VARIABLE: Final = "ESCROW_CRASH_AT"

Place = Literal[
    "worker.subscribed",
    "worker.polled",
    "worker.epoch_taken",
    "worker.adopted",
    "worker.deciding",
    "worker.decided",
    "worker.offsets_told",
    "batch.begun",
    "batch.fenced",
    "batch.locked",
    "batch.loaded",
    "batch.identities_read",
    "batch.decided",
    "batch.orders_written",
    "batch.totals_written",
    "batch.history_written",
    "batch.children_written",
    "batch.parked_written",
    "batch.deadlines_written",
    "batch.payments_written",
    "batch.identities_written",
    "batch.dead_letters_written",
    "batch.outbox_written",
    "batch.committing",
    "batch.committed",
    "relay.taken",
    "relay.read",
    "relay.letting_go",
    "relay.let_go",
    "relay.sending",
    "relay.sent",
    "relay.marking",
    "relay.marked",
    "ticker.active",
    "ticker.claimed",
    "ticker.sent",
    "ticker.marking",
    "ticker.marked",
    "ticker.asking",
    "ticker.folding",
    "ticker.folded",
    "ticker.purging",
    "gateway.polled",
    "gateway.decided",
    "gateway.kept",
    "gateway.sending",
    "gateway.sent",
    "gateway.noted",
]
PLACES: Final[tuple[str, ...]] = get_args(Place)


def arm(order: str | None) -> None:
    """Die at `place:n`, at its n-th passing (from 1); None: nowhere. Raises ValueError."""
    global _place, _left  # noqa: PLW0603 -- of the process, which has one life
    if not order:
        _place = None
        return
    place, _, number = order.partition(":")
    if place not in PLACES or not number.isdigit() or int(number) < 1:
        raise ValueError(f"{VARIABLE}: no such place, or no number from 1 on: {order!r}")
    _place, _left = place, int(number)


def crash_point(name: Place) -> None:
    """Pass this place; the last passing that was ordered does not return."""
    if _place is not None:
        _pass(name)


def _pass(name: str) -> None:
    global _left  # noqa: PLW0603
    if name != _place:
        return
    with _lock:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


_lock: Final = threading.Lock()
_place: str | None = None
_left = 0
arm(os.environ.get(VARIABLE))
