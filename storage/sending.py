"""Commands wait here for a person: paused, held, or over a cap. What is decided never waits.

An operator's instruction takes effect in the commit that takes his record; the newest one counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from schemas.door import Instruction
from schemas.instructions import (
    CommandHeld,
    CommandReleased,
    DeadLetterDiscarded,
    SendingPaused,
    SendingResumed,
)
from storage.grants import Payable
from storage.rows import execute, fetch

_KNOWN: Final = """
SELECT i.source, i.id, i.type, i.payload FROM instructions i
JOIN unnest(%(sources)b::text[], %(ids)b::text[]) AS s(source, id) USING (source, id)
"""
_KEEP: Final = """
INSERT INTO instructions
  (source, id, type, subject, operator_id, note, t, "partition", "offset", payload)
SELECT * FROM unnest(%(sources)b::text[], %(ids)b::text[], %(types)b::text[], %(subjects)b::text[],
  %(operators)b::text[], %(notes)b::text[], %(ts)b::bigint[], %(partitions)b::int[],
  %(offsets)b::bigint[], %(payloads)b::text[])
"""
_PAUSE: Final = """
INSERT INTO sending_pauses (scope, why, by, note, t)
SELECT *  FROM unnest(%(scopes)b::text[], %(whys)b::text[], %(operators)b::text[],
  %(notes)b::text[], %(ts)b::bigint[])
ON CONFLICT (scope) DO UPDATE SET why = excluded.why, by = excluded.by, note = excluded.note,
  t = excluded.t, at = now()
"""
_RESUME: Final = "DELETE FROM sending_pauses WHERE scope = ANY(%(scopes)b::text[])"
_HOLD: Final = """
INSERT INTO sending_holds (order_id, command_id, why, by, note, released)
SELECT * FROM unnest(%(order_ids)b::text[], %(command_ids)b::text[], %(whys)b::text[],
  %(operators)b::text[], %(notes)b::text[], %(released)b::bool[])
ON CONFLICT (order_id, command_id) DO UPDATE SET why = excluded.why, by = excluded.by,
  note = excluded.note, released = excluded.released, at = now()
"""
# what the relay holds by itself never overrules a person
_HOLD_BY_CAP: Final = _HOLD.partition("ON CONFLICT")[0] + "ON CONFLICT DO NOTHING"
_DISCARD: Final = """
INSERT INTO dead_letter_actions
  (cluster_id, topic, "partition", "offset", action, operator_id, reason)
SELECT d.cluster_id, d.topic, d.partition, d."offset", 'discarded', s.operator_id, s.note
FROM unnest(%(topics)b::text[], %(partitions)b::int[], %(offsets)b::bigint[],
  %(operators)b::text[], %(notes)b::text[]) AS s(topic, partition, "offset", operator_id, note)
JOIN dead_letters d ON d.topic = s.topic AND d.partition = s.partition AND d."offset" = s."offset"
"""
_PAUSES: Final = "SELECT scope, why, by, note, t FROM sending_pauses ORDER BY scope"
_HELD: Final = """
SELECT h.order_id, h.command_id, h.why, h.by, h.note, c.kind, c.amount_minor, c.currency, c.state
FROM sending_holds h LEFT JOIN commands c USING (order_id, command_id)
WHERE NOT h.released ORDER BY h.at, h.order_id, h.command_id LIMIT %(limit)b
"""
_WAITING: Final = """
SELECT count(*) FROM sending_holds h WHERE NOT h.released AND EXISTS (SELECT FROM outbox o
  WHERE o.sent_at IS NULL AND o.key = h.order_id AND o.command_id = h.command_id)
"""


class Pause(NamedTuple):
    """Commands of this scope are not sent."""

    scope: str
    why: str  # operator, breaker
    by: str
    note: str
    t: int  # ms UTC, of the record; of the breaker: the wall clock


class Held(NamedTuple):
    """A command that waits for a person; the last four are None where it is not decided yet."""

    order_id: str
    command_id: str
    why: str  # operator, command_cap, supplier_cap
    by: str
    note: str
    kind: str | None
    amount_minor: int | None
    currency: str | None
    state: str | None


def known_instructions(
    connection: Connection, taken: Sequence[Instruction]
) -> dict[tuple[str, str], tuple[str, bytes]]:
    """Identity → type and payload of those that were taken before."""
    rows = fetch(connection, _KNOWN, sources=[i.source for i in taken], ids=[i.id for i in taken])
    return {(source, id_): (type_, payload.encode()) for source, id_, type_, payload in rows}


def carry_out(connection: Connection, taken: Sequence[Instruction]) -> None:
    """Keep new instructions and let them take effect, in this order; of one thing the last counts."""
    execute(
        connection,
        _KEEP,
        sources=[i.source for i in taken],
        ids=[i.id for i in taken],
        types=[i.type for i in taken],
        subjects=[i.data.subject for i in taken],
        operators=[i.data.operator_id for i in taken],
        notes=[i.data.note for i in taken],
        ts=[i.t for i in taken],
        partitions=[i.partition for i in taken],
        offsets=[i.offset for i in taken],
        payloads=[i.payload.decode() for i in taken],
    )
    pauses: dict[str, Instruction | None] = {}
    holds: dict[tuple[str, str], Instruction] = {}
    discarded: list[Instruction] = []
    for said in taken:
        match said.data:
            case SendingPaused():
                pauses[said.data.scope] = said
            case SendingResumed():
                scopes = (
                    ("all", "refund", "payout") if said.data.scope == "all" else (said.data.scope,)
                )
                pauses |= dict.fromkeys(scopes)
            case CommandHeld() | CommandReleased():
                holds[said.data.order_id, said.data.command_id] = said
            case DeadLetterDiscarded():
                discarded.append(said)
    _switch(connection, pauses)
    _hold(connection, holds)
    _discard(connection, discarded)


def _switch(connection: Connection, pauses: Mapping[str, Instruction | None]) -> None:
    if gone := [scope for scope, said in pauses.items() if said is None]:
        execute(connection, _RESUME, scopes=gone)
    if new := {scope: said for scope, said in pauses.items() if said is not None}:
        execute(
            connection,
            _PAUSE,
            scopes=list(new),
            whys=["operator"] * len(new),
            operators=[said.data.operator_id for said in new.values()],
            notes=[said.data.note for said in new.values()],
            ts=[said.t for said in new.values()],
        )


def _hold(connection: Connection, holds: Mapping[tuple[str, str], Instruction]) -> None:
    if holds:
        execute(
            connection,
            _HOLD,
            order_ids=[order_id for order_id, _ in holds],
            command_ids=[command_id for _, command_id in holds],
            whys=["operator"] * len(holds),
            operators=[said.data.operator_id for said in holds.values()],
            notes=[said.data.note for said in holds.values()],
            released=[isinstance(said.data, CommandReleased) for said in holds.values()],
        )


def _discard(connection: Connection, discarded: Iterable[Instruction]) -> None:
    data = [said.data for said in discarded if isinstance(said.data, DeadLetterDiscarded)]
    if data:
        execute(
            connection,
            _DISCARD,
            topics=[letter.topic for letter in data],
            partitions=[letter.partition for letter in data],
            offsets=[letter.offset for letter in data],
            operators=[letter.operator_id for letter in data],
            notes=[letter.note for letter in data],
        )


def hold_by_cap(connection: Connection, stopped: Sequence[tuple[Payable, str, str]]) -> None:
    """Hold these (payable, why, note) for a person."""
    if stopped:
        execute(
            connection,
            _HOLD_BY_CAP,
            order_ids=[one.order_id for one, _, _ in stopped],
            command_ids=[one.command_id for one, _, _ in stopped],
            whys=[why for _, why, _ in stopped],
            operators=["relay"] * len(stopped),
            notes=[note for _, _, note in stopped],
            released=[False] * len(stopped),
        )


def open_breaker(connection: Connection, note: str, t: int) -> None:
    """Nothing more is sent until a person resumes; an operator's own pause stays as it is."""
    values: dict[str, Any] = {"scopes": ["all"], "whys": ["breaker"], "operators": ["relay"]}
    sql = _PAUSE.partition("ON CONFLICT")[0] + "ON CONFLICT DO NOTHING"
    execute(connection, sql, **values, notes=[note], ts=[t])


def pauses(connection: Connection) -> list[Pause]:
    """What is not sent at the moment, and who said so."""
    return [Pause(*row) for row in fetch(connection, _PAUSES)]


def held(connection: Connection, limit: int) -> list[Held]:
    """Commands that wait for a person, those that wait longest first."""
    return [Held(*row) for row in fetch(connection, _HELD, limit=limit)]


def held_back(connection: Connection) -> int:
    """How many commands in the outbox are held so."""
    ((number,),) = fetch(connection, _WAITING)
    return int(number)
