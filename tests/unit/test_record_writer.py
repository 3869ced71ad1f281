"""What our writer makes has the same bytes as the client's own, whatever it is given."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecordsBuilder

from consumers.engine import record_writer

ROOM = 20_000


@pytest.fixture(autouse=True)
def leave_the_client_as_it_was() -> Iterator[None]:
    yield
    record_writer.uninstall()


def some_record(rng: random.Random) -> tuple[Any, ...]:
    """Timestamp, key, value, headers: sizes around the edges of varints, nulls now and then."""
    sizes = (0, 1, 63, 64, 127, 128, 4_095, 4_096, 8_191, 8_192)
    value = rng.randbytes(rng.choice(sizes))
    headers = [
        (rng.choice(("ce_id", "x" * 70, "ü")), rng.choice((None, b"", rng.randbytes(80))))
        for _ in range(rng.choice((0, 1, 5, 70)))
    ]
    key = rng.choice((None, b"", b"order-1"))
    return rng.randrange(-5, 2**41), key, rng.choice((value, value, None)), headers


def built(records: list[tuple[Any, ...]], codec: int) -> tuple[list[Any], bytes]:
    """What the client says of each record, and the finished batch."""
    builder = MemoryRecordsBuilder(2, codec, ROOM)
    said = [builder.append(*record) for record in records]
    builder.close()
    return [s and (s.offset, s.size, s.timestamp) for s in said], bytes(builder.buffer())


@pytest.mark.parametrize("codec", [0, 3])
def test_same_bytes_as_the_client_and_full_at_the_same_record(
    codec: int, rng: random.Random
) -> None:
    for _ in range(200):
        records = [some_record(rng) for _ in range(rng.randrange(1, 12))]
        theirs = built(records, codec)
        record_writer.install()
        ours = built(records, codec)
        record_writer.uninstall()
        assert ours == theirs


def test_it_is_ours_that_is_asked() -> None:
    record_writer.install()
    assert DefaultRecordBatchBuilder.append is record_writer.append
