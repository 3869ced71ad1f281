"""Facts that have left for files are read from there, each file known by the digest that the database keeps.

Rows and files are one account: a snapshot says which decisions are in which file, and no file is
ever written again. A file that is not the one that was written is never read as if it were.
"""

import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final, NamedTuple

from storage.archive_files import (
    ArchiveDamaged,
    ArchivedFact,
    ArchiveFile,
    History,
    opened,
)
from storage.reading import DatabaseTrouble, Snapshot
from storage.rows import fetch

ROWS_A_RUN: Final = 50_000  # sorted in memory, then kept on the disk


class ArchiveTrouble(DatabaseTrouble):
    """Facts lie in a file that cannot be read here; the text says which and what to do."""


class Archive(NamedTuple):
    """A file of facts, as the database knows it."""

    no: int
    folder: str
    name: str
    digest: bytes  # SHA-256 of its manifest
    orders: int
    facts: int
    size_bytes: int
    t_min: int
    t_max: int

    def file(self) -> ArchiveFile:
        """Raises ArchiveDamaged."""
        return opened(Path(self.folder), self.name, self.digest)


class Place(NamedTuple):
    """Where a run of an order's decisions lies."""

    order_id: str
    from_no: int
    until_no: int
    archive_no: int


_ARCHIVES: Final = """
SELECT archive_no, folder, name, manifest_sha256, orders, facts, bytes, t_min, t_max
FROM archives ORDER BY archive_no
"""
_PLACES: Final = """
SELECT r.order_id, r.from_no, r.until_no, r.archive_no FROM archived_orders r
WHERE {where} ORDER BY r.order_id, r.from_no
"""
_COUNT: Final = "SELECT coalesce(sum(facts), 0)::bigint FROM archived_counts"
OF_ORDERS: Final = "r.order_id = ANY(%(order_ids)b::text[])"
_OF_ARCHIVE: Final = "r.archive_no = %(archive_no)b"


def archives(connection: Snapshot) -> list[Archive]:
    """All files, oldest first."""
    return [Archive(*row) for row in fetch(connection, _ARCHIVES)]


def places(connection: Snapshot, where: str, **parameters: Any) -> list[Place]:
    """Which decisions of which orders are in files; `where` is about `archived_orders r`."""
    rows = fetch(connection, _PLACES.format(where=where), **parameters)
    return [Place(*row) for row in rows]


def count_left(connection: Snapshot) -> int:
    """How many facts have left the table and not come back."""
    ((count,),) = fetch(connection, _COUNT)
    return int(count)


def histories(
    connection: Snapshot, where: str, parameters: dict[str, Any]
) -> dict[str, list[History] | ArchiveDamaged]:
    """What is in files of these orders, run by run; or why it cannot be read."""
    found: dict[str, list[History] | ArchiveDamaged] = {}
    known: dict[int, Archive] | None = None
    for place in places(connection, where, **parameters):
        if known is None:
            known = {archive.no: archive for archive in archives(connection)}
        sofar = found.setdefault(place.order_id, [])
        if isinstance(sofar, ArchiveDamaged):
            continue
        try:
            sofar.append(_history(known, place))
        except ArchiveDamaged as damaged:
            found[place.order_id] = damaged
    return found


def facts_of(connection: Snapshot, order_ids: Iterable[str]) -> list[ArchivedFact]:
    """The facts of these orders that have left for files. Raises ArchiveTrouble."""
    found = []
    for runs in histories(connection, OF_ORDERS, {"order_ids": list(order_ids)}).values():
        if isinstance(runs, ArchiveDamaged):
            raise trouble(runs)
        found += [fact for run in runs for fact in run.facts if not fact.has_text]
    return found


def present(connection: Snapshot, archive: Archive) -> Iterator[History]:
    """The histories in a file whose orders were not restored. Raises ArchiveTrouble."""
    there = {
        (place.order_id, place.from_no, place.until_no)
        for place in places(connection, _OF_ARCHIVE, archive_no=archive.no)
    }
    try:
        for history in archive.file().histories():
            key = history[:3]
            if key in there:
                there.remove(key)
                yield history
        if there:
            raise ArchiveDamaged(f"{archive.name} holds nothing of order {min(there)[0]}")
    except ArchiveDamaged as damaged:
        raise trouble(damaged) from None


def facts_by_seq(connection: Snapshot) -> Iterator[ArchivedFact]:
    """All facts that have left, in their recorded order. Raises ArchiveTrouble."""
    rows = (
        (fact.seq, *fact[:1], *fact[2:4], *_plain(fact.columns))
        for archive in archives(connection)
        for history in present(connection, archive)
        for fact in history.facts
        if not fact.has_text
    )
    for seq, no, outcome, code, *columns in sorted_on_disk(rows, 1):
        yield ArchivedFact(no, seq, outcome, code, tuple(columns))


def sorted_on_disk(rows: Iterable[tuple[Any, ...]], key: int) -> Iterator[list[Any]]:
    """Rows of JSON's own values by their first `key` columns; memory does not grow with their number."""
    iterator = iter(rows)
    first: Callable[[Any], Any] = lambda row: row[:key]  # noqa: E731  one for both sorts
    with ExitStack() as files:
        runs: list[Iterator[list[Any]]] = []
        while run := [list(row) for row in islice(iterator, ROWS_A_RUN)]:
            file: IO[str] = files.enter_context(TemporaryFile("w+", encoding="utf-8"))
            file.writelines(json.dumps(row) + "\n" for row in sorted(run, key=first))
            file.seek(0)
            runs.append(json.loads(line) for line in file)
        yield from heapq.merge(*runs, key=first)


def _plain(columns: tuple[Any, ...]) -> tuple[Any, ...]:
    """None of these facts has a text, so that all its columns are JSON's."""
    assert columns[8] is None
    return columns


def _history(known: dict[int, Archive], place: Place) -> History:
    archive = known.get(place.archive_no)
    if archive is None:
        raise ArchiveDamaged(f"there is no archive {place.archive_no}")
    history = archive.file().history(place.order_id)
    if (history.from_no, history.until_no) != place[1:3]:
        text = f"{archive.name} has decisions {history.from_no} to {history.until_no} of it"
        raise ArchiveDamaged(f"{text}, not {place.from_no} to {place.until_no}")
    return history


def trouble(damaged: ArchiveDamaged) -> ArchiveTrouble:
    """The same for who asked for just that."""
    return ArchiveTrouble(
        f"facts cannot be read from their archive: {damaged}; docs/runbook.md, `archive not readable`"
    )


class Counts(NamedTuple):
    """What the database says of one file's orders."""

    orders: int  # in files now
    restored: int
    left: int  # facts


_COUNTS: Final = """
SELECT r.archive_no,
  (SELECT count(*) FROM archived_orders o WHERE o.archive_no = r.archive_no),
  (SELECT count(*) FROM restorals o WHERE o.archive_no = r.archive_no),
  (SELECT coalesce(sum(facts), 0)::bigint FROM archived_counts o WHERE o.archive_no = r.archive_no)
FROM archives r
"""


def counts(connection: Snapshot) -> dict[int, Counts]:
    """By archive."""
    by_no: defaultdict[int, Counts] = defaultdict(lambda: Counts(0, 0, 0))
    by_no.update({no: Counts(*rest) for no, *rest in fetch(connection, _COUNTS)})
    return by_no


_ENDS: Final = """
SELECT order_id, decision_no, chain_head FROM escrows WHERE order_id = ANY(%(order_ids)b::text[])
"""


def ends(connection: Snapshot, order_ids: Iterable[str]) -> dict[str, tuple[int, bytes]]:
    """The last decision of each of these orders, and the chain's head after it, as the rows say."""
    rows = fetch(connection, _ENDS, order_ids=list(order_ids))
    return {order_id: (no, head) for order_id, no, head in rows}


def wrong_archives(connection: Snapshot) -> list[tuple[str, str]]:
    """Files that are missing or of another size or content, and orders that a file should have."""
    wrong = []
    counted = counts(connection)
    for archive in archives(connection):
        there = counted[archive.no]
        if there.orders + there.restored != archive.orders:
            text = f"{archive.orders} orders in it, {there.orders} kept there and"
            wrong.append((archive.name, f"{text} {there.restored} restored"))
        try:
            file = archive.file()
            file.check_size()
            made = file.manifest
            if made[1:4] != archive[4:7]:
                wrong.append((archive.name, "its figures are not those of its manifest"))
        except ArchiveDamaged as damaged:
            wrong.append((archive.name, str(damaged)))
    return wrong
