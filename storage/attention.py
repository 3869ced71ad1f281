"""What waits for a person or a partner: parked facts, silent commands, unsent records, dead letters.

Counted as of an instant given in ms UTC: nothing here reads a clock.
"""

from typing import Any, Final, NamedTuple

from escrow.policy import policy_at
from storage.positions import decided_until
from storage.reading import Snapshot
from storage.rows import fetch


class Waiting(NamedTuple):
    """How many of one kind wait, and since when the oldest does (ms UTC, None: nothing)."""

    what: str
    number: int
    oldest_at: int | None
    by_wall: bool = False  # its age counts by the wall clock, not by that of the rules
    ages: tuple[int, ...] | None = None  # how many of each of AGES, where that is known
    oldest_order: str | None = None  # whose it is


_HOUR_MS: Final = 3_600_000
# Upper ends of what is counted together, ms: what is older than the last one is the rest.
AGES: Final[dict[str, int | None]] = {
    "under 1 h": _HOUR_MS,
    "1 h to 1 d": 24 * _HOUR_MS,
    "1 d to 10 d": 240 * _HOUR_MS,
    "over 10 d": None,
}


def _ages(since: str) -> str:
    """Columns that count rows by age; `since` is when each began to wait."""
    counts, younger = [], "true"
    for until in AGES.values():
        here = "true" if until is None else f"%(now)b - {since} < {until}"
        counts.append(f"count(*) FILTER (WHERE {here} AND NOT ({younger}))")
        younger = here
    counts[0] = counts[0].replace(" AND NOT (true)", "")
    return f"ARRAY[{', '.join(counts)}]::bigint[]"


_PARKED: Final = f"""
SELECT p.code, count(*), min(f.t), {_ages("f.t")}, (array_agg(order_id ORDER BY f.t, order_id))[1]
FROM parked p JOIN facts f USING (order_id, decision_no)
GROUP BY p.code ORDER BY p.code
"""  # noqa: S608  our own names
_SILENT: Final = f"""
SELECT kind, count(*), min(asked_at), {_ages("asked_at")},
  (array_agg(order_id ORDER BY asked_at, order_id))[1]
FROM commands
WHERE state IN ('PENDING', 'ACCEPTED') AND asked_at <= %(since)b GROUP BY kind ORDER BY kind
"""  # noqa: S608  our own names
_UNSENT: Final = """
SELECT count(*), min(t) FROM outbox WHERE sent_at IS NULL
"""
_LETTERS: Final = """
SELECT d.code, count(*), (extract(epoch FROM min(d.at)) * 1000)::bigint FROM dead_letters d
WHERE 0 = (SELECT coalesce(sum(CASE a.action WHEN 'replay_failed' THEN -1 WHEN 'discarded' THEN 0
    ELSE 1 END), 0)
  FROM dead_letter_actions a WHERE (a.cluster_id, a.topic, a.partition, a."offset")
    = (d.cluster_id, d.topic, d.partition, d."offset"))
  AND NOT EXISTS (SELECT FROM dead_letter_actions a
    WHERE (a.cluster_id, a.topic, a.partition, a."offset")
      = (d.cluster_id, d.topic, d.partition, d."offset") AND a.action = 'discarded')
GROUP BY d.code ORDER BY d.code
"""
# one row a position: the newest batch is the last one of the key
_IDLE: Final = """
SELECT p.stage, p.partition, extract(epoch FROM clock_timestamp() - b.at)::float8
FROM consumer_positions p JOIN LATERAL (
  SELECT at FROM batches b
  WHERE b.stage = p.stage AND b.topic = p.topic AND b.partition = p.partition
  ORDER BY epoch DESC, first_offset DESC LIMIT 1) b ON true
"""
_SKIPPED: Final = """
SELECT count(*), (extract(epoch FROM min(at)) * 1000)::bigint FROM position_moves
WHERE to_offset > from_offset
"""
_HELD_BACK: Final = """
SELECT (SELECT count(*) FROM command_holds) + (SELECT count(*) FROM sending_holds h
  WHERE NOT h.released AND EXISTS (SELECT FROM commands c
    WHERE c.order_id = h.order_id AND c.command_id = h.command_id AND c.state = 'PENDING'))
"""
_PROMISED: Final = "SELECT count(*), min(order_id) FROM promises"
_DEADLINES: Final = """
SELECT count(*), min(due_at) FROM
  (SELECT due_at FROM deadlines UNION ALL SELECT due_at FROM silences) d WHERE due_at <= %(now)b
"""


def waiting(connection: Snapshot, now: int) -> list[Waiting]:
    """All that waits, by kind."""
    found = [fact._replace(what=f"parked: {fact.what}") for fact in parked(connection, now)]
    found += [
        kind._replace(what=f"silent {kind.what} commands") for kind in silent(connection, now)
    ]
    found.append(Waiting("outbox: not sent yet", *unsent(connection)))
    if held := held_back(connection):
        found.append(Waiting("commands held for a person", held, None))
    ((promised, whose),) = fetch(connection, _PROMISED)
    if promised:
        what = "commands sent before a restore, not decided again"
        found.append(Waiting(what, promised, None, oldest_order=whose))
    if (due := overdue(connection, now)).number:
        found.append(due)
    ((count, oldest),) = fetch(connection, _SKIPPED)
    if count:
        found.append(Waiting("positions moved ahead by hand", count, oldest, by_wall=True))
    found += [
        letter._replace(what=f"dead letters: {letter.what}") for letter in letters(connection)
    ]
    return found


def letters(connection: Snapshot) -> list[Waiting]:
    """Dead letters that nobody has replayed, by code."""
    rows = fetch(connection, _LETTERS)
    return [Waiting(code, number, oldest_at, True) for code, number, oldest_at in rows]


def parked(connection: Snapshot, now: int) -> list[Waiting]:
    """Facts that wait for another one, by code."""
    return [_aged(row) for row in fetch(connection, _PARKED, now=now)]


def silent(connection: Snapshot, now: int) -> list[Waiting]:
    """Commands without a final answer for longer than a gateway may take, by kind."""
    since = now - policy_at(now).gateway_patience_ms
    return [_aged(row) for row in fetch(connection, _SILENT, since=since, now=now)]


def held_back(connection: Snapshot) -> int:
    """Commands that must not be sent before a person has looked at them."""
    ((count,),) = fetch(connection, _HELD_BACK)
    return int(count)


def overdue(connection: Snapshot, now: int) -> Waiting:
    """Deadlines that have passed and were not decided yet."""
    ((count, oldest),) = fetch(connection, _DEADLINES, now=now)
    return Waiting("deadlines overdue", count, oldest)


def _aged(row: tuple[Any, ...]) -> Waiting:
    what, number, oldest_at, ages, order_id = row
    return Waiting(what, number, oldest_at, ages=tuple(ages), oldest_order=order_id)


def unsent(connection: Snapshot) -> tuple[int, int | None]:
    """Records in the outbox that are not sent yet, and the timestamp of the oldest, ms UTC."""
    ((count, oldest),) = fetch(connection, _UNSENT)
    return count, oldest


def idle_seconds(connection: Snapshot) -> dict[tuple[str, int], float]:
    """Seconds since the last batch of each stage and partition, by the database's own clock."""
    return {(stage, partition): age for stage, partition, age in fetch(connection, _IDLE)}


def rules_now(connection: Snapshot, wall_ms: int, timestamp_type: str) -> int:
    """The instant by which deadlines are judged, ms UTC (RULES 4.7).

    The wall clock where brokers stamp records; else the largest timestamp decided so far.
    """
    return wall_ms if timestamp_type == "LogAppendTime" else decided_until(connection)
