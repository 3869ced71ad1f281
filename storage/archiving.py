"""Facts leave the table only after their file was read back, in the commit that says where they are.

Nothing here is read or locked by a stage: orders at rest have no fact that waits, and what comes to
one later has a number of its own. Whoever archives may insert facts (to bring them back), never
delete one: a function of the owner's lets go what `archived_orders` names.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from psycopg import Error as DriverError
from psycopg.types.json import Json
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from escrow.state import SETTLED
from storage.archive_files import History, Manifest
from storage.engine import reading_engine
from storage.facts import FACT_COLUMNS
from storage.reading import DatabaseTrouble, Snapshot, explain_trouble
from storage.rows import copy_rows, execute, fetch
from storage.tables import archived_counts, archived_orders, facts

# Settled for good; nothing of it waits, no command of it is open, no fact of it is younger, and there is one to go.
_AT_REST: Final = """
SELECT e.order_id FROM escrows e
WHERE e.order_id > %(after)b AND e.order_id <= %(until)b
  AND e.status = ANY(%(settled)b::text[]) AND e.parked = 0
  AND NOT EXISTS (SELECT FROM parked p WHERE p.order_id = e.order_id)
  AND NOT EXISTS (SELECT FROM commands c WHERE c.order_id = e.order_id
    AND c.state IN ('PENDING', 'ACCEPTED'))
  AND NOT EXISTS (SELECT FROM facts f WHERE f.order_id = e.order_id AND f.t >= %(before)b)
  AND EXISTS (SELECT FROM facts f WHERE f.order_id = e.order_id AND f.text_digest IS NULL)
ORDER BY e.order_id
"""
_ONE_AT_A_TIME: Final = "SELECT pg_try_advisory_lock(7_305_002)"
_NOTE: Final = """
INSERT INTO archives (folder, name, manifest_sha256, orders, facts, bytes, t_min, t_max,
  operator_id, reason)
VALUES (%(folder)s, %(name)s, %(digest)s, %(orders)s, %(facts)s, %(bytes)s, %(t_min)s, %(t_max)s,
  %(operator_id)s, %(reason)s)
RETURNING archive_no
"""
_LET_GO: Final = "SELECT let_facts_go(%(archive_no)b)"
_BACK: Final = """
DELETE FROM archived_orders WHERE order_id = %(order_id)b RETURNING archive_no, from_no, until_no
"""
_RESTORED: Final = """
INSERT INTO restorals (order_id, archive_no, operator_id, reason)
VALUES (%(order_id)s, %(archive_no)s, %(operator_id)s, %(reason)s)
"""
_MOVED: Final = "UPDATE archives SET folder = %(folder)s WHERE archive_no = %(archive_no)s"


class NotAsRead(Exception):
    """Rows changed between reading and letting go: nothing was done; the text says what differs."""


class Told(NamedTuple):
    """Who archives or restores, and why."""

    operator_id: str
    reason: str


def at_rest(connection: Snapshot, after: str, until: str, before: int) -> list[str]:
    """Orders in (after, until] that nobody waits for, and whose facts are all older than `before`."""
    parameters = {"after": after, "until": until, "before": before, "settled": list(SETTLED)}
    return [row[0] for row in fetch(connection, _AT_REST, **parameters)]


class Archivist:
    """The one who archives: a second one at the same time is refused."""

    def __init__(self, url: str) -> None:
        """Raises DatabaseTrouble."""
        self._engine = reading_engine(url, name="escrow-archive")
        with _in_plain_words():
            self._turn = self._engine.connect()
            with self._turn.begin():
                ((mine,),) = fetch(self._turn, _ONE_AT_A_TIME)
        if not mine:
            self.close()
            raise DatabaseTrouble("somebody else is archiving, restoring or moving files now")

    def close(self) -> None:
        self._turn.invalidate()  # the lock belongs to the session
        self._turn.close()
        self._engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction, committed at its end. Raises DatabaseTrouble."""
        with _in_plain_words(), self._engine.begin() as connection:
            execute(connection, "SET LOCAL lock_timeout = 5000")
            yield connection


def let_go(
    connection: Connection,
    folder: str,
    manifest: Manifest,
    histories: Sequence[History],
    told: Told,
) -> int:
    """Note the file and let its facts go, in the caller's transaction; returns how many went.

    Raises NotAsRead unless just those rows were there.
    """
    ((archive_no,),) = fetch(
        connection,
        _NOTE,
        folder=folder,
        name=manifest.name,
        digest=manifest.digest,
        orders=manifest.orders,
        facts=manifest.facts,
        bytes=manifest.size_bytes,
        t_min=manifest.t_min,
        t_max=manifest.t_max,
        **told._asdict(),
    )
    rows = [(*history[:3], archive_no) for history in histories]
    columns = ("order_id", "from_no", "until_no", "archive_no")
    copy_rows(connection, archived_orders, columns, rows)
    left = _count(connection, archive_no, histories, 1)
    ((gone,),) = fetch(connection, _LET_GO, archive_no=archive_no)
    if gone != left:
        raise NotAsRead(f"{left} facts were to leave for {manifest.name}, {gone} would have")
    return left


def bring_back(
    connection: Connection, order_id: str, histories: Sequence[History], told: Told
) -> int:
    """All facts of an order into the table again, in the caller's transaction; returns how many.

    Raises NotAsRead unless these are the runs that are in files.
    """
    runs = {row[1:]: row[0] for row in fetch(connection, _BACK, order_id=order_id)}
    if runs.keys() != {history[1:3] for history in histories}:
        raise NotAsRead(f"what is archived of order {order_id} is not what was read")
    back = 0
    for history in histories:
        archive_no = runs[history[1:3]]
        back += -_count(connection, archive_no, [history], -1)
        columns = ("decision_no", "seq", "outcome", "code", *FACT_COLUMNS)
        rows = [
            (*fact[:4], *fact.columns[:9], _json(fact.columns[9]))
            for fact in history.facts
            if not fact.has_text
        ]
        copy_rows(connection, facts, columns, rows)
        execute(connection, _RESTORED, order_id=order_id, archive_no=archive_no, **told._asdict())
    return back


def moved(connection: Connection, archive_no: int, folder: str) -> None:
    """From now on this file is looked for in another folder."""
    execute(connection, _MOVED, archive_no=archive_no, folder=folder)


def _count(connection: Connection, archive_no: int, histories: Sequence[History], sign: int) -> int:
    kinds = Counter(
        (fact.type, fact.columns[5], fact.outcome)
        for history in histories
        for fact in history.facts
        if not fact.has_text
    )
    rows = [(archive_no, *kind, sign * number) for kind, number in sorted(kinds.items())]
    columns = ("archive_no", "type", "partition", "outcome", "facts")
    copy_rows(connection, archived_counts, columns, rows)
    return sign * kinds.total()


def _json(attributes: object) -> Json | None:
    return None if attributes is None else Json(attributes)


@contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, DriverError) as error:
        raise DatabaseTrouble(explain_trouble(error)) from None
