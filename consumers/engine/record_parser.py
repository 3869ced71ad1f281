"""What the broker let in comes out: no batch that it accepts can stop a partition.

Kafka-python 3.0 raises, and raises again on every poll, where the broker is content: at a header
name that is not UTF-8, at a record whose unused attributes have their high bit set, at an LZ4
frame whose checksum or size of the content is wrong. Any producer could so stick a partition for
ever. Two functions take the place of the client's own for records of format 2; they read the same
fields as Kafka's Java client does. A test holds them against the originals, and one against a
broker. What a broker does refuse (a wrong CRC, an unknown codec) cannot get here.

And no batch can fill our memory: one megabyte of LZ4 holds up to 255. One batch at a time is
unpacked, and of what is too long for any fact only the beginning outlives it (`schemas.cut`).
"""

from functools import lru_cache
from typing import Any, Final

import lz4.block
from kafka.errors import CorruptRecordError
from kafka.record.default_records import ControlRecord, DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from schemas.cut import CUT_BYTES, cut

_ORIGINALS: Final = (DefaultRecordBatch._read_msg, DefaultRecordBatch._maybe_uncompress)
_SHORT: Final = 64  # bytes; a cache of long names could be filled with megabytes
_INT64_MAX: Final = 2**63 - 1


def install() -> None:
    """Put both in the place of the client's own, for this process."""
    DefaultRecordBatch._read_msg = read_message
    DefaultRecordBatch._maybe_uncompress = uncompress


def uninstall() -> None:
    """Put the originals back, to compare."""
    DefaultRecordBatch._read_msg, DefaultRecordBatch._maybe_uncompress = _ORIGINALS


def read_message(batch: Any) -> DefaultRecord:
    """Read the next record of a batch of format 2; raises CorruptRecordError."""
    buffer = batch._buffer
    length, start = decode_varint(buffer, batch._pos)
    # attributes are one byte without meaning so far
    timestamp_delta, pos = decode_varint(buffer, start + 1)
    offset_delta, pos = decode_varint(buffer, pos)
    key, pos = _read_nullable(buffer, pos)
    value, pos = _read_nullable(buffer, pos)
    count, pos = decode_varint(buffer, pos)
    headers, pos = _read_headers(buffer, pos, count) if count else ([], pos)
    if pos - start != length:
        raise CorruptRecordError("the record's parts do not fill its length")
    batch._pos = pos
    base_offset, _, _, _, _, attributes, _, first_timestamp, max_timestamp, *_ = batch._header_data
    is_append_time = attributes & DefaultRecordBatch.TIMESTAMP_TYPE_MASK
    timestamp = max_timestamp if is_append_time else first_timestamp + timestamp_delta
    if not -_INT64_MAX <= timestamp <= _INT64_MAX:
        timestamp = (timestamp + 2**63) % 2**64 - 2**63  # as the broker adds, in 64 bits
    kind = ControlRecord if attributes & DefaultRecordBatch.CONTROL_MASK else DefaultRecord
    type_ = 1 if is_append_time else 0
    return kind(length, base_offset + offset_delta, timestamp, type_, key, value, headers)


def _read_headers(buffer: Any, pos: int, count: int) -> tuple[list[tuple[str, Any]], int]:
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
        raw = bytes(buffer[pos : min(end, pos + CUT_BYTES)])
        name = _short_name(raw) if size <= _SHORT else _decoded(raw)
        size = buffer[end]
        if size & 0x81:
            content, pos = _read_nullable(buffer, end)
            headers.append((name, content))
        else:
            pos = end + 1 + (size >> 1)
            headers.append((name, bytes(buffer[end + 1 : pos])))
    return headers, pos


def _read_nullable(buffer: Any, pos: int) -> tuple[bytes | None, int]:
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
    return bytes(buffer[pos : pos + size]), pos + size


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
