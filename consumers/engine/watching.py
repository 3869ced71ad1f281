"""What someone who watches asks Kafka, again and again: the clients stay between looks and join no group.

Whatever goes wrong closes them, and the next question makes new ones.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from consumers.engine.asking import Span, asked, members_by, read_by, spans_by
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_admin, make_consumer
from consumers.engine.records import Partition
from schemas.door import Record

# Partitions that were added later, and brokers that moved, are seen by a new client at the latest.
CLIENT_SECONDS_MAX: Final = 300.0
FETCH_WAIT_MS: Final = 20  # the next question waits for a fetch that is under way
FETCH_BYTES: Final = 64 * 1024  # a partition: one record is wanted, not all that wait


class KafkaWatch:
    """Questions about logs and groups. Every one raises KafkaUnavailable; `close` at the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: Any = None
        self._admin: Any = None
        self._cluster_id: str | None = None
        self._made_at = 0.0

    def spans(self, topics: Collection[str]) -> dict[Partition, Span]:
        """Where the logs of these topics begin and end; topics that do not exist are left out."""
        with self._clients() as (consumer, _):
            return spans_by(consumer, topics)

    def next_records(
        self, places: Mapping[Partition, int], spans: Mapping[Partition, Span]
    ) -> dict[Partition, Record]:
        """The first record at or after each of these places, where there is one."""
        with self._clients() as (consumer, _):
            try:
                return read_by(consumer, places, spans)
            finally:
                consumer.unsubscribe()  # nothing is fetched between looks

    def members(self, groups: Collection[str]) -> dict[str, int]:
        """How many members each group has."""
        with self._clients() as (_, admin):
            return members_by(admin, groups)

    def cluster_id(self) -> str:
        """The id of the cluster; asked once a client."""
        with self._clients() as (_, admin):
            if self._cluster_id is None:
                self._cluster_id = str(admin.describe_cluster()["cluster_id"])
            return self._cluster_id

    def close(self) -> None:
        """Give the clients up. Harmless where there are none."""
        self._cluster_id = None
        consumer, admin, self._consumer, self._admin = self._consumer, self._admin, None, None
        if consumer is not None:
            consumer.close(autocommit=False, timeout_ms=2_000)
        if admin is not None:
            admin.close()

    @contextmanager
    def _clients(self) -> Iterator[tuple[Any, Any]]:
        if time.monotonic() - self._made_at > CLIENT_SECONDS_MAX:
            self.close()
        try:
            with asked(self._settings):
                if self._consumer is None:
                    self._made_at = time.monotonic()
                    self._consumer = make_consumer(
                        self._settings,
                        None,
                        max_partition_fetch_bytes=FETCH_BYTES,
                        fetch_max_wait_ms=FETCH_WAIT_MS,
                    )
                if self._admin is None:
                    self._admin = make_admin(self._settings)
                yield self._consumer, self._admin
        except BaseException:
            self.close()
            raise
