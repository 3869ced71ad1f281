"""Where a trial runs: a fresh Kafka and PostgreSQL with topics and tables, and two cheap looks at them.

Whoever measures must not be what is measured: a look costs one query on an open connection.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from sqlalchemy import Connection, create_engine, text

from consumers.engine.admin import apply_topics
from consumers.engine.config import Settings, load_settings
from ops.local.processes import Program, Supervisor
from ops.local.stack import Stack
from storage.migrate import upgrade

PARTITIONS = 4  # of each topic
_BACKENDS = "SELECT pid, coalesce(nullif(application_name, ''), backend_type) FROM pg_stat_activity"


class Place:
    """The servers of one trial, the programs started there, and what each has cost so far."""

    def __init__(self, settings: Settings, supervisor: Supervisor, stack: Stack) -> None:
        self.settings = settings
        self.environment = stack.environment  # what a process needs to find the servers
        self.supervisor = supervisor
        self._stack = stack
        self._engine = create_engine(settings.database.connection_url, pool_size=2)
        self._connection: Connection = self._engine.connect()
        servers = settings.kafka.bootstrap_servers
        quiet: dict[str, Any] = {"bootstrap.servers": servers, "log_level": 0}
        self._admin = AdminClient(quiet)
        self._consumer = Consumer({**quiet, "group.id": "bench-look"})

    def start(self, programs: Mapping[str, tuple[str, ...]]) -> None:
        """Start these beside the servers; `fail_if_ended` says so when one ends."""
        for name, command in programs.items():
            self.supervisor.start(Program(name=name, command=command))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the trial's database."""
        with self._connection.begin():
            result = self._connection.execute(text(sql))
            return [tuple(row) for row in result] if result.returns_rows else []

    def number(self, sql: str) -> int:
        """The one number that this query gives."""
        ((number,),) = self.query(sql)
        return int(number or 0)

    def vacuum(self) -> None:
        """Statistics and visibility as after a quiet night, and a checkpoint behind it."""
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))
            connection.execute(text("CHECKPOINT"))

    def written(self, topic: str) -> int:
        """How many records the topic has taken."""
        places = [TopicPartition(topic, n) for n in range(PARTITIONS)]
        look: Any = self._consumer.get_watermark_offsets
        return sum(look(place, timeout=10)[1] for place in places)

    def members(self, prefix: str) -> int:
        """How many processes are stable members of the groups that begin so."""
        names = [
            group.group_id
            for group in self._admin.list_consumer_groups().result().valid
            if group.group_id.startswith(prefix)
        ]
        if not names:
            return 0
        told = (each.result() for each in self._admin.describe_consumer_groups(names).values())
        return sum(len(g.members) for g in told if g.state == ConsumerGroupState.STABLE)

    def taken(self, group: str) -> int:
        """How many records a group has committed to have taken, of all that it reads."""
        asked = [ConsumerGroupTopicPartitions(group)]
        (told,) = (
            each.result() for each in self._admin.list_consumer_group_offsets(asked).values()
        )
        return sum(max(place.offset, 0) for place in told.topic_partitions)

    def committed(self, topic: str) -> int:
        """How many records of the topic a reader of committed ones sees: reads them all."""
        reader = Consumer(
            {
                "bootstrap.servers": self.settings.kafka.bootstrap_servers,
                "group.id": "bench-count",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        places = [TopicPartition(topic, n, 0) for n in range(PARTITIONS)]
        ends = {place.partition: reader.get_watermark_offsets(place)[1] for place in places}
        reader.assign(places)
        count = 0
        while any(place.offset < ends[place.partition] for place in reader.position(places)):
            count += sum(message.error() is None for message in reader.consume(10_000, 0.2))
        reader.close()
        return count

    def wal(self) -> int:
        """Bytes of write-ahead log so far."""
        return self.number("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")

    def fail_if_ended(self) -> None:
        """Raise with the end of its log if a program has ended by itself."""
        for name, code in self.supervisor.exited.items():
            log = self.supervisor.log_path(name).read_text()[-2_000:]
            raise RuntimeError(f"{name} ended with {code}:\n{log}")

    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds so far of each program and each server, with their children."""
        return {
            name: sum(sum(p.cpu_times()[:2]) for p in family)
            for name, family in self._families().items()
        }

    def backend_seconds(self) -> dict[str, float]:
        """CPU seconds so far of PostgreSQL's processes: by the program that they serve, or by what they are."""
        assert self._stack.postgres is not None
        ended = sum(psutil.Process(self._stack.postgres.pid).cpu_times()[2:4])
        spent = defaultdict(float, ended=ended)  # workers of the autovacuum come and go
        for pid, name in self.query(_BACKENDS):
            with suppress(psutil.NoSuchProcess):
                spent[name] += sum(psutil.Process(pid).cpu_times()[:2])
        return dict(spent)

    def topic_bytes(self) -> dict[str, int]:
        """What each topic's log takes on the broker's disk, as the broker keeps it: compressed."""
        assert self._stack.kafka is not None, "benchmarks bring servers of their own"
        sizes: dict[str, int] = defaultdict(int)
        for log in (self._stack.kafka.data_dir / "topics").glob("escrow.*/*.log"):
            sizes[log.parent.name.rpartition("-")[0]] += log.stat().st_size
        return dict(sizes)

    def pin(self, servers: Collection[int], programs: Collection[int]) -> None:
        """Give the servers and the programs processors of their own; each thread that is there now."""
        for name, family in self._families().items():
            cores = programs if name in self.supervisor.names else servers
            for process in family:
                with suppress(psutil.NoSuchProcess, ProcessLookupError):
                    for thread in process.threads():
                        os.sched_setaffinity(thread.id, cores)

    def rss_mb(self) -> dict[str, float]:
        """Resident memory of each program of ours."""
        return {
            name: sum(p.memory_info().rss for p in family) / 1e6
            for name, family in self._families().items()
            if name in self.supervisor.names
        }

    def servers_mb(self) -> dict[str, float]:
        """Memory of each server that is nobody else's: what backends share is not counted for each."""
        return {
            name: sum(p.memory_full_info().uss for p in family) / 1e6
            for name, family in self._families().items()
            if name not in self.supervisor.names
        }

    def close(self) -> None:
        self._consumer.close()
        self._connection.close()
        self._engine.dispose()

    def _families(self) -> dict[str, list[psutil.Process]]:
        children = {name: self.supervisor.child(name) for name in self.supervisor.names}
        pids = {name: child.pid for name, child in children.items() if child.running}
        assert self._stack.kafka is not None, "benchmarks bring servers of their own"
        assert self._stack.postgres is not None
        pids |= {"kafka": self._stack.kafka.pid, "postgres": self._stack.postgres.pid}
        processes = {name: psutil.Process(pid) for name, pid in pids.items()}
        return {name: [p, *p.children(recursive=True)] for name, p in processes.items()}


@contextmanager
def place(postgres_settings: Mapping[str, str] | None = None) -> Iterator[Place]:
    """Fresh servers with topics and tables, gone afterwards."""
    with (
        TemporaryDirectory(prefix="escrow-bench-") as folder,
        Stack(postgres_settings=postgres_settings) as stack,
    ):
        settings = load_settings(
            kafka={"bootstrap_servers": stack.bootstrap_servers},
            database={"url": stack.database_url},
        )
        upgrade(stack.database_url)
        apply_topics(settings)
        # Started as they are in earnest, not forked.
        with Supervisor(Path(folder), env={**stack.environment}, forks=False) as supervisor:
            where = Place(settings, supervisor, stack)
            try:
                yield where
            finally:
                where.close()
