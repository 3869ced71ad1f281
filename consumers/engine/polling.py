"""What one batch takes from the client: what has come while the batch before it was decided.

A batch costs the same statements for one record as for many. So where records come one after the other
Kafka keeps its next answer back, for a moment or until there is enough of it, and does so while we work;
the first record after a pause is handed over at once.
"""

from collections.abc import Mapping
from typing import Any, Final

from kafka.errors import NoOffsetForPartitionError

from consumers.engine.kafka_clients import hold_answers
from consumers.engine.records import polled_records
from schemas.door import Record

ENOUGH_BYTES: Final = 16_384  # some forty facts: worth a batch at once
IDLE_MS: Final = 250  # how long a poll waits for its first record


class Poller:
    """Polls one consumer; `hold_ms` is the moment that an answer may be kept back, 0 for never."""

    def __init__(self, consumer: Any, hold_ms: int) -> None:
        self._consumer = consumer
        self._hold_ms = hold_ms
        self._is_busy = False  # records have come of late

    def poll(self, records_max: int) -> list[Record]:
        """Records in offset order a partition; none if none came for a while."""
        is_held = self._is_busy and self._hold_ms > 0
        hold_answers(self._consumer, *((self._hold_ms, ENOUGH_BYTES) if is_held else (IDLE_MS, 1)))
        wait_ms = 2 * self._hold_ms if is_held else IDLE_MS
        records = polled_records(_poll_once(self._consumer, wait_ms, records_max))
        self._is_busy = bool(records)
        return records


def _poll_once(consumer: Any, wait_ms: int, records_max: int) -> Mapping[Any, list[Any]]:
    try:
        polled: Mapping[Any, list[Any]] = consumer.poll(timeout_ms=wait_ms, max_records=records_max)
    except NoOffsetForPartitionError:  # assigned a moment ago, not parked yet: ask again
        return {}
    return polled
