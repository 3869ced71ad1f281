"""Facts of settled orders in files that prove themselves: what is read is what was written, or nothing is.

A file is JSON Lines, an order a line, sorted by order id, compressed with gzip in frames of some
orders each; `zcat` reads all of it. Its manifest names each frame by place and SHA-256, so that one
order costs one frame. No database is asked here.
"""

import gzip
import json
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

FORMAT: Final = "escrow-archive/1"
ORDERS_A_FRAME: Final = 100
_BEGINS: Final = b'{"order_id":"'
_FACT: Final = (
    "source",
    "id",
    "type",
    "t",
    "partition",
    "offset",
    "payload",
    "text_digest",
    "attributes",
)  # storage.facts.FACT_COLUMNS without the order's id


class ArchivedFact(NamedTuple):
    """A fact with the outcome of its arrival; its free text stays in the database."""

    no: int
    seq: int
    outcome: str
    code: str | None
    columns: tuple[Any, ...]  # as in storage.facts.FACT_COLUMNS

    @property
    def type(self) -> str:
        return str(self.columns[3])

    @property
    def has_text(self) -> bool:
        """Then its row has stayed in the database as well: the text can be forgotten there."""
        return self.columns[8] is not None


class History(NamedTuple):
    """A run of one order's decisions: all its facts and what became of those that were parked."""

    order_id: str
    from_no: int
    until_no: int
    before: bytes  # the chain's head before the first of them
    head: bytes  # and after the last
    facts: tuple[ArchivedFact, ...]
    resolutions: tuple[tuple[int, int, str, str | None], ...]  # no, parked_no, outcome, code


class Frame(NamedTuple):
    """Where some orders lie in the file."""

    offset: int
    size_bytes: int
    sha256: str
    first: str  # order id
    last: str
    orders: int
    facts: int


class Manifest(NamedTuple):
    """What is in a file; `digest` is the manifest's own, which the database keeps."""

    name: str
    orders: int
    facts: int
    size_bytes: int
    sha256: str
    t_min: int
    t_max: int
    frames: tuple[Frame, ...]
    digest: bytes


class ArchiveDamaged(Exception):
    """A file is missing, or is not what was written; the text says which."""


def data_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.jsonl.gz"


def manifest_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.manifest.json"


def write(folder: Path, day: str, histories: Sequence[History]) -> Manifest:
    """Write a file and its manifest, and see them onto the disk. Raises OSError.

    The name is made of the day and the content: the same again is the same file.
    """
    ordered = sorted(histories, key=lambda history: history.order_id.encode())
    part = folder / f"{os.getpid()}.part"
    frames: list[Frame] = []
    whole = sha256()
    with part.open("wb") as file:
        for start in range(0, len(ordered), ORDERS_A_FRAME):
            some = ordered[start : start + ORDERS_A_FRAME]
            packed = gzip.compress(b"".join(line_of(one) for one in some), 6, mtime=0)
            facts = sum(len(one.facts) for one in some)
            at, digest = file.tell(), sha256(packed).hexdigest()
            ends = (some[0].order_id, some[-1].order_id)
            frames.append(Frame(at, len(packed), digest, *ends, len(some), facts))
            file.write(packed)
            whole.update(packed)
        size = file.tell()
        _onto_the_disk(file)
    name = f"facts-{day}-{whole.hexdigest()[:16]}"
    times = [fact.columns[4] for history in ordered for fact in history.facts]
    content = {
        "format": FORMAT,
        "name": name,
        "orders": len(ordered),
        "facts": len(times),
        "size_bytes": size,
        "sha256": whole.hexdigest(),
        "t_min": min(times),
        "t_max": max(times),
        "frames": [frame._asdict() for frame in frames],
    }
    part.replace(data_file(folder, name))
    with part.open("wb") as file:
        file.write(json.dumps(content, indent=1).encode() + b"\n")
        _onto_the_disk(file)
    part.replace(manifest_file(folder, name))
    _folder_onto_the_disk(folder)
    return read_manifest(folder, name)


def read_manifest(folder: Path, name: str, digest: bytes | None = None) -> Manifest:
    """The manifest; with a digest: that very one. Raises ArchiveDamaged."""
    path = manifest_file(folder, name)
    raw = _bytes_of(path)
    found = sha256(raw).digest()
    if digest is not None and found != digest:
        raise ArchiveDamaged(f"{path} is not the manifest that was written")
    try:
        said = json.loads(raw)
        if said.pop("format") != FORMAT:
            raise ArchiveDamaged(f"{path} is not of the format {FORMAT}")
        said["frames"] = tuple(Frame(**frame) for frame in said["frames"])
        return Manifest(**said, digest=found)
    except (ValueError, KeyError, TypeError):
        raise ArchiveDamaged(f"{path} cannot be read") from None


class ArchiveFile:
    """One file, read a frame at a time; the last frame is kept, since who asks goes by order ids."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._path = data_file(folder, manifest.name)
        self._firsts = [frame.first.encode() for frame in manifest.frames]
        self._at = -1
        self._lines: dict[str, bytes] = {}

    def history(self, order_id: str) -> History:
        """One order's. Raises ArchiveDamaged, also where the file has none of it."""
        at = bisect_right(self._firsts, order_id.encode()) - 1
        if at >= 0 and at != self._at:
            self._at, self._lines = -1, self._frame(self.manifest.frames[at])
            self._at = at
        line = self._lines.get(order_id) if at >= 0 else None
        if line is None:
            raise ArchiveDamaged(f"{self._path} holds nothing of order {order_id}")
        return self._read(line)

    def histories(self) -> Iterator[History]:
        """All, in the order of their ids. Raises ArchiveDamaged."""
        for frame in self.manifest.frames:
            for line in self._frame(frame).values():
                yield self._read(line)

    def check_size(self) -> None:
        """That nothing was added to the frames. Raises ArchiveDamaged."""
        try:
            size = self._path.stat().st_size
        except OSError as error:
            raise ArchiveDamaged(f"{self._path}: {error.strerror}") from None
        if size != self.manifest.size_bytes:
            raise ArchiveDamaged(f"{self._path} has {size} bytes, not {self.manifest.size_bytes}")

    def _frame(self, frame: Frame) -> dict[str, bytes]:
        packed = _bytes_of(self._path, frame.offset, frame.size_bytes)
        if sha256(packed).hexdigest() != frame.sha256:
            orders = f"the orders from {frame.first} to {frame.last}"
            raise ArchiveDamaged(f"{self._path} is not what was written, at {orders}")
        return {_order_id(line): line for line in gzip.decompress(packed).splitlines()}

    def _read(self, line: bytes) -> History:
        try:
            return history_of(line)
        except (ValueError, KeyError, TypeError):
            raise ArchiveDamaged(f"{self._path} has a line that cannot be read") from None


@lru_cache(maxsize=256)
def opened(folder: Path, name: str, digest: bytes) -> ArchiveFile:
    """The file of this manifest; its last frame stays at hand. Raises ArchiveDamaged."""
    return ArchiveFile(folder, read_manifest(folder, name, digest))


def line_of(history: History) -> bytes:
    """A history as its line, with the line's end."""
    said = {
        "order_id": history.order_id,
        "from_no": history.from_no,
        "until_no": history.until_no,
        "before": history.before.hex(),
        "head": history.head.hex(),
        "facts": [_fact_as_json(fact) for fact in history.facts],
        "resolutions": history.resolutions,
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def history_of(line: bytes) -> History:
    """The other way round. Raises ValueError, KeyError or TypeError."""
    said = json.loads(line)
    order_id = said["order_id"]
    return History(
        order_id,
        said["from_no"],
        said["until_no"],
        bytes.fromhex(said["before"]),
        bytes.fromhex(said["head"]),
        tuple(_fact_of(order_id, fact) for fact in said["facts"]),
        tuple((no, parked_no, out, code) for no, parked_no, out, code in said["resolutions"]),
    )


def _order_id(line: bytes) -> str:
    """Without reading the rest: it comes first, and an order id needs no escape (RULES 2)."""
    begins = len(_BEGINS)
    assert line[:begins] == _BEGINS, "the digest is right, and the line is none of ours"
    return line[begins : line.index(b'"', begins)].decode("ascii")


def _fact_as_json(fact: ArchivedFact) -> dict[str, Any]:
    columns = dict(zip(_FACT, fact.columns[1:], strict=True))
    digest = columns["text_digest"]
    columns["text_digest"] = None if digest is None else bytes(digest).hex()
    return {"no": fact.no, "seq": fact.seq, "outcome": fact.outcome, "code": fact.code, **columns}


def _fact_of(order_id: str, said: dict[str, Any]) -> ArchivedFact:
    digest = said["text_digest"]
    said["text_digest"] = None if digest is None else bytes.fromhex(digest)
    columns = (order_id, *(said[name] for name in _FACT))
    return ArchivedFact(said["no"], said["seq"], said["outcome"], said["code"], columns)


def left_over(folder: Path, names: Iterable[str]) -> list[Path]:
    """Files in an archive's folder that none of these names explains: of a run that was killed."""
    known = {
        path for name in names for path in (data_file(folder, name), manifest_file(folder, name))
    }
    there = (*folder.glob("facts-*"), *folder.glob("*.part"))
    return sorted(path for path in there if path not in known)


def _bytes_of(path: Path, offset: int = 0, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise ArchiveDamaged(f"{path}: {error.strerror}") from None


def _onto_the_disk(file: IO[bytes]) -> None:
    """Where the system can be asked to, it forgets its copy: what is read back comes from the disk."""
    file.flush()
    os.fsync(file.fileno())
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _folder_onto_the_disk(folder: Path) -> None:
    there = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(there)
    finally:
        os.close(there)
