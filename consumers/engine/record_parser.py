"""No header can stop a partition: kafka-python 3.0 dies on a header name that is not UTF-8.

Its parser raises on such a name, and raises again on every poll: one record would stick a
partition for ever. This one function replaces the client's own for records of format 2. It reads
the same fields, names of any bytes included, and remembers the few names that all records share.
A test holds it against the original on the same batches.
"""

from functools import lru_cache
from typing import Any, Final

from kafka.errors import CorruptRecordError
from kafka.record.default_records import ControlRecord, DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

_ORIGINAL: Final = DefaultRecordBatch._read_msg


def _header_name(raw: bytes) -> str:
    return _short_name(raw) if len(raw) <= _SHORT else _decoded(raw)


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


_SHORT: Final = 64  # bytes; a cache of long names could be filled with megabytes
_short_name: Final = lru_cache(maxsize=256)(_decoded)


def _read_nullable(buffer: Any, pos: int) -> tuple[bytes | None, int]:
    size, pos = decode_varint(buffer, pos)
    if size < 0:
        return None, pos
    return bytes(buffer[pos : pos + size]), pos + size


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
    headers = []
    for _ in range(count):
        name, pos = _read_nullable(buffer, pos)
        if name is None:
            raise CorruptRecordError("a header without a name")
        content, pos = _read_nullable(buffer, pos)
        headers.append((_header_name(name), content))
    if count < 0 or pos - start != length:
        raise CorruptRecordError("the record's parts do not fill its length")
    batch._pos = pos
    is_append_time = batch.timestamp_type == DefaultRecordBatch.LOG_APPEND_TIME
    timestamp = batch.max_timestamp if is_append_time else batch.first_timestamp + timestamp_delta
    kind = ControlRecord if batch.is_control_batch else DefaultRecord
    offset = batch.base_offset + offset_delta
    return kind(length, offset, timestamp, batch.timestamp_type, key, value, headers)


def install() -> None:
    """Put it in the place of the client's own, for this process."""
    DefaultRecordBatch._read_msg = read_message


def uninstall() -> None:
    """Put the original back, to compare."""
    DefaultRecordBatch._read_msg = _ORIGINAL
