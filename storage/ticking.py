"""A deadline has at most one undecided tick at any time; the identities say which were decided.

`ticks` counts the ticks that were decided in vain, so the next attempt is always `ticks + 1`.
`ticked_at` only says that this attempt was sent and has its ack. Decisions delete a row whose
condition they found true or void, in the same commit as the tick's identity; so a row that is
still there although its tick is known must be ticked again (RULES 4.7).
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection

from escrow.policy import POLICIES, policy_at
from escrow.telling import Outgoing
from schemas.commands import COMMAND_TOPIC, CommandStatusRequested
from schemas.deadlines import SILENCES, Kind
from schemas.order_events import sent_id
from storage import outbox
from storage.rows import execute, fetch

LOCK_KEY: Final = 0x7469636B  # "tick"
LOST_AFTER_MS: Final = 3_600_000  # an undecided tick is sent again, under the same id


class Due(NamedTuple):
    """One deadline: all parked facts of an order that expire at the same instant are one."""

    kind: Kind
    order_id: str
    due_at: int  # ms UTC
    request_id: str  # empty but for mediation
    ticks: int  # decided so far; this is attempt `ticks + 1`


class Silent(NamedTuple):
    """A command without a final answer for too long."""

    order_id: str
    command_id: str
    kind: str
    asked_at: int  # ms UTC


_ACTIVE: Final = "SELECT pg_try_advisory_lock(%(key)b::int8)"
_DUE: Final = """
(SELECT 'mediation_available', order_id, due_at, request_id, ticks FROM deadlines
 WHERE ticked_at IS NULL AND due_at <= %(now)b::int8 ORDER BY due_at LIMIT %(rows_max)b)
UNION ALL
(SELECT 'park_limit', order_id, expires_at, '', max(ticks) FROM (
   SELECT order_id, expires_at, ticks FROM parked
   WHERE ticked_at IS NULL AND expires_at <= %(now)b::int8
   ORDER BY expires_at LIMIT %(rows_max)b) p GROUP BY order_id, expires_at)
UNION ALL
(SELECT kind, order_id, due_at, '', ticks FROM silences
 WHERE ticked_at IS NULL AND due_at <= %(now)b::int8 ORDER BY due_at LIMIT %(rows_max)b)
"""
_TICKED: Final = """
(SELECT 'mediation_available', d.order_id, d.due_at, d.request_id, d.ticks
 FROM deadlines d JOIN escrows e ON e.order_id = d.order_id
 WHERE d.ticked_at IS NOT NULL AND e.status IS DISTINCT FROM 'FROZEN'
 ORDER BY d.ticked_at LIMIT %(rows_max)b)
UNION ALL
(SELECT 'park_limit', order_id, expires_at, '', max(ticks) FROM (
   SELECT order_id, expires_at, ticks FROM parked
   WHERE ticked_at IS NOT NULL ORDER BY ticked_at LIMIT %(rows_max)b) p
 GROUP BY order_id, expires_at)
UNION ALL
(SELECT kind, order_id, due_at, '', ticks FROM silences
 WHERE ticked_at IS NOT NULL ORDER BY ticked_at LIMIT %(rows_max)b)
"""
# Rows that a decision is just working on are passed over: they may be gone in a moment, and he who
# never waits is never part of a deadlock.
_LOST_DEADLINES: Final = """
UPDATE deadlines d SET ticked_at = NULL
FROM (SELECT order_id, request_id FROM deadlines WHERE ticked_at <= %(before)b::int8
      ORDER BY order_id, request_id FOR UPDATE SKIP LOCKED) f
WHERE d.order_id = f.order_id AND d.request_id = f.request_id
"""
_LOST_PARKED: Final = """
UPDATE parked p SET ticked_at = NULL
FROM (SELECT order_id, decision_no FROM parked WHERE ticked_at <= %(before)b::int8
      ORDER BY order_id, decision_no FOR UPDATE SKIP LOCKED) f
WHERE p.order_id = f.order_id AND p.decision_no = f.decision_no
"""
_LOST_SILENCES: Final = """
UPDATE silences s SET ticked_at = NULL
FROM (SELECT order_id FROM silences WHERE ticked_at <= %(before)b::int8
      ORDER BY order_id FOR UPDATE SKIP LOCKED) f
WHERE s.order_id = f.order_id
"""
_GIVEN: Final = """
unnest(%(order_ids)b::text[], %(request_ids)b::text[], %(due)b::int8[], %(ticks)b::int4[])
  AS s(order_id, request_id, due_at, ticks)
"""
_SET_DEADLINES: Final = f"""
WITH free AS MATERIALIZED (
  SELECT d.order_id, d.request_id, s.ticks FROM {_GIVEN} JOIN deadlines d
    ON d.order_id = s.order_id AND d.request_id = s.request_id AND d.due_at = s.due_at
  FOR UPDATE OF d SKIP LOCKED)
UPDATE deadlines d SET ticks = f.ticks, ticked_at = %(ticked_at)b::int8 FROM free f
WHERE d.order_id = f.order_id AND d.request_id = f.request_id
"""  # noqa: S608  our own text
_SET_PARKED: Final = f"""
WITH free AS MATERIALIZED (
  SELECT p.order_id, p.decision_no, s.ticks FROM {_GIVEN} JOIN parked p
    ON p.order_id = s.order_id AND p.expires_at = s.due_at
  FOR UPDATE OF p SKIP LOCKED)
UPDATE parked p SET ticks = f.ticks, ticked_at = %(ticked_at)b::int8 FROM free f
WHERE p.order_id = f.order_id AND p.decision_no = f.decision_no
"""  # noqa: S608  our own text
_SET_SILENCES: Final = f"""
WITH free AS MATERIALIZED (
  SELECT q.order_id, s.ticks FROM {_GIVEN} JOIN silences q
    ON q.order_id = s.order_id AND q.due_at = s.due_at
  FOR UPDATE OF q SKIP LOCKED)
UPDATE silences q SET ticks = f.ticks, ticked_at = %(ticked_at)b::int8 FROM free f
WHERE q.order_id = f.order_id
"""  # noqa: S608  our own text
_SILENT: Final = """
UPDATE commands c SET status_asked_at = %(now)b::int8
FROM (SELECT k.order_id, k.command_id FROM commands k
      JOIN escrows e ON e.order_id = k.order_id
      WHERE k.state IN ('PENDING', 'ACCEPTED')
        AND GREATEST(k.asked_at, k.status_asked_at) <= %(before)b::int8
        AND coalesce(e.policy_version, %(current)b::int4) = %(version)b::int4
      ORDER BY GREATEST(k.asked_at, k.status_asked_at) LIMIT %(rows_max)b
      FOR UPDATE OF k SKIP LOCKED) s
WHERE c.order_id = s.order_id AND c.command_id = s.command_id
RETURNING c.order_id, c.command_id, c.kind, c.asked_at
"""
# A clock that was ahead has left marks in the future: from now on they would mean silence.
_NOT_AHEAD: Final = """
UPDATE commands c SET status_asked_at = %(now)b::int8
FROM (SELECT order_id, command_id FROM commands
      WHERE state IN ('PENDING', 'ACCEPTED')
        AND GREATEST(asked_at, status_asked_at) > %(now)b::int8
        AND status_asked_at > %(now)b::int8
      ORDER BY order_id, command_id FOR UPDATE SKIP LOCKED) s
WHERE c.order_id = s.order_id AND c.command_id = s.command_id
"""


def become_active(connection: Connection) -> bool:
    """True if this connection is the one ticker from now on, for as long as it lives.

    A ticker that was frozen loses its connection, and with it the lock, after half a minute.
    """
    execute(connection, "SET idle_session_timeout = 30000")
    return bool(fetch(connection, _ACTIVE, key=LOCK_KEY)[0][0])


def due(connection: Connection, now: int, rows_max: int = 1_000) -> list[Due]:
    """Deadlines that `now` (ms UTC) has reached and that wait for their next tick."""
    return [Due(*row) for row in fetch(connection, _DUE, now=now, rows_max=rows_max)]


def ticked(connection: Connection, rows_max: int = 1_000) -> list[Due]:
    """Deadlines whose tick was sent, and whose row is still there; none of a frozen order.

    One that finds its order frozen is neither true nor void: it waits for the chargeback's end.
    """
    return [Due(*row) for row in fetch(connection, _TICKED, rows_max=rows_max)]


def mark_ticked(connection: Connection, deadlines: Sequence[Due], now: int) -> None:
    """These ticks were sent at `now` and have their ack."""
    _set(connection, deadlines, now)


def tick_again(connection: Connection, deadlines: Sequence[Due]) -> None:
    """These deadlines need another tick; `ticks` counts the ones decided in vain."""
    _set(connection, deadlines, None)


def forget_lost(connection: Connection, now: int) -> int:
    """Ticks that no one has decided for an hour go out again; returns how many."""
    before = now - LOST_AFTER_MS
    return sum(
        execute(connection, sql, before=before)
        for sql in (_LOST_DEADLINES, _LOST_PARKED, _LOST_SILENCES)
    )


def ask_about_silent(connection: Connection, now: int, rows_max: int = 500) -> list[Silent]:
    """Ask the gateways about commands without an answer for too long (RULES 4.6).

    Mark and question are one transaction; each is asked about once in every interval of patience,
    whatever time the clock has shown before.
    """
    execute(connection, _NOT_AHEAD, now=now)
    silent: list[Silent] = []
    for policy in tuple(POLICIES.values()):
        rows = fetch(
            connection,
            _SILENT,
            now=now,
            before=now - policy.gateway_patience_ms,
            current=policy_at(now).version,
            version=policy.version,
            rows_max=rows_max,
        )
        silent.extend(Silent(*row) for row in rows)
    outbox.append(connection, (_question(command, now) for command in sorted(silent)))
    return silent


def _question(command: Silent, now: int) -> Outgoing:
    data = CommandStatusRequested(command_id=command.command_id, order_id=command.order_id)
    type_name = "command.status_requested"
    return Outgoing(
        COMMAND_TOPIC[command.kind],
        command.order_id,
        type_name,
        sent_id(f"{command.order_id}\n{command.command_id}\n{now}", type_name, 0),
        now,
        data.model_dump_json(),
    )


def _set(connection: Connection, deadlines: Sequence[Due], ticked_at: int | None) -> None:
    for sql, rows in _by_table(deadlines):
        execute(
            connection,
            sql,
            order_ids=[row.order_id for row in rows],
            request_ids=[row.request_id for row in rows],
            due=[row.due_at for row in rows],
            ticks=[row.ticks for row in rows],
            ticked_at=ticked_at,
        )


def _by_table(deadlines: Sequence[Due]) -> Iterator[tuple[str, list[Due]]]:
    for kinds, sql in (
        (frozenset({"mediation_available"}), _SET_DEADLINES),
        (frozenset({"park_limit"}), _SET_PARKED),
        (SILENCES, _SET_SILENCES),
    ):
        rows = [row for row in deadlines if row.kind in kinds]
        if rows:
            yield sql, sorted(rows)
