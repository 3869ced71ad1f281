"""Our reading of batches is the client's own, wherever the client can read."""

import struct
from collections.abc import Iterator
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import lz4.frame
import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from kafka import IsolationLevel, TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record import MemoryRecords
from kafka.record.memory_records import MemoryRecordsBuilder

from consumers.engine import record_parser
from consumers.engine.record_parser import unpack_lz4
from consumers.engine.records import record_digest
from schemas.cut import CUT_BYTES, cut, whole_sha256, whole_size
from schemas.door import Record, Rejected
from storage.dead_letters import from_rejected
from tests.hand_made import CODECS, batch, record

NONE = CODECS["none"]
names = st.text(max_size=80)
records = st.tuples(
    st.integers(0, 2**60),
    st.none() | st.binary(max_size=100),
    st.none() | st.binary(max_size=300),
    st.lists(st.tuples(names, st.none() | st.binary(max_size=100)), max_size=6),
)


@pytest.fixture(autouse=True)
def leave_the_client_as_it_was() -> Iterator[None]:
    yield
    record_parser.uninstall()


def read(made: bytes) -> list[tuple[Any, ...]]:
    return [
        (r.offset, r.timestamp, r.timestamp_type, r.key, r.value, r.headers, r.size_in_bytes)
        for taken in MemoryRecords(made)
        for r in taken
    ]


def read_by_us(made: bytes) -> list[tuple[Any, ...]]:
    record_parser.install()
    return read(made)


def read_by_the_client(made: bytes) -> list[tuple[Any, ...]]:
    record_parser.uninstall()
    return read(made)


@given(st.lists(records, min_size=1, max_size=20), st.sampled_from([0, 1, 3, 4]))
def test_what_the_client_writes_is_read_alike(written: list[Any], codec: int) -> None:
    builder = MemoryRecordsBuilder(magic=2, compression_type=codec, batch_size=1 << 20, offset=0)
    for timestamp, key, value, headers in written:
        builder.append(timestamp, key, value, headers)
    builder.close()
    made = bytes(builder.buffer())
    ours = read_by_us(made)
    assert ours == read_by_the_client(made)
    assert [(r[1], r[3], r[4], r[5]) for r in ours] == written
    assert all(type(part) in {bytes, type(None)} for r in ours for part in r[3:5])


def test_the_brokers_clock_counts_where_the_batch_says_so() -> None:
    made = bytearray(batch([record(timestamp_delta=5)], codec=NONE, timestamp=1_000))
    made[22] |= 0x08  # attributes: LogAppendTime
    struct.pack_into(">q", made, 35, 9_999)  # the largest timestamp
    assert read_by_us(bytes(made)) == read_by_the_client(bytes(made))
    assert read_by_us(bytes(made))[0][1:3] == (9_999, 1)


@pytest.mark.parametrize(
    "raw", [b"ce_\xff", b"\xc3", b"\xed\xa0\x80", b"x" * 100 + b"\xfe"], ids=repr
)
def test_a_name_that_is_not_utf_8_is_readable_text(raw: bytes) -> None:
    made = batch([record(headers=[(raw, b"1"), ("ü".encode(), b"\xff")])])
    with pytest.raises(CorruptRecordError):
        read_by_the_client(made)
    (name, content), other = read_by_us(made)[0][5]
    assert name == raw.decode("utf-8", "backslashreplace")
    assert name.encode()  # the client itself does this
    assert (content, other) == (b"1", ("ü", b"\xff"))


@pytest.mark.parametrize("attributes", [0x7F, 0x80, 0xFF])
def test_attributes_of_a_record_are_one_byte_and_mean_nothing(attributes: int) -> None:
    made = batch([record(attributes=attributes), record(1, value=b"w")])
    assert [(r[0], r[4]) for r in read_by_us(made)] == [(0, b"v"), (1, b"w")]


def test_times_add_up_as_the_broker_adds_them() -> None:
    made = batch([record(timestamp_delta=2**62)], timestamp=2**62 + 2**61)
    assert read_by_us(made)[0][1] == 2**62 + 2**61 + 2**62 - 2**64


@pytest.mark.parametrize(
    "broken",
    [
        b"\x08" + record()[1:],  # a length that is not the parts'
        record(headers=[(None, b"x")]),
        record()[:-1] + b"\x01",  # -1 headers
        record()[:-1] + b"\x0a",  # 5 headers, and nothing more
        b"",
    ],
)
def test_what_is_no_record_is_corrupt_and_nothing_else(broken: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        read_by_us(batch([broken], codec=NONE, count=1))


def in_log(offset: int, made: bytes, *, of: int = -1, marker: bool = False, gap: int = 0) -> bytes:
    """The batch as the log has it: at an offset, in the transaction of a producer, compacted at its end."""
    placed = bytearray(made)
    (flags, last) = struct.unpack_from(">hi", placed, 21)
    flags |= (0x10 if of >= 0 else 0) | (0x20 if marker else 0)
    struct.pack_into(">hi", placed, 21, flags, last + gap)
    struct.pack_into(">q", placed, 43, of)
    struct.pack_into(">q", placed, 0, offset)
    struct.pack_into(">I", placed, 17, crc32c(bytes(placed[21:])))
    return bytes(placed)


def marker(offset: int, *, of: int, commits: bool) -> bytes:
    key = struct.pack(">hh", 0, 1 if commits else 0)
    return in_log(offset, batch([record(key=key)], codec=NONE), of=of, marker=True)


LOG = b"".join(
    (
        in_log(
            0, batch([record(0, headers=[(b"n", b"1")]), record(1), record(2, timestamp_delta=9)])
        ),
        in_log(3, batch([record(0), record(1)], codec=NONE), of=7),  # to be aborted
        in_log(5, batch([record(0)]), of=8),  # to be committed
        marker(6, of=7, commits=False),
        in_log(7, batch([record(0), record(2)]), of=7, gap=2),  # of the next transaction
        marker(12, of=8, commits=True),
        marker(13, of=7, commits=True),
        in_log(14, batch([record(0)]), gap=3),
    )
)


def fetched(isolation: IsolationLevel, begin: int, at_once: int, log: bytes = LOG) -> list[Any]:
    """What is taken in portions, and where the client then stands after each."""
    where = TopicPartition("t", 0)
    aborted = [SimpleNamespace(first_offset=3, producer_id=7)]
    part = Fetcher.PartitionRecords(
        begin, where, MemoryRecords(log), isolation_level=isolation, aborted_transactions=aborted
    )
    seen: list[Any] = []
    while part:
        taken = part.take(at_once)
        seen.append(([tuple(r)[:9] for r in taken], part.next_fetch_offset))
    return seen


@pytest.mark.parametrize("isolation", list(IsolationLevel))
@pytest.mark.parametrize("begin", [0, 1, 4, 6, 14])
@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_a_log_is_taken_as_the_client_takes_it(
    isolation: IsolationLevel, begin: int, at_once: int
) -> None:
    record_parser.uninstall()
    theirs = fetched(isolation, begin, at_once)
    record_parser.install()
    ours = fetched(isolation, begin, at_once)
    assert ours == theirs


def test_of_a_log_with_a_wrong_checksum_what_stands_before_it_is_taken() -> None:
    record_parser.install()
    good, bad = batch([record(0)]), in_log(1, batch([record(0)]))
    part = Fetcher.PartitionRecords(
        0, TopicPartition("t", 0), MemoryRecords(good + bad[:-1] + bytes([bad[-1] ^ 1]))
    )
    assert [r.offset for r in part.take(10)] == [0]
    assert part.next_fetch_offset == 1
    with pytest.raises(CorruptRecordError, match="checksum"):
        part.take(10)


@given(
    st.binary(max_size=300).flatmap(
        lambda content: st.integers(0, 2_000).map(lambda times: content * times)
    ),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([4, 5, 6, 7]),
)
def test_lz4_is_unpacked_like_the_library_does(
    content: bytes, sized: bool, checked: bool, blocks_checked: bool, block_size: int
) -> None:
    frame = lz4.frame.compress(
        content,
        block_linked=False,
        store_size=sized,
        content_checksum=checked,
        block_checksum=blocks_checked,
        block_size=block_size,
    )
    assert unpack_lz4(frame) == content == unpack_lz4(frame + b"after the end")


def test_a_wrong_checksum_of_the_content_is_passed_over() -> None:
    frame = bytearray(lz4.frame.compress(b"content", block_linked=False, content_checksum=True))
    frame[-1] ^= 1
    with pytest.raises(RuntimeError):
        lz4.frame.decompress(bytes(frame))
    assert unpack_lz4(bytes(frame)) == b"content"


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_half_an_lz4_frame_is_an_error(cut: int) -> None:
    frame = lz4.frame.compress(bytes(range(256)), block_linked=False)
    with pytest.raises(ValueError, match="LZ4"):
        unpack_lz4(frame[: -4 - cut])


def test_of_what_is_too_long_for_any_fact_only_the_beginning_is_kept() -> None:
    long = bytes(range(256)) * 1_000
    parts = {"key": long, "value": long, "headers": [(b"name", long), (long, b"short")]}
    (taken,) = MemoryRecords(batch([record(**parts)]))  # type: ignore[arg-type]
    record_parser.install()
    (only,) = taken
    assert [len(part) for part in (only.key, only.value, only.headers[0][1])] == [CUT_BYTES] * 3
    assert len(only.headers[1][0].encode("latin-1", "replace")) < 4 * CUT_BYTES
    assert {whole_size(part) for part in (only.key, only.value)} == {len(long)}
    assert whole_sha256(only.value) == sha256(long).digest()
    seen = Record("t", 0, 0, 0, only.key, only.value, only.headers)
    letter = from_rejected("payments", Rejected("too_large", "", seen))
    assert (letter.value_bytes, letter.value_sha256, letter.cut) == (
        len(long), sha256(long).digest(), True,
    )  # fmt: skip


def test_what_is_cut_alike_is_still_told_apart() -> None:
    """The record that was read last is recognised by its digest."""
    one, other = (cut(memoryview(b"x" * CUT_BYTES + end)) for end in (b"a", b"b"))
    assert one == other
    records = [Record("t", 0, 0, 0, b"k", value, ()) for value in (one, other)]
    assert record_digest(records[0]) != record_digest(records[1])
