"""What is too long for any fact is cut where it is read: no sender's record can fill our memory.

The whole is known by its size and its digest.
"""

from hashlib import sha256
from typing import Final

CUT_BYTES: Final = 196_608  # longer than any fact, and than any record of ours


class Cut(bytes):
    """The first bytes of a key, a value or a header that is longer than that."""

    whole_size: int
    whole_sha256: bytes


def cut(whole: memoryview) -> Cut:
    """The beginning, which knows how much there was."""
    part = Cut(whole[:CUT_BYTES])
    part.whole_size = len(whole)
    part.whole_sha256 = sha256(whole).digest()
    return part


def whole_size(data: bytes) -> int:
    """The number of bytes that were sent."""
    return data.whole_size if isinstance(data, Cut) else len(data)


def whole_sha256(data: bytes) -> bytes:
    """The digest of all that was sent."""
    return data.whole_sha256 if isinstance(data, Cut) else sha256(data).digest()
