"""Looks at positions, ends, next records and members, again and again; nothing here joins a group or writes.

Positions are read before ends, so that nobody can be ahead of a log.
"""

import time
from collections import deque
from contextlib import closing
from typing import Final

from consumers.engine.asking import Span
from consumers.engine.config import Settings
from consumers.engine.records import Partition
from consumers.engine.watching import KafkaWatch
from consumers.stages import STAGES
from ops.lag import LagReport, Sample, compare
from storage import attention, positions
from storage.reading import Reader
from storage.sending import pauses

RATE_SECONDS: Final = 5.0  # rates are over so long: one long batch is no verdict
MEMBERS_SECONDS: Final = 2.0  # between questions about members: groups change seldom


class LagWatch:
    """Looks again and again, over connections that stay; the first look has no rates."""

    def __init__(self, settings: Settings, rate_seconds: float = RATE_SECONDS) -> None:
        """Raises DatabaseTrouble where the database's URL is not one."""
        self._settings = settings
        self._rate_seconds = rate_seconds
        self._reader = Reader(settings.database.connection_url, name="escrow-lag")
        self._kafka = KafkaWatch(settings)
        self._samples: deque[Sample] = deque()
        self._members: dict[str, int] = {}
        self._members_at = float("-inf")

    def look(self) -> LagReport:
        """The lag now, rates since `rate_seconds` ago. Raises DatabaseTrouble or KafkaUnavailable."""
        new = self.sample()
        self._samples.append(new)
        while len(self._samples) > 2 and self._is_older(self._samples[1], new):
            self._samples.popleft()
        old = self._samples[0] if len(self._samples) > 1 else None
        return compare(old, new, self._settings)

    def sample(self) -> Sample:
        """Look once. Positions first, then ends: nobody can be ahead of a log."""
        with self._reader.snapshot() as connection:
            stands = {
                (stage, position.partition): position.next_offset
                for stage in STAGES
                for position in positions.read(connection, stage)
            }
            idle = attention.idle_seconds(connection)
            unsent, unsent_since = attention.unsent(connection)
            paused = tuple(pauses(connection))
        seen_at = time.monotonic()
        spans = self._kafka.spans([stage.topic for stage in STAGES.values()])
        next_times = self._next_times(stands, spans)
        return Sample(
            seen_at,
            time.time_ns() // 1_000_000,
            stands,
            idle,
            spans,
            self._members_now(),
            {partition: at for partition, (_, at) in next_times.items()},
            unsent,
            unsent_since,
            self._kafka.cluster_id(),
            next_times,
            paused,
        )

    def close(self) -> None:
        """Close all connections."""
        self._kafka.close()
        self._reader.close()

    def _next_times(
        self, stands: dict[tuple[str, int], int], spans: dict[Partition, Span]
    ) -> dict[Partition, tuple[int, int]]:
        """Position and timestamp of the next record; read once while the position stays."""
        stage_of = {stage.topic: name for name, stage in STAGES.items()}
        behind = {
            (topic, partition): stands.get((stage_of[topic], partition), 0)
            for (topic, partition), span in spans.items()
            if stands.get((stage_of[topic], partition), 0) < span.end
        }
        last = self._samples[-1].next_known if self._samples else {}
        known = {p: last[p] for p, offset in behind.items() if last.get(p, (-1, 0))[0] == offset}
        unknown = {partition: o for partition, o in behind.items() if partition not in known}
        records = self._kafka.next_records(unknown, spans) if unknown else {}
        return known | {
            partition: (unknown[partition], record.timestamp_ms)
            for partition, record in records.items()
        }

    def _members_now(self) -> dict[str, int]:
        if time.monotonic() - self._members_at >= MEMBERS_SECONDS:
            groups = {stage: self._settings.kafka.group(stage) for stage in STAGES}
            found = self._kafka.members(list(groups.values()))
            self._members = {stage: found[group] for stage, group in groups.items()}
            self._members_at = time.monotonic()
        return self._members

    def _is_older(self, sample: Sample, new: Sample) -> bool:
        return new.monotonic - sample.monotonic >= self._rate_seconds


def take_sample(settings: Settings) -> Sample:
    """Look once. Raises DatabaseTrouble or KafkaUnavailable."""
    with closing(LagWatch(settings)) as watch:
        return watch.sample()
