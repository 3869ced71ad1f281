"""What the broker let in comes out: no batch that it accepts can stop a partition.

Kafka-python 3.0 raises, and raises again on every poll, where the broker is content: at a header
name that is not UTF-8, at a record whose unused attributes have their high bit set, at an LZ4
frame whose checksum or size of the content is wrong. Any producer could so stick a partition for
ever. Three functions take the place of the client's own for records of format 2; they read the same
fields as Kafka's Java client does, in less time. A test holds them against the originals, and one
against a broker. What a broker does refuse (a wrong CRC, an unknown codec) cannot get here.

And no batch can fill our memory: one megabyte of LZ4 holds up to 255. One batch at a time is
unpacked, and of what is too long for any fact only the beginning outlives it (`schemas.cut`).
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import lz4.block
from kafka import IsolationLevel, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord, Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import ControlRecord, DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from schemas.cut import CUT_BYTES, cut

_Fetched: Final = Fetcher.PartitionRecords
_ORIGINALS: Final = (
    DefaultRecordBatch._read_msg,
    DefaultRecordBatch._maybe_uncompress,
    _Fetched._unpack_records,
)
_SHORT: Final = 64  # bytes; a cache of long names could be filled with megabytes
_INT64_MAX: Final = 2**63 - 1


def install() -> None:
    """Put ours in the place of the client's own, for this process."""
    DefaultRecordBatch._read_msg = read_message
    DefaultRecordBatch._maybe_uncompress = uncompress
    _Fetched._unpack_records = unpack_records


def uninstall() -> None:
    """Put the originals back, to compare."""
    DefaultRecordBatch._read_msg, DefaultRecordBatch._maybe_uncompress = _ORIGINALS[:2]
    _Fetched._unpack_records = _ORIGINALS[2]


def read_message(batch: Any) -> DefaultRecord:
    """Read the next record of a batch of format 2; raises CorruptRecordError."""
    batch._buffer = bytes(batch._buffer)
    batch._pos, length, later, further, *content = _read(batch._buffer, batch._pos)
    begin, step, type_ = _clock(batch)
    is_control = batch.attributes & DefaultRecordBatch.CONTROL_MASK
    kind = ControlRecord if is_control else DefaultRecord
    timestamp = _in_64_bits(begin + later * step)
    return kind(length, batch.base_offset + further, timestamp, type_, *content)


def unpack_records(
    part: Any, where: TopicPartition, batches: Any, *_deserializers: None
) -> Iterator[ConsumerRecord]:
    """What was fetched of a partition, record by record; half the client's own way round each of them.

    Sizes, which the client measures for its users, are -1: nobody here asks for them.
    """
    while (batch := batches.next_batch()) is not None:
        if part.check_crcs and not batch.validate_crc():
            raise CorruptRecordError(f"{where}, offset {batch.base_offset}: a wrong checksum")
        part.leader_epoch = batch.leader_epoch
        if not _is_hidden(part, batch):
            for fields in _records(batch):
                part.next_fetch_offset = fields[0] + 1
                yield ConsumerRecord(*where, batch.leader_epoch, *fields, None, -1, -1, -1)
        part.next_fetch_offset = batch.next_offset  # also past records that were compacted away
    part.drain()


def _is_hidden(part: Any, batch: Any) -> bool:
    """Markers of transactions, and what readers of committed records do not see."""
    if batch.has_producer_id() and part.isolation_level == IsolationLevel.READ_COMMITTED:
        part._consume_aborted_transactions_up_to(batch.last_offset)
        if part._contains_abort_marker(batch):
            part.aborted_producer_ids.discard(batch.producer_id)
        elif part._is_batch_aborted(batch):
            return True
    return bool(batch.is_control_batch)


def _records(batch: Any) -> Iterator[tuple[Any, ...]]:
    """Offset, timestamp and its type, key, value and headers of each record."""
    uncompress(batch)
    buffer, pos, offset = batch._buffer, batch._pos, batch.base_offset
    begin, step, type_ = _clock(batch)
    try:
        for _ in range(batch.records_count):
            pos, _, later, further, key, value, headers = _read(buffer, pos)
            timestamp = begin + later * step
            if not -_INT64_MAX <= timestamp <= _INT64_MAX:
                timestamp = _in_64_bits(timestamp)
            yield offset + further, timestamp, type_, key, value, headers
    except (ValueError, IndexError) as error:
        raise CorruptRecordError(f"no record: {error!r}") from None
    if pos != len(buffer):
        raise CorruptRecordError("bytes are left after the last record")


def _clock(batch: Any) -> tuple[int, int, int]:
    """Where the time of a batch begins, whether its records' own count, and the type of that."""
    if batch.attributes & DefaultRecordBatch.TIMESTAMP_TYPE_MASK:
        return batch.max_timestamp, 0, 1
    return batch.first_timestamp, 1, 0


def _in_64_bits(timestamp: int) -> int:
    """As the broker adds."""
    return (timestamp + 2**63) % 2**64 - 2**63


def _read(buffer: bytes, pos: int) -> tuple[Any, ...]:
    """Where a record ends, its length, its deltas of time and offset, key, value, headers."""
    length, start = _varint(buffer, pos)
    timestamp_delta, pos = _varint(buffer, start + 1)  # one byte of attributes without meaning
    offset_delta, pos = _varint(buffer, pos)
    key, pos = _read_nullable(buffer, pos)
    value, pos = _read_nullable(buffer, pos)
    count, pos = _varint(buffer, pos)
    headers, pos = _read_headers(buffer, pos, count) if count else ([], pos)
    if pos - start != length:
        raise CorruptRecordError("the record's parts do not fill its length")
    return pos, length, timestamp_delta, offset_delta, key, value, headers


def _varint(buffer: bytes, pos: int) -> tuple[int, int]:
    """Nearly all are of one byte or two."""
    low = buffer[pos]
    if low < 0x80:
        return (low >> 1) ^ -(low & 1), pos + 1
    high = buffer[pos + 1]
    if high < 0x80:
        low = low & 0x7F | high << 7
        return (low >> 1) ^ -(low & 1), pos + 2
    number: tuple[int, int] = decode_varint(buffer, pos)
    return number


def _read_headers(buffer: bytes, pos: int, count: int) -> tuple[list[tuple[str, Any]], int]:
    """Names as text, whatever their bytes; sizes below 64 take one byte, and nearly all are."""
    if count < 0:
        raise CorruptRecordError("fewer headers than none")
    headers = []
    for _ in range(count):
        size = buffer[pos]
        if size & 0x81:
            size, pos = decode_varint(buffer, pos)
            if size < 0:
                raise CorruptRecordError("a header without a name")
        else:
            size >>= 1
            pos += 1
        end = pos + size
        if size <= _SHORT:
            name = _short_name(buffer[pos:end])
        else:
            name = _decoded(buffer[pos : min(end, pos + CUT_BYTES)])
        size = buffer[end]
        if size & 0x81:
            content, pos = _read_nullable(buffer, end)
            headers.append((name, content))
        else:
            pos = end + 1 + (size >> 1)
            headers.append((name, buffer[end + 1 : pos]))
    return headers, pos


def _read_nullable(buffer: bytes, pos: int) -> tuple[bytes | None, int]:
    size = buffer[pos]
    if size & 0x81:
        size, pos = decode_varint(buffer, pos)
        if size < 0:
            return None, pos
        if size > CUT_BYTES:
            return cut(memoryview(buffer)[pos : pos + size]), pos + size
    else:
        size >>= 1
        pos += 1
    return buffer[pos : pos + size], pos + size


def uncompress(batch: Any) -> None:
    """Unpack the records of a batch once; LZ4 by our own reading, the rest by the client's."""
    if batch._decompressed:
        return
    if batch.compression_type == DefaultRecordBatch.CODEC_LZ4:
        batch._buffer = unpack_lz4(bytes(memoryview(batch._buffer)[batch._pos :]))
        batch._pos = 0
        batch._decompressed = True
    else:
        _ORIGINALS[1](batch)
        batch._buffer = bytes(batch._buffer)  # whose slices need no second copy


def unpack_lz4(frame: bytes) -> bytes:
    """The content of one LZ4 frame with independent blocks, as Kafka's Java client reads it.

    Content size and content checksum are passed over, and what follows the end mark is not looked
    at: the batch's own CRC covers the frame. Raises ValueError where it is no such frame.
    """
    flags, block_size_code = frame[4], frame[5] >> 4 & 7
    pos = 7 + (8 if flags & 0x08 else 0)  # magic, flags, block size, content size?, checksum
    block_bytes_max = 1 << (8 + 2 * block_size_code)
    checksum_bytes = 4 if flags & 0x10 else 0
    blocks = []
    while size := int.from_bytes(frame[pos : pos + 4], "little"):
        pos += 4
        is_plain, size = size >> 31, size & 0x7FFFFFFF
        block = frame[pos : pos + size]
        if not size:
            break
        if len(block) < size:
            raise ValueError("an LZ4 frame that ends in a block")
        blocks.append(block if is_plain else _unpack_block(block, block_bytes_max))
        pos += size + checksum_bytes
    return b"".join(blocks)


def _unpack_block(block: bytes, bytes_max: int) -> bytes:
    try:
        content: bytes = lz4.block.decompress(block, uncompressed_size=bytes_max)
    except lz4.block.LZ4BlockError as error:
        raise ValueError(str(error)) from None
    return content


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


_short_name: Final = lru_cache(maxsize=256)(_decoded)
