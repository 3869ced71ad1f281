"""What one batch takes from the client: little when idle, up to the limits when behind."""

from collections.abc import Mapping
from typing import Any

from kafka.errors import NoOffsetForPartitionError

from consumers.engine.records import polled_records
from schemas.door import Record


def poll(consumer: Any, wait_ms: int, records_max: int, bytes_max: int) -> list[Record]:
    """Records in offset order a partition; waits for the first of them only."""
    polled = _poll_once(consumer, wait_ms, records_max)
    records = polled_records(polled)
    size = _size(records)
    while polled and len(records) < records_max and size < bytes_max:
        polled = _poll_once(consumer, 0, records_max - len(records))
        more = polled_records(polled)
        records += more
        size += _size(more)
    return records


def _poll_once(consumer: Any, wait_ms: int, records_max: int) -> Mapping[Any, list[Any]]:
    try:
        polled: Mapping[Any, list[Any]] = consumer.poll(timeout_ms=wait_ms, max_records=records_max)
    except NoOffsetForPartitionError:  # assigned a moment ago, not parked yet: ask again
        return {}
    return polled


def _size(records: list[Record]) -> int:
    return sum(len(record.value or b"") for record in records)
