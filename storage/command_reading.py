"""Commands as operators ask for them: by state, age or order, the longest waiting first."""

from typing import Any, Final, NamedTuple

from escrow.state import Command
from storage.reading import Snapshot
from storage.rows import fetch


class ListedCommand(NamedTuple):
    """A command with its order, and whether a record of it still waits to be sent."""

    order_id: str
    hold: str | None
    status_asked_at: int | None  # ms UTC
    unsent: bool
    command: Command


_LIST: Final = f"""
SELECT c.order_id, h.reason, c.status_asked_at,
  EXISTS (SELECT FROM outbox o WHERE o.sent_at IS NULL AND o.command_id = c.command_id),
  {", ".join("c." + name for name in Command._fields)}
FROM commands c LEFT JOIN command_holds h USING (order_id, command_id)
WHERE (%(state)b::text IS NULL OR c.state = %(state)b)
  AND (%(kind)b::text IS NULL OR c.kind = %(kind)b)
  AND (%(order_id)b::text IS NULL OR c.order_id = %(order_id)b)
  AND (%(asked_until)b::bigint IS NULL OR c.asked_at <= %(asked_until)b)
ORDER BY c.asked_at, c.order_id, c.decision_no, c.n LIMIT %(limit)b
"""  # noqa: S608  our own names
_BEGINS: Final = f"""
SELECT c.order_id, h.reason, c.status_asked_at, false,
  {", ".join("c." + name for name in Command._fields)}
FROM commands c LEFT JOIN command_holds h USING (order_id, command_id)
WHERE starts_with(c.command_id, %(begins)b) LIMIT 2
"""  # noqa: S608  our own names


def list_commands(
    connection: Snapshot,
    *,
    limit: int,
    state: str | None = None,
    kind: str | None = None,
    order_id: str | None = None,
    asked_until: int | None = None,
) -> list[ListedCommand]:
    """Commands that fit all that is given; `asked_until`: asked for at or before, ms UTC."""
    rows = fetch(
        connection,
        _LIST,
        limit=limit,
        state=state,
        kind=kind,
        order_id=order_id,
        asked_until=asked_until,
    )
    return [_listed(row) for row in rows]


def find_commands(connection: Snapshot, begins: str) -> list[ListedCommand]:
    """The commands whose ids begin so, whatever their order; two at most."""
    return [_listed(row) for row in fetch(connection, _BEGINS, begins=begins)]


def _listed(row: tuple[Any, ...]) -> ListedCommand:
    order_id, hold, status_asked_at, unsent, *columns = row
    return ListedCommand(order_id, hold, status_asked_at, unsent, Command(*columns))
