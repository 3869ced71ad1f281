"""A restored database sends only after its relay has read what the command topics hold.

What is there and was forgotten is a promise. Decided again with an equal body it counts as sent; with
another body, or where an order would now say something else, the relay halts: a person decides.
"""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import structlog

from consumers.engine.config import Settings
from consumers.engine.log_reading import read_log
from consumers.engine.processing import Halt
from schemas.commands import COMMAND_TOPIC, COMMAND_TYPE
from schemas.door import Record
from schemas.order_events import SOURCE
from storage import lineage
from storage.engine import Connection, Engine
from storage.lineage import Lineage, OtherBody, Told
from storage.relaying import Unsent

MARGIN_MS: Final = 3_600_000  # before the last mark: what was acknowledged and not marked yet
_COMMANDS: Final = frozenset(COMMAND_TYPE.values())

log = structlog.get_logger()


class Split(NamedTuple):
    """What is to be sent, and what was sent in an earlier life."""

    send: list[Unsent]
    kept: list[Unsent]


class Promises:
    """What an earlier life has told gateways and this one has not decided yet."""

    def __init__(self, by_order: dict[str, dict[str, bytes]] | None = None) -> None:
        self._open = by_order or {}

    def __len__(self) -> int:
        return sum(map(len, self._open.values()))

    def split(self, rows: list[Unsent]) -> Split:
        """Those to send, those that were sent. Raises Halt before anything contradicts a promise."""
        if not self._open:
            return Split(rows, [])
        kept = [row for row in rows if row.type in _COMMANDS and self._is_kept(row)]
        ids = {row.id for row in kept}
        return Split([row for row in rows if row.id not in ids], kept)

    def _is_kept(self, row: Unsent) -> bool:
        promised = self._open.get(row.key)
        if promised is None:
            return False
        digest = promised.pop(row.sent_id, None)
        if digest is None:
            told = ", ".join(sorted(promised))
            raise Halt(
                f"order {row.key}: {row.sent_id} would be sent, but gateways were told {told} before"
                " the database was restored. Nothing was sent. See docs/runbook.md,"
                " `after a restore`."
            )
        if digest != _digest(row.payload.encode()):
            raise Halt(
                f"{row.sent_id} of order {row.key} was sent with another body before the database"
                " was restored. Nothing was sent. See docs/runbook.md, `after a restore`."
            )
        if not promised:
            del self._open[row.key]
        return True


def confirmed(engine: Engine, settings: Settings, *, restored: bool = False) -> Promises:
    """What must not be sent again, as far as it is not decided yet.

    Reads the command topics if the database's life is another one, or if told that it was
    `restored`. Raises Halt, KafkaUnavailable.
    """
    with engine.connect() as connection:
        with connection.begin():
            now, before = lineage.here(connection), lineage.last(connection)
            sent_at = lineage.last_sent_at(connection)
        if before != now or restored:
            _begin(connection, settings, before, now, sent_at)
        with connection.begin():
            return Promises(lineage.open_promises(connection))


def _begin(
    connection: Connection,
    settings: Settings,
    before: Lineage | None,
    now: Lineage,
    sent_at: int | None,
) -> None:
    """The topics are read with no transaction open; what is found is filed in one, once."""
    found: dict[str, Told] = {}
    if before is not None:
        log.warning("the database has another life", before=before, now=now)
        found = {told.sent_id: told for told in _told(settings, sent_at)}
    with connection.begin():
        if lineage.last_alone(connection) != before:
            return  # another relay has been faster
        try:
            result = lineage.compare(connection, found)
        except OtherBody as other:
            raise Halt(
                f"{other} was sent with another body before the database was restored. Nothing was"
                " sent. See docs/runbook.md, `after a restore`."
            ) from None
        lineage.begin(connection, now, result)
    if before is not None:
        log.warning("compared with the command topics", **result._asdict())


def _told(settings: Settings, sent_at: int | None) -> Iterator[Told]:
    """All commands on the topics that may be younger than the restore point.

    By the broker's clock that is known; where producers set timestamps, it is everything.
    """
    by_broker = settings.timestamp_type == "LogAppendTime" and sent_at is not None
    since = sent_at - MARGIN_MS if by_broker and sent_at is not None else 0
    for topic in COMMAND_TOPIC.values():
        for records in read_log(settings, topic):
            yield from _commands([record for record in records if record.timestamp_ms >= since])


def _commands(records: Sequence[Record]) -> Iterator[Told]:
    for record in records:
        sent = {name: (value or b"").decode() for name, value in record.headers}
        ours = sent.get("ce_source") == SOURCE and sent.get("ce_type") in _COMMANDS
        if ours and record.value is not None:
            data: dict[str, Any] = json.loads(record.value)
            what = (data["order_id"], sent["ce_id"], data["command_id"], data["attempt"])
            yield Told(*what, _digest(record.value))


def _digest(body: bytes) -> bytes:
    return sha256(body).digest()
