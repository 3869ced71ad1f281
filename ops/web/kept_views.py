"""The derived views as they stood a moment ago: one reading of their topic serves all viewers."""

import threading
import time
from typing import Final

from consumers.engine.config import Settings
from ops.view_reading import StandingViews, read_views

KEPT_SECONDS: Final = 3.0


class KeptViews:
    """The views as they stood a moment ago; read by one request at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._kept: StandingViews | None = None
        self._read_at = 0.0  # monotonic

    def read(self) -> StandingViews:
        """As of now, or of at most three seconds ago. Raises KafkaUnavailable."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._read_at > KEPT_SECONDS:
                self._kept = read_views(self._settings, time.time_ns() // 1_000_000)
                self._read_at = time.monotonic()
            return self._kept
