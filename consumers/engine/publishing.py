"""Records go out in order a partition, or not at all: after the first failure nothing more is sent.

kafka-python keeps one batch of a partition in flight at a time, so retries cannot overtake. Only
after a batch has failed for good would the client go on with the next one; so the first failure
ends the whole client, from within its own IO thread, and the next call builds a new one.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from threading import Event
from typing import Any, Final

import structlog
from kafka.errors import IllegalStateError, KafkaError, KafkaTimeoutError
from kafka.partitioner.abc import Partitioner
from kafka.partitioner.default import murmur2

from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_producer
from consumers.engine.record_writer import hand_over
from consumers.engine.signing import Wire, own_key, signing_wires
from schemas.order_events import SOURCE
from storage.relaying import Unsent

ACK_SECONDS: Final = 60.0  # longer than a broker needs to come back, shorter than for ever
LEAVING_SECONDS: Final = 5.0  # what is left of that once we are asked to stop
_LOOK_SECONDS: Final = 0.2
_END_SECONDS: Final = 10.0
_ALWAYS: Final = (("content-type", b"application/json"), ("ce_specversion", b"1.0"))

__all__ = ["Wire"]  # and all that is defined here

log = structlog.get_logger()


class KeyPartitioner(Partitioner):
    """The same partitions as every Java client's, 4 µs cheaper a record than the client's own.

    All that is said about an order is said with one key, so its hash is kept for a while.
    """

    def partition(
        self,
        topic: str,
        _given_key: bytes,
        key: bytes,
        _given_value: bytes,
        _value: bytes,
        cluster: Any,
    ) -> int:
        partitions = sorted(cluster.partitions_for_topic(topic))
        number: int = partitions[_key_hash(key) % len(partitions)]
        return number


class NotTried(Exception):
    """Another record failed before this one was sent or acknowledged."""


def binary_headers(
    source: str, type_name: str, id_: str, extensions: Mapping[str, str | int] | None = None
) -> list[tuple[str, bytes]]:
    """The envelope of what we send; extensions are carried along as they came (RULES 2)."""
    headers = [
        *_ALWAYS,
        ("ce_id", id_.encode()),
        ("ce_source", source.encode()),
        ("ce_type", type_name.encode()),
    ]
    if extensions:
        headers.extend((f"ce_{name}", _text(value).encode()) for name, value in extensions.items())
    return headers


def _text(value: str | int) -> str:
    """As CloudEvents 3.1 spells its types: a boolean is `true`, not Python's `True`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def wire_of(row: Unsent) -> Wire:
    """A row of the outbox as it goes out."""
    headers = binary_headers(SOURCE, row.type, row.sent_id, row.attributes)
    return Wire(row.topic, row.key.encode(), row.payload.encode(), headers, row.t)


class Publisher:
    """An idempotent producer that is built when needed, and anew after any failure."""

    def __init__(
        self,
        make: Callable[[], Any],
        stop: Event | None = None,
        ack_seconds: float = ACK_SECONDS,
        sign: Callable[[Wire], Wire] | None = None,
    ) -> None:
        self._make = make
        self._sign = sign
        self._stop = stop or Event()
        self._ack_seconds = ack_seconds
        self._producer: Any = None
        self.failures = 0  # clients given up so far
        self.waited_seconds = 0.0  # for acknowledgements

    def publish(self, records: Iterable[Wire]) -> list[Exception | None]:
        """Send these and wait for all replicas; None for each record that has its ack, or why not.

        Those without an ack may have been written all the same: send them again, in order.
        """
        records = list(records) if self._sign is None else [self._sign(r) for r in records]
        futures: list[Any] = []
        refusal: Exception | None = None
        try:
            self._send(records, futures)
        except (KafkaError, ValueError) as error:
            refusal = error
            self.close()
        self._await(futures)
        results = [_result(future) for future in futures]
        if refusal is None and all(result is None for result in results):
            return results
        self.close()  # which decides what was still open
        results = [_result(future) for future in futures]
        if len(results) < len(records):
            results.append(NotTried() if _is_echo(refusal) else refusal)
        results.extend(NotTried() for _ in range(len(records) - len(results)))
        self._say_why(results)
        return results

    def _send(self, records: Iterable[Wire], futures: list[Any]) -> None:
        if self._producer is None:
            self._producer = self._make()
        for topic, key, value, headers, timestamp_ms in records:
            future = hand_over(self._producer, topic, key, value, headers, timestamp_ms)
            future.add_errback(self._failed)
            futures.append(future)

    def close(self) -> None:
        """Give the client up; what has no ack counts as not sent."""
        if self._producer is not None:
            _end(self._producer)
            self._producer = None

    def _failed(self, _error: Exception) -> None:
        """On the client's IO thread: nothing more may leave it."""
        producer = self._producer
        if producer is not None:
            _forbid(producer)

    def _say_why(self, results: Iterable[Exception | None]) -> None:
        self.failures += 1
        causes = [error for error in results if error and not isinstance(error, NotTried)]
        why = causes[0] if causes else KafkaTimeoutError("no answer in time")
        log.error("client given up", error=type(why).__name__, detail=str(why)[:300])

    def _await(self, futures: list[Any]) -> None:
        """Until all are decided, one has failed, or the time is up."""
        began = time.monotonic()
        for future in futures:
            while not future.is_done:
                waited = time.monotonic() - began
                if waited > (LEAVING_SECONDS if self._stop.is_set() else self._ack_seconds):
                    break
                try:
                    future.get(timeout=_LOOK_SECONDS)
                except KafkaError:
                    continue  # not yet, or failed: is_done tells
            if not future.succeeded():
                break
        self.waited_seconds += time.monotonic() - began


def make_publisher(settings: Settings, stop: Event | None = None) -> Publisher:
    """A publisher that notices within seconds that Kafka is away, and signs where it has a key."""
    key = own_key(settings)

    def make() -> Any:
        return make_producer(
            settings,
            partitioner=KeyPartitioner(),
            max_block_ms=5_000,
            bootstrap_timeout_ms=5_000,
        )

    return Publisher(make, stop, sign=None if key is None else signing_wires(key))


@lru_cache(maxsize=16_384)
def _key_hash(key: bytes) -> int:
    positive: int = murmur2(key) & 0x7FFFFFFF
    return positive


def _result(future: Any) -> Exception | None:
    if future.succeeded():
        return None
    return NotTried() if _is_echo(future.exception) else future.exception


def _is_echo(error: Exception | None) -> bool:
    """Only tells that the client was ended, or has not answered; another record says why."""
    return error is None or isinstance(error, IllegalStateError)


def _forbid(producer: Any) -> None:
    """End the client's IO thread before its next request; what is unsent fails.

    Not in the public interface of kafka-python: its `close(timeout=0)` waits for what is in
    flight, raises, and leaves the thread running.
    """
    producer._sender.force_close()  # noqa: SLF001


def _end(producer: Any) -> None:
    _forbid(producer)
    try:
        producer.close(timeout=_END_SECONDS)
    except KafkaError as error:
        log.warning("producer did not end in time", error=type(error).__name__)
