"""Waiting for a condition, with a limit that only a fault reaches."""

import time
from collections.abc import Callable
from typing import Final

WAIT_SECONDS: Final = 60.0


def until(condition: Callable[[], object], seconds: float = WAIT_SECONDS) -> float:
    """Return once it holds, with the seconds that took; fails when it never does."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "waited too long"
        time.sleep(0.03)
    return time.monotonic() - began
