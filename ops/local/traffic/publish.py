"""Records go out as fast as the client can send them; none is dropped unheard, memory is bounded."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from time import monotonic, sleep
from typing import Any, Final

from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_producer
from consumers.engine.signing import own_key
from schemas.door import Record
from schemas.keys import Signing
from schemas.signatures import Unsigned, signature_header

IN_FLIGHT_MAX: Final = 20_000
_ACK_SECONDS: Final = 60.0


def publish(records: Iterable[Record], settings: Settings, **producer_options: Any) -> int:
    """Send all; keys choose the partitions. Returns their number once all are acknowledged.

    Each is signed where the settings have a key. Raises KafkaError for the first record that the
    broker does not take.
    """
    key = own_key(settings)
    producer = make_producer(settings, linger_ms=20, **producer_options)
    in_flight: deque[Any] = deque()
    count = 0
    try:
        for record in records:
            in_flight.append(
                producer.send(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=headers_of(record, key),
                    timestamp_ms=record.timestamp_ms,
                )
            )
            count += 1
            if len(in_flight) >= IN_FLIGHT_MAX:
                _settle(in_flight, IN_FLIGHT_MAX // 2)
        producer.flush()
        _settle(in_flight, 0)
    finally:
        producer.close(timeout=5)
    return count


def headers_of(record: Record, key: Signing | None) -> list[tuple[str, bytes | None]]:
    """Its own, and a signature; what is no CloudEvent goes as it is, as a dead letter."""
    headers = list(record.headers)
    if key is None:
        return headers
    with suppress(Unsigned):
        headers.append(signature_header(key, record.topic, record.key, record.value, headers))
    return headers


def _settle(in_flight: deque[Any], left: int) -> None:
    """Wait for the oldest until so many are left."""
    while len(in_flight) > left:
        in_flight.popleft().get(timeout=_ACK_SECONDS)


def paced(records: Iterable[Record], per_second: float) -> Iterator[Record]:
    """The same records, at most so many a second on the wall clock."""
    begin = monotonic()
    for count, record in enumerate(records):
        ahead = count / per_second - (monotonic() - begin)
        if ahead > 0:
            sleep(ahead)
        yield record
