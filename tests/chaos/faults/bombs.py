"""Batches made by hand to fill a worker's memory, under a cap on it; what the broker takes must end as dead letters.

The cap is on every program (`line.MEMORY_BYTES`): who needs more dies, and a death nobody ordered is a
violation. The other partitions must go on meanwhile.
"""

import time
import zlib
from collections.abc import Callable, Iterable
from typing import Final

import lz4.frame

from schemas.facts import STAGE_TOPICS
from tests.chaos.faults.hand import Fault, Nemesis
from tests.hand_made import CODECS, batch, packed_batch, produce, record, varint

MEGABYTE: Final = 1_048_576
UNPACKED_MB: Final = 200
REFUSED: Final = {2, 10, 43, 74, 87}  # corrupt, too large, format, codec, invalid record
TOPICS: Final = tuple(STAGE_TOPICS.values())
_KEY: Final = b"bomb"


def _sent(made: Callable[[], bytes], times: int = 1, *, is_refused: bool = False) -> Fault:
    """Into one topic, so many times, among good records; counts where the broker has said what it must."""

    def fault(nemesis: Nemesis) -> bool:
        topic = nemesis.rng.choice(TOPICS)
        answers = set()
        for _ in range(times):
            nemesis.feed.burst(2)
            try:
                answers.add(produce(nemesis.line.settings.kafka.bootstrap_servers, topic, made()))
            except OSError:
                answers.add(-1)
                _supervise(nemesis)
        nemesis.feed.burst(8)
        return answers <= {*REFUSED, -1} if is_refused else answers == {0}

    return fault


def _supervise(nemesis: Nemesis) -> None:
    """A broker whose heap is smaller than a record unpacked ends of it, and is started again."""
    time.sleep(3)
    for node in nemesis.line.servers.nodes:
        if not node.running:
            node.start()


def _zeros(head: bytes, megabytes: int) -> Iterable[bytes]:
    yield head
    for _ in range(megabytes):
        yield bytes(MEGABYTE)


def _one_long_value(megabytes: int) -> Iterable[bytes]:
    """A record in parts: its value is that long, and nothing is made of that length here."""
    size = megabytes * MEGABYTE
    head = bytes([0]) + varint(0) + varint(0) + varint(len(_KEY)) + _KEY + varint(size)
    yield varint(len(head) + size + 1) + head
    yield from _zeros(b"", megabytes)
    yield varint(0)


def _lz4_long() -> bytes:
    packer = lz4.frame.LZ4FrameCompressor(block_linked=False, block_size=lz4.frame.BLOCKSIZE_MAX4MB)
    data = packer.begin()
    data += b"".join(packer.compress(part) for part in _one_long_value(UNPACKED_MB))
    return packed_batch(data + packer.flush(), 1)


def _gzip_long() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    data = b"".join(packer.compress(part) for part in _one_long_value(1_000))
    return packed_batch(data + packer.flush(), 1, codec=CODECS["gzip"])


def _lz4_many() -> bytes:
    """Three hundred values just too long to be facts, in one small batch."""
    return batch([record(n, key=_KEY, value=bytes(65_537)) for n in range(300)])


def _headers() -> bytes:
    headers = [(b"h%d" % n, b"x") for n in range(10_000)]
    return batch([record(key=_KEY, headers=headers)])


def _keys() -> bytes:
    value = b"{" + b",".join(b'"%d":0' % n for n in range(75_000)) + b"}"
    return batch([record(key=_KEY, value=value)])


def _long_names() -> bytes:
    """As many names as fit below the limit of a value."""
    value = b"{" + b",".join(b'"%x":0' % n for n in range(7_000)) + b"}"
    return batch([record(key=_KEY, value=value)])


def _nested(depth: int) -> Callable[[], bytes]:
    return lambda: batch([record(key=_KEY, value=b"[" * depth + b"]" * depth)])


def _unknown_codec() -> bytes:
    return batch([record(key=_KEY)], codec=5)


def _ten_megabytes() -> bytes:
    return batch([record(key=_KEY, value=b"x" * 10 * MEGABYTE)], codec=CODECS["none"])


FAULTS: Final[dict[str, Fault]] = {
    "bomb: 200 MB in one value of LZ4": _sent(_lz4_long, 6),
    "bomb: 300 values just too long": _sent(_lz4_many),
    "bomb: 1 GB of gzip": _sent(_gzip_long, is_refused=True),
    "bomb: 10,000 headers": _sent(_headers),
    "bomb: 75,000 keys": _sent(_keys),
    "bomb: 7,000 keys": _sent(_long_names),
    "bomb: nested a million deep": _sent(_nested(500_000)),
    "bomb: nested 30,000 deep": _sent(_nested(30_000)),
    "bomb: unknown codec": _sent(_unknown_codec, is_refused=True),
    "bomb: 10 MB in one value": _sent(_ten_megabytes, is_refused=True),
}
