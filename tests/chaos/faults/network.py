"""The network between the programs and their servers: slow, cut, half open, damaged, a lost COMMIT.

All of it happens in the proxies. A fault counts where the proxy says that bytes were touched.
"""

import time
from typing import Any, Final

from tests.chaos.faults.hand import Fault, Nemesis
from tests.chaos.proxy import Proxy, Weather

KAFKA: Final = "Kafka"
POSTGRES: Final = "PostgreSQL"


def _proxies(nemesis: Nemesis, which: str) -> list[Proxy]:
    servers = nemesis.line.servers
    return servers.kafka_proxies if which == KAFKA else [servers.postgres_proxy]


def _bad(which: str, what: str, seconds: tuple[float, float], **weather: Any) -> Fault:
    """Bad weather for a while, records flowing; `what` is what the proxy must have done in it."""

    def fault(nemesis: Nemesis) -> bool:
        proxies = _proxies(nemesis, which)
        before = sum(proxy.done[what] for proxy in proxies)
        for proxy in proxies:
            proxy.weather = Weather(**weather)
        until = time.monotonic() + nemesis.rng.uniform(*seconds)
        while time.monotonic() < until:
            nemesis.feed.burst(4)
            time.sleep(0.3)
        for proxy in proxies:
            proxy.fair()
        return sum(proxy.done[what] for proxy in proxies) > before

    return fault


def _reset(which: str) -> Fault:
    """Every connection ended with RST, several times."""

    def fault(nemesis: Nemesis) -> bool:
        ended = 0
        for _ in range(nemesis.rng.randint(2, 6)):
            nemesis.feed.burst(2)
            ended += sum(proxy.reset() for proxy in _proxies(nemesis, which))
            time.sleep(nemesis.rng.uniform(0.05, 0.6))
        return ended > 0

    return fault


FAULTS: Final[dict[str, Fault]] = {
    "connections to Kafka reset": _reset(KAFKA),
    "connections to PostgreSQL reset": _reset(POSTGRES),
    "Kafka far away": _bad(KAFKA, "delayed", (3, 6), delay_seconds=0.2),
    "PostgreSQL far away": _bad(POSTGRES, "delayed", (3, 6), delay_seconds=0.1),
    "Kafka held up, nothing lost": _bad(KAFKA, "held", (2, 8), is_held=True),
    "PostgreSQL held up, nothing lost": _bad(POSTGRES, "held", (2, 8), is_held=True),
    "Kafka half open": _bad(KAFKA, "lost", (2, 5), is_silent=True),
    "PostgreSQL half open": _bad(POSTGRES, "lost", (2, 5), is_silent=True),
    "Kafka byte by byte": _bad(KAFKA, "in pieces", (2, 4), is_in_pieces=True),
    "PostgreSQL byte by byte": _bad(POSTGRES, "in pieces", (2, 4), is_in_pieces=True),
    "a bit flipped in batches of records": _bad(KAFKA, "flipped", (3, 5), flips=8),
    "messages of PostgreSQL damaged": _bad(POSTGRES, "bad frame", (3, 5), bad_frames=8),
    "COMMIT lost on its way": _bad(POSTGRES, "request cut", (3, 5), cut_requests=8),
    "the answer to COMMIT lost": _bad(POSTGRES, "reply cut", (3, 5), cut_replies=8),
}
