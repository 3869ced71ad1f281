"""Records go out as fast as the client can send them; none is dropped unheard, memory is bounded."""

from collections import deque
from collections.abc import Iterable, Iterator
from time import monotonic, sleep
from typing import Any, Final

from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_producer
from schemas.door import Record

IN_FLIGHT_MAX: Final = 20_000
_ACK_SECONDS: Final = 60.0


def publish(records: Iterable[Record], settings: Settings, **producer_options: Any) -> int:
    """Send all; keys choose the partitions. Returns their number once all are acknowledged.

    Raises KafkaError for the first record that the broker does not take.
    """
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
                    headers=list(record.headers),
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
