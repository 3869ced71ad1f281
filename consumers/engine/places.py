"""Many records read back from their places in the log, with one client that joins no group.

A place that holds nothing any more is left out; no other record ever stands in for it.
"""

import time
from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any, Final

from kafka import TopicPartition

from consumers.engine.admin import plain_consumer
from consumers.engine.asking import (
    READ_MS,
    TIMEOUT_MS,
    KafkaUnavailable,
    record_of,
    spans_by,
)
from consumers.engine.config import Settings
from schemas.door import Record

Place = tuple[str, int, int]  # topic, partition, offset
GAP_MAX: Final = 500  # records; what lies further ahead is sought, not read up to


def read_places(settings: Settings, places: Iterable[Place]) -> dict[Place, Record]:
    """The records at these places, where they are still there. Raises KafkaUnavailable."""
    offsets: defaultdict[TopicPartition, set[int]] = defaultdict(set)
    for topic, partition, offset in places:
        offsets[TopicPartition(topic, partition)].add(offset)
    found: dict[Place, Record] = {}
    with plain_consumer(settings) as consumer:
        wanted = _still_there(consumer, offsets)
        consumer.assign(list(wanted))
        for where, queue in wanted.items():
            consumer.seek(where, queue[0])
        deadline = time.monotonic() + READ_MS / 1000
        while wanted and time.monotonic() < deadline:
            polled = consumer.poll(timeout_ms=100, max_records=500)
            if polled:
                deadline = time.monotonic() + READ_MS / 1000
            for where, records in polled.items():
                _collect(wanted[where], records, found)
            _move_on(consumer, wanted)
    return found


def _still_there(
    consumer: Any, offsets: dict[TopicPartition, set[int]]
) -> dict[TopicPartition, deque[int]]:
    where = [w for w in offsets if w.partition in (consumer.partitions_for_topic(w.topic) or ())]
    begins = consumer.beginning_offsets(where, timeout_ms=TIMEOUT_MS)
    ends = consumer.end_offsets(where, timeout_ms=TIMEOUT_MS)
    within = {w: sorted(o for o in offsets[w] if begins[w] <= o < ends[w]) for w in where}
    return {w: deque(queue) for w, queue in within.items() if queue}


def _collect(queue: deque[int], records: list[Any], found: dict[Place, Record]) -> None:
    for polled in records:
        while queue and queue[0] < polled.offset:
            queue.popleft()  # compacted away, a marker, or never committed
        if queue and queue[0] == polled.offset:
            queue.popleft()
            found[polled.topic, polled.partition, polled.offset] = record_of(polled)


def _move_on(consumer: Any, wanted: dict[TopicPartition, deque[int]]) -> None:
    """Done with a partition, or on to its next place, whichever it is."""
    for where in list(wanted):
        queue, position = wanted[where], consumer.position(where)
        while queue and queue[0] < position:
            queue.popleft()  # passed without a record: it was none
        if not queue:
            consumer.pause(where)
            del wanted[where]
        elif queue[0] - position > GAP_MAX:
            consumer.seek(where, queue[0])


def latest_by_key(settings: Settings, topic: str) -> dict[bytes, Record]:
    """The last record of each key of a compacted topic, as far as it is written now; no tombstones.

    Raises KafkaUnavailable, also where reading takes longer than ten seconds.
    """
    latest: dict[bytes, Record] = {}
    with plain_consumer(settings) as consumer:
        spans = spans_by(consumer, [topic])
        waiting = {TopicPartition(*where): s.end for where, s in spans.items() if s.end > s.begin}
        if not waiting:
            return {}
        consumer.assign(list(waiting))
        consumer.seek_to_beginning(*waiting)
        deadline = time.monotonic() + READ_MS / 1000
        while waiting:
            if time.monotonic() > deadline:
                raise KafkaUnavailable(f"{topic} was not read within {READ_MS / 1000:g} s")
            for records in consumer.poll(timeout_ms=100, max_records=2_000).values():
                latest.update((record.key or b"", record_of(record)) for record in records)
            for where in [w for w, end in waiting.items() if consumer.position(w) >= end]:
                consumer.pause(where)
                del waiting[where]
    return {key: record for key, record in latest.items() if record.value is not None}
