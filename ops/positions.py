"""Where stages go on reading, and an operator's way to move that; a move is kept, with who and why.

A position is never put where the log has no record to read next: neither before its beginning nor
beyond its end.
"""

from typing import NamedTuple

from consumers.engine import admin
from consumers.engine.config import Settings
from consumers.stages import STAGES
from storage import positions
from storage.positions import Move, MoveRow
from storage.reading import change, snapshot


class CannotMove(Exception):
    """The position cannot be put there; the text says why."""


class Standing(NamedTuple):
    """One stage in one partition; `epoch` and `next_offset` are None where it has never read."""

    stage: str
    topic: str
    partition: int
    epoch: int | None
    next_offset: int | None
    cluster_id: str | None
    log_begin: int | None  # None: the partition does not exist (any more)
    log_end: int | None

    @property
    def trouble(self) -> str | None:
        """Why the stage would halt here, apart from what only reading can show."""
        if self.log_begin is None or self.log_end is None:
            return "no such partition"
        if self.next_offset is None:
            return None
        if self.next_offset > self.log_end:
            return "the log is shorter"
        return "retention passed us" if self.next_offset < self.log_begin else None


class Standings(NamedTuple):
    """All positions asked for, the cluster that answered, and the last moves."""

    cluster_id: str
    standings: list[Standing]
    moves: list[MoveRow]


def standings(settings: Settings, stages: list[str]) -> Standings:
    """Positions of these stages beside the logs. Raises DatabaseTrouble or KafkaUnavailable."""
    with snapshot(settings.database.connection_url) as connection:
        rows = {
            (stage, row.topic, row.partition): row
            for stage in stages
            for row in positions.read(connection, stage)
        }
        moves = [move for stage in stages for move in positions.moves(connection, stage)]
    spans = admin.spans(settings, [STAGES[stage].topic for stage in stages])
    there = {
        (stage, *where) for stage in stages for where in spans if where[0] == STAGES[stage].topic
    }
    found = []
    for key in sorted(there | rows.keys()):
        row, span = rows.get(key), spans.get(key[1:])
        found.append(
            Standing(
                *key,
                row and row.epoch,
                row and row.next_offset,
                row and row.cluster_id,
                span and span.begin,
                span and span.end,
            )
        )
    return Standings(admin.cluster_id(settings), found, moves)


def check_move(standing: Standing | None, offset: int) -> None:
    """Raises CannotMove unless the log can be read from this offset on."""
    if standing is None or standing.log_begin is None or standing.log_end is None:
        raise CannotMove("the stage's topic has no such partition")
    if not standing.log_begin <= offset <= standing.log_end:
        span = f"{standing.log_begin} to {standing.log_end}"
        raise CannotMove(f"the log holds offsets {span}: {offset} is not in it")


def not_drained(settings: Settings, topic: str) -> list[Standing]:
    """Partitions of an input topic that its stage has not read to the end."""
    stages = [name for name, stage in STAGES.items() if stage.topic == topic]
    there = [row for row in standings(settings, stages).standings if row.topic == topic]
    return [row for row in there if row.log_end and (row.next_offset or 0) < row.log_end]


def elsewhere(settings: Settings) -> tuple[str, list[Standing]]:
    """The cluster that is there, and the positions that belong to another one though their partition is here."""
    found = standings(settings, list(STAGES))
    return found.cluster_id, [
        row
        for row in found.standings
        if row.cluster_id not in (None, found.cluster_id) and row.log_begin is not None
    ]


def begin_anew(settings: Settings, cluster: str, rows: list[Standing], who: str, why: str) -> None:
    """Let these positions begin where their logs begin, all or none. Raises DatabaseTrouble."""
    with change(settings.database.connection_url) as connection:
        for row in rows:
            assert row.log_begin is not None
            place = (row.stage, row.topic, row.partition, cluster, row.log_begin)
            positions.put(connection, Move(*place, who, why))


def move(settings: Settings, wanted: Move) -> None:
    """Put the position there; a running worker of the stage takes it up. Raises DatabaseTrouble."""
    with change(settings.database.connection_url) as connection:
        positions.put(connection, wanted)
