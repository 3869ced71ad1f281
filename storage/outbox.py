"""What decisions say is written with them, and sent afterwards; nothing is sent that is not here.

Unsent rows are found by a partial index, never by a cursor over ids. Within an order ids follow
decisions, because they are taken while the order is locked; an order lies in one slice.
"""

from collections.abc import Iterable
from typing import Any, Final
from zlib import crc32

from psycopg.types.json import Json
from sqlalchemy import Connection

from escrow.telling import Outgoing
from storage.rows import copy_rows
from storage.tables import outbox

SLICES: Final = 16
_COLUMNS: Final = (
    "slice",
    "topic",
    "key",
    "type",
    "sent_id",
    "t",
    "payload",
    "command_id",
    "attributes",
    "let_go",
)


def slice_of(key: str) -> int:
    """Which relay sends for this key: the same one for all that an order says."""
    return crc32(key.encode()) % SLICES


def append(connection: Connection, messages: Iterable[Outgoing]) -> None:
    """Put these into the outbox, in this order."""
    rows = [_row(message) for message in messages]
    if rows:
        copy_rows(connection, outbox, _COLUMNS, rows)


def _row(message: Outgoing) -> tuple[Any, ...]:
    topic, key, type_name, id_, t, payload, command_id, extensions, may_be_held = message
    attributes = Json(dict(extensions)) if extensions else None
    let_go = False if may_be_held else None
    return slice_of(key), topic, key, type_name, id_, t, payload, command_id, attributes, let_go
