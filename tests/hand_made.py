"""Record batches made by hand, as no client would, and the raw request that produces them.

Format 2 of https://kafka.apache.org/documentation/#recordbatch and Produce version 3.
"""

import socket
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

import lz4.frame
from crc32c import crc32c

CODECS: Final = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
CORRUPT_MESSAGE: Final = 2  # the broker's answer
INVALID_RECORD: Final = 87
RawHeader = tuple[bytes | None, bytes | None]


def varint(value: int) -> bytes:
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag > 0x7F:
        out.append((zigzag & 0x7F) | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def nullable(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def record(
    offset_delta: int = 0,
    *,
    key: bytes | None = None,
    value: bytes | None = b"v",
    headers: Sequence[RawHeader] = (),
    attributes: int = 0,
    timestamp_delta: int = 0,
) -> bytes:
    body = bytes([attributes]) + varint(timestamp_delta) + varint(offset_delta)
    body += nullable(key) + nullable(value) + varint(len(headers))
    body += b"".join(nullable(name) + nullable(content) for name, content in headers)
    return varint(len(body)) + body


def batch(
    records: Iterable[bytes],
    *,
    codec: int = CODECS["lz4"],
    count: int | None = None,
    timestamp: int = 1_000,
    crc_shift: int = 0,
) -> bytes:
    """One batch; `crc_shift` makes its checksum wrong."""
    taken = list(records)
    data = b"".join(taken)
    if codec == CODECS["lz4"]:
        data = lz4.frame.compress(data, block_linked=False)
    elif codec == CODECS["gzip"]:
        packer = zlib.compressobj(wbits=31)
        data = packer.compress(data) + packer.flush()
    count = len(taken) if count is None else count
    return packed_batch(data, count, codec=codec, timestamp=timestamp, crc_shift=crc_shift)


def packed_batch(
    data: bytes,
    count: int,
    *,
    codec: int = CODECS["lz4"],
    timestamp: int = 1_000,
    crc_shift: int = 0,
) -> bytes:
    """A batch around records that are packed already."""
    signed = (
        struct.pack(">hiqqqhii", codec, count - 1, timestamp, timestamp, -1, -1, -1, count) + data
    )
    checked = struct.pack(">ibI", -1, 2, (crc32c(signed) + crc_shift) % 2**32) + signed
    return struct.pack(">qi", 0, len(checked)) + checked


def produce(bootstrap_servers: str, topic: str, made: bytes) -> int:
    """Write the batch to partition 0; returns the broker's error code, 0 for none."""
    name = topic.encode()
    body = struct.pack(">hhi", -1, -1, 20_000)  # no transaction, all replicas, timeout
    body += struct.pack(">ih", 1, len(name)) + name
    body += struct.pack(">iii", 1, 0, len(made)) + made
    request = struct.pack(">hhih", 0, 3, 7, 4) + b"hand" + body
    host, _, port = bootstrap_servers.split(",", maxsplit=1)[0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        size = struct.unpack(">i", _read(connection, 4))[0]
        answer = _read(connection, size)
    # correlation id, topics, name, partitions, partition, error
    return int(struct.unpack_from(">h", answer, 4 + 4 + 2 + len(name) + 4 + 4)[0])


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += connection.recv(size - len(data)) or _closed()
    return data


def _closed() -> bytes:
    raise ConnectionError("the broker closed the connection")
