"""A chunk is carried to its commit, or not at all: every database error has its one remedy.

A deadlock or a restart of the database never makes a dead letter; a value that cannot be stored
never takes its neighbours along.
"""

import time
import traceback
from collections import Counter, deque
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Final

import structlog

from consumers.engine import metrics
from consumers.engine.batch import Ending, Fenced, Job, Place, run_batch
from consumers.engine.records import Chunk, Partition
from consumers.engine.trail import new_trail
from storage.engine import Connection, DatabaseError, Remedy, remedy, said
from storage.positions import Position

NOT_STORABLE_MAX: Final = 100  # within the window; more means: it is not the records
NOT_STORABLE_WINDOW_SECONDS: Final = 600
_BACKOFF_SECONDS: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

log = structlog.get_logger()


class Halt(Exception):
    """The stage must stop: going on could lose or double a fact. The text names cause and way out."""


class Unknown(Exception):
    """The connection went; whether the last batch was committed must be looked up."""


class Stopped(Exception):
    """A stop was wanted while a batch waited to be tried again; nothing of it is written."""


class Processor:
    """Carries chunks of one stage through `run_batch` on one connection.

    `positions` are the caller's: moved when a batch is committed, shortened when another worker
    has taken a partition over. `idle` waits, and keeps the worker a member of its group meanwhile.
    """

    def __init__(
        self,
        connection: Connection,
        job: Job,
        positions: MutableMapping[Partition, Position],
        idle: Callable[[float], None],
    ) -> None:
        self._connection = connection
        self._job = job
        self._positions = positions
        self._idle = idle
        self._not_storable: set[Place] = set()
        self._not_storable_at: deque[float] = deque()

    def process(self, chunk: Chunk) -> Counter[Ending]:
        """Decide the chunk, in as many transactions as it takes; what became of its records.

        Raises Unknown when the positions must be read anew, Halt when only a person can help.
        """
        waiting = [chunk]
        tries = 0
        endings: Counter[Ending] = Counter()
        while waiting:
            chunk = waiting.pop()
            gone = chunk.ends.keys() - self._positions.keys()
            if gone:
                chunk = chunk.without(set(gone))
            if not chunk.ends:
                continue
            try:
                endings += self._run(chunk)
                tries = 0
            except Fenced as fenced:
                log.warning("partitions taken over", lost=sorted(fenced.lost))
                for partition in fenced.lost:
                    del self._positions[partition]
                waiting.append(chunk)
            except DatabaseError as error:
                tries += 1
                waiting.extend(self._after(error, chunk, tries))
        return endings

    def _run(self, chunk: Chunk) -> Counter[Ending]:
        began = time.monotonic()
        trail = new_trail(self._job.stage)
        not_storable = frozenset(self._not_storable)
        try:
            endings = run_batch(
                self._connection, self._job, self._positions, chunk, not_storable, trail
            )
        except (Fenced, *DatabaseError):
            raise
        except Exception as error:
            raise Halt(
                f"one of our own checks failed ({_place(error)}): a bug of the pipeline."
                " Nothing of the batch was written. See docs/runbook.md, `a check failed`."
            ) from error
        for partition, end in chunk.ends.items():
            self._positions[partition] = self._positions[partition]._replace(next_offset=end)
        metrics.count(self._job.stage, endings, time.monotonic() - began)
        if trail is not None:
            trail.say()
        self._not_storable.clear()
        return endings

    def _after(self, error: Exception, chunk: Chunk, tries: int) -> list[Chunk]:
        """What to try next, last first, after the database has refused a chunk."""
        asked = remedy(error)
        metrics.RETRIES.labels(self._job.stage, asked.value).inc()
        log.warning("batch refused", remedy=asked.value, error=said(error), tries=tries)
        match asked:
            case Remedy.HALVE | Remedy.BISECT if len(chunk.records) > 1:
                return list(reversed(chunk.halves()))
            case Remedy.RETRY | Remedy.HALVE:
                self._idle(_BACKOFF_SECONDS[min(tries, len(_BACKOFF_SECONDS)) - 1])
                return [chunk]
            case Remedy.BISECT if chunk.records:
                self._set_aside(chunk)
                return [chunk]
            case Remedy.UNKNOWN:
                raise Unknown(said(error)) from error
            case _:
                raise Halt(
                    f"the database refused a batch for a reason that no retry mends: {said(error)}."
                    " Nothing of it was written. See docs/runbook.md, `the database refused a batch`."
                ) from error

    def _set_aside(self, chunk: Chunk) -> None:
        """The one record left is the culprit: it becomes a dead letter `not_storable`."""
        (record,) = chunk.records
        self._not_storable.add((record.topic, record.partition, record.offset))
        now = time.monotonic()
        self._not_storable_at.append(now)
        while now - self._not_storable_at[0] > NOT_STORABLE_WINDOW_SECONDS:
            self._not_storable_at.popleft()
        if len(self._not_storable_at) > NOT_STORABLE_MAX:
            raise Halt(
                f"more than {NOT_STORABLE_MAX} records could not be stored within ten minutes:"
                " the fault is not in the records. See docs/runbook.md, `not storable`."
            )


def _place(error: Exception) -> str:
    """What went wrong and where. Only our own checks' words: others' may hold someone's data."""
    text = f": {error}" if isinstance(error, AssertionError | LookupError) else ""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}{text}, {Path(frame.filename).name}:{frame.lineno}"
