"""Which life of the database this is, and what an earlier life has promised to gateways.

A restored database has forgotten what was sent after its restore point. What the command topics hold
of that is a promise: it is never sent again, and nothing else is sent in its place.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from storage.rows import copy_rows, execute, fetch
from storage.tables import promises

LOCK_KEY: Final = 0x6C696E65  # "line"
COMMANDS_A_LOOK: Final = 20_000


class Lineage(NamedTuple):
    """PostgreSQL's own identity of a cluster and of its history; a recovery starts a new timeline."""

    system_id: str
    timeline: int


class Told(NamedTuple):
    """A command as a command topic holds it."""

    order_id: str
    sent_id: str
    command_id: str
    attempt: int
    digest: bytes  # SHA-256 of its body


class Sorted(NamedTuple):
    """What became of the records found: known, marked as sent now, or promised."""

    known: int
    marked: int
    promised: int


class OtherBody(Exception):
    """A record to be sent is on the topic already, with another body; the text names it."""


_HERE: Final = """
SELECT system_identifier::text,
  ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8
FROM pg_control_system()
"""
_LAST: Final = "SELECT system_id, timeline FROM lineages ORDER BY life DESC LIMIT 1"
_ALONE: Final = "SELECT pg_advisory_xact_lock(%(key)b::int8)"
_NOTE: Final = """
INSERT INTO lineages (system_id, timeline, known, marked, promised)
VALUES (%(system_id)s, %(timeline)s, %(known)s, %(marked)s, %(promised)s)
"""
_LAST_SENT: Final = "SELECT (extract(epoch FROM max(sent_at)) * 1000)::int8 FROM outbox"
_UNSENT: Final = """
SELECT sent_id, id, sha256(convert_to(payload, 'UTF8')) FROM outbox
WHERE sent_at IS NULL AND command_id IS NOT NULL
"""
_DECIDED: Final = """
SELECT s.sent_id FROM unnest(%(order_ids)b::text[], %(command_ids)b::text[], %(attempts)b::int4[],
  %(sent_ids)b::text[]) AS s(order_id, command_id, attempt, sent_id)
JOIN commands c ON c.order_id = s.order_id AND c.command_id = s.command_id
  AND c.attempt >= s.attempt
"""
_MARK: Final = "UPDATE outbox SET sent_at = now() WHERE id = ANY(%(ids)b::int8[])"
_OPEN: Final = "SELECT order_id, sent_id, digest FROM promises"
_KEPT: Final = """
DELETE FROM promises p USING unnest(%(order_ids)b::text[], %(sent_ids)b::text[])
  AS s(order_id, sent_id)
WHERE p.order_id = s.order_id AND p.sent_id = s.sent_id
"""


def here(connection: Connection) -> Lineage:
    """What PostgreSQL says of itself now."""
    return Lineage(*fetch(connection, _HERE)[0])


def last(connection: Connection) -> Lineage | None:
    """The life that a relay has last sent in; None: no relay has ever started."""
    rows = fetch(connection, _LAST)
    return Lineage(*rows[0]) if rows else None


def last_alone(connection: Connection) -> Lineage | None:
    """The same, and nobody else begins a life before the transaction's end."""
    fetch(connection, _ALONE, key=LOCK_KEY)
    return last(connection)


def last_sent_at(connection: Connection) -> int | None:
    """When the last record was marked as sent, ms UTC, by the database's clock."""
    sent_at: int | None = fetch(connection, _LAST_SENT)[0][0]
    return sent_at


def begin(connection: Connection, lineage: Lineage, found: Sorted) -> None:
    """From now on this is the database's life."""
    execute(connection, _NOTE, **lineage._asdict(), **found._asdict())


def compare(connection: Connection, found: Mapping[str, Told]) -> Sorted:
    """File what the topics hold (sent id → command), in one transaction. Raises OtherBody.

    Nothing else may send meanwhile; stages may work on: the unsent rows and the decided commands
    are read first, so what they add later meets its promise.
    """
    unsent = {sent_id: (id_, digest) for sent_id, id_, digest in fetch(connection, _UNSENT)}
    waiting = [told for told in found.values() if told.sent_id in unsent]
    for told in waiting:
        if unsent[told.sent_id][1] != told.digest:
            raise OtherBody(told.sent_id)
    rest = [told for told in found.values() if told.sent_id not in unsent]
    decided = _decided(connection, rest)
    promised = [told for told in rest if told.sent_id not in decided]
    execute(connection, _MARK, ids=[unsent[told.sent_id][0] for told in waiting])
    there = {(order_id, sent_id) for order_id, sent_id, _ in fetch(connection, _OPEN)}
    new = sorted({(t.order_id, t.sent_id, t.digest) for t in promised}, key=_key)
    new = [row for row in new if row[:2] not in there]
    copy_rows(connection, promises, ("order_id", "sent_id", "digest"), new)
    return Sorted(len(decided), len(waiting), len(new))


def open_promises(connection: Connection) -> dict[str, dict[str, bytes]]:
    """Order id → sent id → digest of what was promised and is not decided again yet."""
    found: dict[str, dict[str, bytes]] = {}
    for order_id, sent_id, digest in fetch(connection, _OPEN):
        found.setdefault(order_id, {})[sent_id] = digest
    return found


def keep(connection: Connection, kept: Collection[tuple[str, str]]) -> None:
    """These (order id, sent id) were decided again as they were promised."""
    order_ids, sent_ids = zip(*kept, strict=True)
    execute(connection, _KEPT, order_ids=list(order_ids), sent_ids=list(sent_ids))


def _decided(connection: Connection, told: Sequence[Told]) -> set[str]:
    found: set[str] = set()
    for begin_at in range(0, len(told), COMMANDS_A_LOOK):
        part = told[begin_at : begin_at + COMMANDS_A_LOOK]
        rows = fetch(
            connection,
            _DECIDED,
            order_ids=[one.order_id for one in part],
            command_ids=[one.command_id for one in part],
            attempts=[one.attempt for one in part],
            sent_ids=[one.sent_id for one in part],
        )
        found.update(row[0] for row in rows)
    return found


def _key(row: Iterable[object]) -> tuple[str, ...]:
    return tuple(str(part) for part in row)
