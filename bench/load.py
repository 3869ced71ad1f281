"""The generator: a process of its own, ready before the clock starts, cheap beside what it measures.

`python -m bench.load ORDERS PREFIX PER_SECOND [TOPIC]`: says `ready`, waits for a line, says when it begins,
sends, and says what it cost. PER_SECOND 0: all records are made before, and sent as fast as it can.
A paced record is made when its turn comes, with the time of that moment, and due at its place in the
schedule, whether or not earlier ones are late. TOPIC: what belongs there, and nothing else.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, Self

from confluent_kafka import Producer

from consumers.engine.config import load_settings
from ops.local.traffic import plain

_ONE_BY_ONE_MAX: Final = 2_000  # facts a second
_LAG_NS: Final = 500_000  # a paced record goes out at most so long before it is due


class Sent(NamedTuple):
    """What the generator says when all records have their acknowledgement."""

    cpu_seconds: float
    late_ms_max: float  # how far behind its own schedule it ever was


class Generator:
    """One generator process: made ready on entering, sends on `go`, tells on `finish`."""

    def __init__(
        self,
        environment: dict[str, str],
        orders: int,
        prefix: str,
        pace: int = 0,
        topic: str | None = None,
    ) -> None:
        told = (str(orders), prefix, str(pace), *([topic] if topic else []))
        self._command = [sys.executable, "-m", "bench.load", *told]
        self._environment = environment

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line == "ready\n", f"the generator said {line!r}"
        return self

    def go(self) -> int:
        """Begin to send; says when that was, in ns of the monotonic clock, which all processes share."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def finish(self) -> Sent:
        """Wait until all is sent."""
        assert self._process.stdout is not None
        return Sent(**json.loads(self._process.stdout.readline()))

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def _send(
    producer: Producer, records: Iterable[tuple[Any, ...]], per_second: int, began: int
) -> float:
    """Hand over all; returns how late the latest was, in ms."""
    late_ns = 0
    for n, (topic, key, value, headers, timestamp_ms) in enumerate(records):
        if per_second:
            due = began + n * 1_000_000_000 // per_second
            while (ahead := due - time.monotonic_ns()) > _LAG_NS:
                time.sleep(ahead / 1e9 - _LAG_NS / 2e9)
            late_ns = max(late_ns, -ahead)
        at_ms = time.time_ns() // 1_000_000 if per_second else timestamp_ms
        while True:
            try:
                producer.produce(topic, value, key, headers=headers, timestamp=at_ms)
                break
            except BufferError:
                producer.poll(0.01)
        if n % 1_000 == 0:
            producer.poll(0)
    producer.flush()
    return late_ns / 1e6


def _producer(per_second: int) -> tuple[Producer, list[str]]:
    failures: list[str] = []

    def told(error: object, _message: object) -> None:
        if error is not None:
            failures.append(str(error))

    options = {
        "bootstrap.servers": load_settings().kafka.bootstrap_servers,
        "enable.idempotence": True,
        "log_level": 3,  # a coordinator that still loads is no news
        "compression.type": "lz4",
        "partitioner": "murmur2_random",  # as every Java client
        "linger.ms": _linger_ms(per_second),
        "batch.size": 256 * 1024,
        "queue.buffering.max.messages": 100_000,
        "delivery.report.only.error": True,
        "on_delivery": told,
    }
    return Producer(options), failures


def window(per_second: int) -> int:
    """Orders between two facts of one order.

    Few of them at a high rate, and a confirmation would be sent some twenty milliseconds after its delivery.
    """
    return 100 if _is_one_by_one(per_second) else 1_000


def _linger_ms(per_second: int) -> int:
    """One request a record where few come; where many do, as in the burst. It counts as late."""
    return 0 if _is_one_by_one(per_second) else 20


def _is_one_by_one(per_second: int) -> bool:
    return 0 < per_second <= _ONE_BY_ONE_MAX


def _records(
    orders: int, prefix: str, per_second: int, topic: str | None
) -> Iterator[tuple[Any, ...]]:
    for r in plain(orders, prefix=prefix, window=window(per_second)):
        if topic in (None, r.topic):
            yield r.topic, r.key, r.value, list(r.headers), r.timestamp_ms


def main(orders: int, prefix: str, per_second: int, topic: str | None = None) -> None:
    """Be one generator."""
    records: Iterable[tuple[Any, ...]] = _records(orders, prefix, per_second, topic)
    if not per_second:
        records = list(records)
    producer, failures = _producer(per_second)
    producer.list_topics(timeout=10)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu, began_ns = time.process_time(), time.monotonic_ns()
    print(began_ns, flush=True)
    late_ms = _send(producer, records, per_second, began_ns)
    assert not failures, failures[:3]
    sent = Sent(time.process_time() - cpu, late_ms)
    print(json.dumps(sent._asdict()), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:5])
