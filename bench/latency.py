"""From fact to command at a steady rate, in percentiles.

A fact's time runs from when it was due, not from when it was sent: a stall counts for every fact
that was due in it (no coordinated omission).
"""

import time
from threading import Event, Thread
from typing import Any, Final, NamedTuple, Self

from confluent_kafka import OFFSET_END, Consumer, TopicPartition
from hdrh.histogram import HdrHistogram

from bench.load import Generator, window
from bench.place import PARTITIONS, Place
from bench.trial import System, environment, wait
from ops.local.traffic import PLAIN_FACTS, plain
from schemas.commands import PAYOUT_COMMANDS
from schemas.facts import REFUND_REQUESTS

PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 100.0)
US_MAX: Final = 600_000_000


class Latency(NamedTuple):
    """Milliseconds from fact to command by percentile, and how punctual the generator was."""

    per_second: int
    commands: int
    ms: dict[float, float]
    late_ms_max: float


def paced(where: Place, system: System, per_second: int, seconds: int, before: int) -> Latency:
    """Send at this rate for so long and measure the latter half; `before` orders are there."""
    orders = per_second * seconds // PLAIN_FACTS
    prefix = f"paced{per_second}"
    with (
        Generator(environment(where), orders, prefix, per_second) as generator,
        Listener(where, prefix) as listener,
    ):
        began_ns = generator.go()
        sent = generator.finish()
        wait(where, lambda: len(listener.heard_ns) == orders)
        wait(where, lambda: system.is_done(where, before + orders))
    system.check(where, before + orders)
    histogram = HdrHistogram(1, US_MAX, 3)
    for n, (order_id, due_ns) in enumerate(due(orders, prefix, per_second)):
        if n >= orders // 2:  # the first half warms up
            late_us = (listener.heard_ns[order_id] - began_ns - due_ns) // 1_000
            histogram.record_value(max(1, late_us))
    ms = {p: histogram.get_value_at_percentile(p) / 1_000 for p in PERCENTILES}
    return Latency(per_second, histogram.get_total_count(), ms, sent.late_ms_max)


def due(orders: int, prefix: str, per_second: int) -> list[tuple[str, int]]:
    """Each order, and when after the beginning its last fact, which asks for the payout, is due."""
    records = enumerate(plain(orders, prefix=prefix, window=window(per_second)))
    return [
        ((record.key or b"").decode(), n * 1_000_000_000 // per_second)
        for n, record in records
        if record.topic == REFUND_REQUESTS
    ]


class Listener:
    """Notes when each order's command is heard, on the clock that all processes share."""

    def __init__(self, where: Place, prefix: str) -> None:
        self.heard_ns: dict[str, int] = {}
        self._prefix = prefix.encode()
        self._stop = Event()
        options: dict[str, Any] = {
            "bootstrap.servers": where.settings.kafka.bootstrap_servers,
            "group.id": "bench-listener",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
            "log_level": 3,
        }
        self._consumer = Consumer(options)
        ends = [TopicPartition(PAYOUT_COMMANDS, n, OFFSET_END) for n in range(PARTITIONS)]
        self._consumer.assign(ends)
        self._thread = Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        time.sleep(1)  # until it stands at the ends
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _listen(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.2)
            if message is None or message.error() is not None:
                continue
            key = message.key() or b""
            if key.startswith(self._prefix):
                self.heard_ns.setdefault(key.decode(), time.monotonic_ns())
