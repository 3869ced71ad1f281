"""One receiver's deliveries: each is tried until it is taken or given up, and a receiver that fails is left in peace.

Only a 2xx answer counts. Nothing is followed, no answer is read beyond its first bytes, and nobody is
waited for longer than fifteen seconds.
"""

import http.client
import random
import socket
import ssl
import time
from collections.abc import Callable
from threading import Event
from typing import Final
from urllib.parse import urlsplit

import structlog

from ops.webhooks.endpoints import Endpoint
from ops.webhooks.signing import headers_of
from ops.webhooks.store import Delivery, Store

ANSWER_SECONDS_MAX: Final = 15.0
ANSWER_BYTES_MAX: Final = 4_096
# Seconds from each failed try to the next, as Standard Webhooks suggest; after the last it is given up.
RETRY_SECONDS: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
GONE: Final = 410  # the receiver says that it wants no more of this
AT_ONCE_MAX: Final = 50
PAUSE_SECONDS_MAX: Final = 60.0  # of a receiver that fails again and again
_LOOK_SECONDS: Final = 0.5
log = structlog.get_logger()


class Sender:
    """All that is sent to one endpoint; used by one thread."""

    def __init__(
        self,
        endpoint: Endpoint,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        answer_seconds: float = ANSWER_SECONDS_MAX,
    ) -> None:
        self._endpoint, self._store, self._clock = endpoint, store, clock
        self._answer_seconds = answer_seconds
        self._failures = 0  # in a row
        self._paused_until = 0.0

    def run(self, stop: Event) -> None:
        """Until `stop` is set; what is being sent is waited for."""
        while not stop.is_set():
            if not self.deliver():
                stop.wait(_LOOK_SECONDS)

    def deliver(self) -> int:
        """Try what is due; how many were tried. After a failure the others wait, too."""
        now = self._clock()
        if now < self._paused_until:
            return 0
        due = self._store.due(self._endpoint.name, now, AT_ONCE_MAX)
        for tried, delivery in enumerate(due, 1):
            if not self._try(delivery):
                return tried
        return len(due)

    def _try(self, delivery: Delivery) -> bool:
        error = post(self._endpoint, delivery, int(self._clock()), self._answer_seconds)
        now = self._clock()
        if error is None:
            self._store.taken(delivery, now)
            self._failures, self._paused_until = 0, 0.0
            return True
        self._failures += 1
        self._paused_until = now + min(2.0**self._failures / 2, PAUSE_SECONDS_MAX)
        given_up = error == f"HTTP {GONE}" or delivery.attempts >= len(RETRY_SECONDS)
        due_at = None if given_up else now + _spread(RETRY_SECONDS[delivery.attempts])
        self._store.failed(delivery, error, due_at, now)
        log.warning(
            "webhook given up" if given_up else "webhook not taken",
            endpoint=self._endpoint.name,
            id=delivery.id,
            type=delivery.type,
            attempt=delivery.attempts + 1,
            error=error,
        )
        return False


def post(
    endpoint: Endpoint, delivery: Delivery, timestamp: int, answer_seconds: float
) -> str | None:
    """One try. None: it was taken; else why not, in a few words."""
    headers = headers_of(endpoint.secrets, delivery.id, timestamp, delivery.body)
    parts = urlsplit(endpoint.url)
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    connection = _connection(parts.scheme, parts.netloc, answer_seconds)
    try:
        connection.request("POST", target, delivery.body, headers)
        answer = connection.getresponse()
        answer.read(ANSWER_BYTES_MAX)
    except (TimeoutError, socket.gaierror, ssl.SSLError, OSError) as error:
        return f"{type(error).__name__}"
    except (http.client.HTTPException, ValueError) as error:
        return f"no HTTP: {type(error).__name__}"
    finally:
        connection.close()
    return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"


def _connection(scheme: str, netloc: str, seconds: float) -> http.client.HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return http.client.HTTPSConnection(netloc, timeout=seconds, context=context)
    return http.client.HTTPConnection(netloc, timeout=seconds)


def _spread(seconds: float) -> float:
    """A tenth more or less, so that what failed together does not come back together."""
    return seconds * random.uniform(0.9, 1.1)
