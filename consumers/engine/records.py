"""What a stage takes on at once: records in offset order, and where each partition then stands."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from schemas.cut import Cut, whole_sha256, whole_size
from schemas.door import Record

Partition = tuple[str, int]  # topic, partition


class Chunk(NamedTuple):
    """Records to decide in one transaction; a chunk can be cut anywhere.

    `ends` holds the next offset of each partition once the chunk is done. It can lie beyond the
    last record, and a partition can have no record at all: transaction markers take offsets too.
    """

    records: Sequence[Record]
    ends: Mapping[Partition, int]

    def halves(self) -> tuple["Chunk", "Chunk"]:
        """Two chunks that together are this one; for at least two records."""
        middle = len(self.records) // 2
        first, second = self.records[:middle], self.records[middle:]
        later = {(record.topic, record.partition) for record in second}
        ends = {partition: end for partition, end in self.ends.items() if partition not in later}
        for record in first:
            partition = (record.topic, record.partition)
            if partition in later:
                ends[partition] = record.offset + 1
        return Chunk(first, ends), Chunk(second, {p: self.ends[p] for p in later})

    def without(self, partitions: set[Partition]) -> "Chunk":
        """What is left once these partitions are no longer ours."""
        return Chunk(
            [r for r in self.records if (r.topic, r.partition) not in partitions],
            {p: end for p, end in self.ends.items() if p not in partitions},
        )


def record_digest(record: Record) -> bytes:
    """SHA-256 by which a record read again is known to be the same one, envelope included."""
    parts = [record.key or b"", record.value or b""]
    for name, value in record.headers:
        parts += (name.encode("utf-8", "backslashreplace"), value or b"")
    sizes = " ".join(str(whole_size(part)) for part in parts)
    told = (whole_sha256(part) if isinstance(part, Cut) else part for part in parts)
    return sha256(f"{record.timestamp_ms} {sizes}\n".encode() + b"".join(told)).digest()


def polled_records(polled: Mapping[Any, list[Any]]) -> list[Record]:
    """What the client polled, in offset order a partition."""
    return [
        Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
        for records in polled.values()
        for r in records
    ]
