"""One row a partition and batch: with it, that each record had exactly one outcome can be shown."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import Connection

from storage.rows import copy_rows
from storage.tables import batches

_COLUMNS: Final = (
    "stage",
    "topic",
    "partition",
    "epoch",
    "first_offset",
    "next_offset",
    "applied",
    "refused",
    "parked",
    "duplicate",
    "dead_letter",
)


class BatchRow(NamedTuple):
    """What became of the records of one partition in one batch."""

    stage: str
    topic: str
    partition: int
    epoch: int
    first_offset: int
    next_offset: int
    applied: int
    refused: int
    parked: int
    duplicate: int
    dead_letter: int


def append(connection: Connection, rows: Iterable[BatchRow]) -> None:
    """Write the batch down, in the transaction that moves the positions."""
    copy_rows(connection, batches, _COLUMNS, rows)
