"""Facts of orders at rest go to files: written, read back and proved before any row leaves.

Each file is one commit. Killed anywhere, the rows are still there or the file is: the same command
again goes on. What a killed run leaves behind is a file that no row names.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, NamedTuple

from ops.audit_chunks import ranges
from ops.chain import BrokenChain, heads
from storage import archived, archiving
from storage.archive_files import (
    ArchiveDamaged,
    ArchivedFact,
    ArchiveFile,
    History,
    Manifest,
    left_over,
    read_manifest,
    write,
)
from storage.archived import Archive, ArchiveTrouble
from storage.archiving import Archivist, Told
from storage.dossiers import Dossier, Resolution, StoredFact, read_orders
from storage.reading import DatabaseTrouble, Reader, Snapshots

ORDERS_A_CHUNK: Final = 500
FACTS_A_FILE: Final = 50_000  # held in memory while their file is made
Step = Literal["written", "proved", "noted", "gone"]
Wrong = list[tuple[str, str]]  # a file, or an order in it; what


class Gone(NamedTuple):
    """What a run has moved, or would move."""

    files: int = 0
    orders: int = 0
    facts: int = 0  # in files; those with a text stay in the table as well
    left: int = 0  # rows that left the table
    size_bytes: int = 0


class Verified(NamedTuple):
    """What is wrong with files, and which files no row names."""

    files: int
    orders: int
    facts: int
    wrong: Wrong
    left_over: list[Path]


def archive(
    url: str,
    folder: Path,
    before: int,
    day: str,
    told: Told,
    *,
    facts_a_file: int = FACTS_A_FILE,
    heard: Callable[[Step], None] = lambda _: None,
) -> tuple[Gone, Wrong]:
    """Archive all orders at rest whose facts are older than `before` (ms UTC). `day` names the files.

    Returns with it the orders passed over, since they are not what they must be. Raises
    DatabaseTrouble, OSError or NotAsRead; files that were finished before stay archived.
    """
    gone, passed_over = Gone(), Wrong()
    with closing(Archivist(url)) as archivist, closing(Reader(url)) as reader:
        found = _at_rest(reader.snapshot, before, passed_over)
        for histories in _filefuls(found, facts_a_file):
            manifest = write(folder, day, histories)
            heard("written")
            read_back(folder, manifest, histories)
            heard("proved")
            with archivist.begin() as connection:
                left = archiving.let_go(connection, str(folder), manifest, histories, told)
                heard("noted")
            heard("gone")
            gone = Gone(
                gone.files + 1,
                gone.orders + manifest.orders,
                gone.facts + manifest.facts,
                gone.left + left,
                gone.size_bytes + manifest.size_bytes,
            )
    return gone, passed_over


def to_archive(url: str, before: int) -> tuple[Gone, Wrong]:
    """What `archive` would move. Raises DatabaseTrouble."""
    gone, passed_over = Gone(), Wrong()
    with closing(Reader(url)) as reader:
        for history in _at_rest(reader.snapshot, before, passed_over):
            left = sum(not fact.has_text for fact in history.facts)
            facts = gone.facts + len(history.facts)
            gone = gone._replace(orders=gone.orders + 1, facts=facts, left=gone.left + left)
    return gone, passed_over


def read_back(folder: Path, manifest: Manifest, histories: Iterable[History]) -> None:
    """That the file on the disk holds just these, and that they prove their chains. Raises ArchiveTrouble."""
    expected = {history.order_id: history for history in histories}
    try:
        file = ArchiveFile(folder, read_manifest(folder, manifest.name, manifest.digest))
        file.check_size()
        for history in file.histories():
            if expected.pop(history.order_id, None) != history or not proved(history):
                raise ArchiveDamaged(f"{manifest.name} was not read back as it was written")
        if expected:
            raise ArchiveDamaged(f"{manifest.name} was not read back whole")
    except ArchiveDamaged as damaged:
        raise ArchiveTrouble(f"{damaged}; nothing has left the database") from None


def proved(history: History) -> bool:
    """True if its facts and resolutions make its chain, from the head before to the head after."""
    facts = [StoredFact(*fact[:4], None, None, fact.columns) for fact in history.facts]
    resolutions = [Resolution(*resolution) for resolution in history.resolutions]
    alone = Dossier(history.order_id, facts=facts, resolutions=resolutions)
    try:
        links = list(heads(alone, history.before))
    except BrokenChain:
        return False
    numbers = list(range(history.from_no, history.until_no + 1))
    return [no for no, _ in links] == numbers and links[-1][1] == history.head


def restore(url: str, order_id: str, told: Told) -> int:
    """Bring all facts of an order back into the table; returns how many. 0: none is in a file.

    Raises DatabaseTrouble or NotAsRead.
    """
    with closing(Archivist(url)) as archivist, archivist.begin() as connection:
        runs = archived.histories(connection, archived.OF_ORDERS, {"order_ids": [order_id]})
        if not runs:
            return 0
        found = runs[order_id]
        if isinstance(found, ArchiveDamaged):
            raise archived.trouble(found)
        return archiving.bring_back(connection, order_id, found, told)


def move(url: str, to: Path) -> int:
    """Look for all files in this folder from now on: each is there, and the one that was written.

    Returns how many. Raises DatabaseTrouble; then nothing has changed.
    """
    with closing(Archivist(url)) as archivist, archivist.begin() as connection:
        files = archived.archives(connection)
        for one in files:
            wrong = [text for _, text in _wrong_in(one._replace(folder=str(to)))[2]]
            if wrong:
                raise ArchiveTrouble(f"{wrong[0]}; nothing was changed")
            archiving.moved(connection, one.no, str(to))
        return len(files)


def verify(url: str, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Verified:
    """Read every file whole: digests, chains, and what the database says of them. Raises DatabaseTrouble."""
    orders, facts, wrong = 0, 0, Wrong()
    with closing(Reader(url)) as reader:
        with reader.snapshot() as connection:
            files = archived.archives(connection)
            wrong += archived.wrong_archives(connection)
        for done, one in enumerate(files):
            progress(done, len(files))
            there, inside, found = _wrong_in(one)
            orders, facts = orders + there, facts + inside
            wrong += [each for each in found if each not in wrong] or _apart(reader.snapshot, one)
    folders = {one.folder for one in files}
    extra = [
        path
        for folder in sorted(folders)
        for path in left_over(Path(folder), (one.name for one in files if one.folder == folder))
    ]
    return Verified(len(files), orders, facts, wrong, extra)


def _wrong_in(one: Archive) -> tuple[int, int, Wrong]:
    """Orders and facts in a file, and what is wrong with it by itself."""
    orders = facts = 0
    wrong = Wrong()
    try:
        folder = Path(one.folder)
        file = ArchiveFile(folder, read_manifest(folder, one.name, one.digest))
        file.check_size()
        for history in file.histories():
            orders += 1
            facts += len(history.facts)
            if not proved(history):
                wrong.append((history.order_id, f"{one.name} does not prove its chain"))
    except ArchiveDamaged as damaged:
        wrong.append((one.name, str(damaged)))
    return orders, facts, wrong


def _apart(take: Snapshots, one: Archive) -> Wrong:
    """Where a good file and the database say different things."""
    wrong = Wrong()
    try:
        with take() as connection:
            kept = list(archived.present(connection, one))
            left = sum(not fact.has_text for history in kept for fact in history.facts)
            counted = archived.counts(connection)[one.no].left
            ends = archived.ends(connection, [history.order_id for history in kept])
    except ArchiveTrouble as trouble:
        return [(one.name, str(trouble))]
    if left != counted:
        wrong.append((one.name, f"{left} facts have left for it, the database says {counted}"))
    for history in kept:
        no, head = ends.get(history.order_id, (0, b""))
        if no < history.until_no or (no == history.until_no and head != history.head):
            text = f"{one.name} ends at another head than the order's row"
            wrong.append((history.order_id, text))
    return wrong


def _filefuls(histories: Iterable[History], facts_max: int) -> Iterator[list[History]]:
    some, facts = list[History](), 0
    for history in histories:
        some.append(history)
        facts += len(history.facts)
        if facts >= facts_max:
            yield some
            some, facts = [], 0
    if some:
        yield some


def _at_rest(take: Snapshots, before: int, passed_over: Wrong) -> Iterator[History]:
    """What is to go, order by order; each chunk is read in one short snapshot."""
    for after, until in ranges(take, ORDERS_A_CHUNK):
        with take() as connection:
            ids = archiving.at_rest(connection, after, until, before)
            dossiers = read_orders(connection, ids) if ids else {}
        for order_id in ids:
            try:
                yield _history(dossiers[order_id])
            except (ArchiveDamaged, BrokenChain) as why:
                passed_over.append((order_id, str(why)))


def _history(dossier: Dossier) -> History:
    """All decisions that are not in a file yet. Raises ArchiveDamaged or BrokenChain where it is not whole."""
    if dossier.lost is not None:
        raise ArchiveDamaged(dossier.lost)
    row = dossier.row
    links = dict(heads(dossier))
    if row is None or list(links) != list(range(1, row.decision_no + 1)):
        raise BrokenChain("decisions are missing")
    done = dossier.archived_until
    if links[row.decision_no] != row.chain_head or links.get(done, b"") != dossier.archived_head:
        raise BrokenChain("its chain does not end at its head")
    facts = tuple(
        ArchivedFact(*stored[:4], stored.columns) for stored in dossier.facts if stored.no > done
    )
    resolutions = tuple(
        (made.no, made.parked_no, made.outcome, made.code)
        for made in dossier.resolutions
        if made.no > done
    )
    between = (dossier.archived_head, row.chain_head)
    return History(dossier.order_id, done + 1, row.decision_no, *between, facts, resolutions)


__all__ = ["DatabaseTrouble", "Told", "archive", "move", "restore", "to_archive", "verify"]
