"""What one batch takes from the client: little when idle, up to the limits when behind."""

import time
from collections.abc import Mapping
from typing import Any, Final

from kafka.errors import NoOffsetForPartitionError

from consumers.engine.records import polled_records
from schemas.door import Record

LINGER_BELOW: Final = 100  # records; what is more is worth a batch at once


def poll(
    consumer: Any, wait_ms: int, linger_ms: int, records_max: int, bytes_max: int
) -> list[Record]:
    """Records in offset order a partition; waits for the first of them only.

    Where records come so fast that some were waiting already, it lingers for more: a batch costs the
    same statements for one as for many, and a machine kept busy by small batches is late with all.
    """
    until = time.monotonic() + linger_ms / 1_000
    polled = _poll_once(consumer, wait_ms, records_max)
    records = polled_records(polled)
    size = _size(records)
    while polled and len(records) < records_max and size < bytes_max:
        left = until - time.monotonic() if len(records) < LINGER_BELOW else 0.0
        polled = _poll_once(consumer, max(0, int(left * 1_000)), records_max - len(records))
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
