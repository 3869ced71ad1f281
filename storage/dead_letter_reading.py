"""Dead letters as operators read them: the redacted copy, the place of the original, what was done.

Read-only but for one statement: an action that an operator took is written down, never changed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import Error as DriverError
from sqlalchemy.exc import SQLAlchemyError

from storage.engine import stage_engine
from storage.reading import DatabaseTrouble, Snapshot, explain_trouble
from storage.rows import execute, fetch


class LetterRow(NamedTuple):
    """One dead letter, and how often it was replayed."""

    cluster_id: str
    topic: str
    partition: int
    offset: int
    stage: str
    code: str
    detail: str
    order_id: str | None
    type: str | None
    source: str | None
    id: str | None
    t: int  # ms UTC, the record's
    key: str | None
    headers: dict[str, str]
    value: bytes | None
    value_bytes: int | None
    value_sha256: bytes | None
    cut: bool
    redacted: bool
    at: datetime
    replays: int


class ActionRow(NamedTuple):
    """What an operator did about a dead letter."""

    action: str
    operator_id: str
    reason: str
    new_id: str | None
    at: datetime


_COLUMNS: Final = ", ".join(f'd."{name}"' for name in LetterRow._fields[:-1])
_SAME_PLACE: Final = (
    "a.cluster_id = d.cluster_id AND a.topic = d.topic AND a.partition = d.partition"
    ' AND a."offset" = d."offset"'
)
# replays that were sent: a failed one is written down as a second action
_COUNTED: Final = """
coalesce(sum(CASE a.action WHEN 'replay_failed' THEN -1 WHEN 'discarded' THEN 0 ELSE 1 END), 0)::int
"""
_REPLAYS: Final = f"(SELECT {_COUNTED} FROM dead_letter_actions a WHERE {_SAME_PLACE})"  # noqa: S608  our own names
_DISCARDED: Final = f"""EXISTS (
SELECT FROM dead_letter_actions a WHERE {_SAME_PLACE} AND a.action = 'discarded')"""
_SELECT: Final = f"""
SELECT {_COLUMNS}, {_REPLAYS} FROM dead_letters d
"""  # noqa: S608  our own names
_LIST: Final = f"""
{_SELECT}
WHERE (%(code)b::text IS NULL OR d.code = %(code)b)
  AND (%(order_id)b::text IS NULL OR d.order_id = %(order_id)b)
  AND (%(topic)b::text IS NULL OR d.topic = %(topic)b)
  AND (NOT %(open_only)b OR ({_REPLAYS} = 0 AND NOT {_DISCARDED}))
ORDER BY d.at {{direction}}, d.topic, d.partition, d."offset" LIMIT %(limit)b
"""
_ONE: Final = f"""
{_SELECT} WHERE d.topic = %(topic)b AND d.partition = %(partition)b AND d."offset" = %(offset)b
ORDER BY d.at DESC
"""
_ACTIONS: Final = """
SELECT action, operator_id, reason, new_id, at FROM dead_letter_actions
WHERE cluster_id = %(cluster_id)b AND topic = %(topic)b AND partition = %(partition)b
  AND "offset" = %(offset)b ORDER BY action_no
"""
# The same bytes under the same key: what a replay of one letter made another letter of.
_TRIES: Final = f"""
SELECT d.topic, d.key, d.value_sha256, {_COUNTED}
FROM dead_letter_actions a JOIN dead_letters d ON {_SAME_PLACE}
WHERE d.value_sha256 = ANY(%(digests)b::bytea[]) GROUP BY 1, 2, 3
"""  # noqa: S608  our own names
_RECORD: Final = """
INSERT INTO dead_letter_actions
  (cluster_id, topic, partition, "offset", action, operator_id, reason, new_id)
VALUES (%(cluster_id)s, %(topic)s, %(partition)s, %(offset)s, %(action)s, %(operator_id)s,
  %(reason)s, %(new_id)s)
"""


def letters(
    connection: Snapshot,
    *,
    limit: int,
    code: str | None = None,
    order_id: str | None = None,
    topic: str | None = None,
    open_only: bool = False,
    oldest_first: bool = False,
) -> list[LetterRow]:
    """The newest dead letters, or the oldest; `open_only`: nobody has replayed or discarded them."""
    rows = fetch(
        connection,
        _LIST.format(direction="ASC" if oldest_first else "DESC"),
        limit=limit,
        code=code,
        order_id=order_id,
        topic=topic,
        open_only=open_only,
    )
    return [LetterRow(*row) for row in rows]


def letter_at(connection: Snapshot, topic: str, partition: int, offset: int) -> LetterRow | None:
    """The dead letter of this record; of several clusters' the newest."""
    rows = fetch(connection, _ONE, topic=topic, partition=partition, offset=offset)
    return LetterRow(*rows[0]) if rows else None


def actions_on(connection: Snapshot, letter: LetterRow) -> list[ActionRow]:
    """What operators did about it, oldest first."""
    rows = fetch(
        connection,
        _ACTIONS,
        cluster_id=letter.cluster_id,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
    )
    return [ActionRow(*row) for row in rows]


def tries(connection: Snapshot, letters: Sequence[LetterRow]) -> list[int]:
    """How often the bytes of each of these letters were replayed so far, from whatever place."""
    digests = list({letter.value_sha256 for letter in letters if letter.value_sha256 is not None})
    counts = {tuple(row[:3]): row[3] for row in fetch(connection, _TRIES, digests=digests)}
    return [counts.get((row.topic, row.key, row.value_sha256), 0) for row in letters]


def record_action(
    url: str,
    letter: LetterRow,
    *,
    action: str,
    operator_id: str,
    reason: str,
    new_id: str | None = None,
) -> None:
    """Write down what an operator is about to do. Raises DatabaseTrouble."""
    values: dict[str, Any] = {
        "cluster_id": letter.cluster_id,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "action": action,
        "operator_id": operator_id,
        "reason": reason,
        "new_id": new_id,
    }
    engine = stage_engine(url, name="escrow-operator")
    try:
        with engine.begin() as connection:
            execute(connection, _RECORD, **values)
    except (SQLAlchemyError, DriverError) as error:
        raise DatabaseTrouble(explain_trouble(error)) from None
    finally:
        engine.dispose()
