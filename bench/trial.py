"""One trial: a fresh stack, a burst of facts, processes that work it off, and what each cost.

The clock runs from the first fact sent to the last result seen; the generator is part of it.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil
from sqlalchemy import create_engine, text

from consumers.engine.admin import apply_topics
from consumers.engine.config import Settings, load_settings
from ops.local.processes import Program, Supervisor
from ops.local.stack import Stack
from ops.local.traffic import plain, publish
from storage.migrate import upgrade

LIMIT_SECONDS = 300


class Trial(NamedTuple):
    """What one burst took."""

    facts: int
    seconds: float
    cpu_seconds: Mapping[str, float]  # a process or server
    rss_mb: Mapping[str, float]  # a process of ours, at the end
    wal_bytes: int

    @property
    def rate(self) -> float:
        """Facts a second."""
        return self.facts / self.seconds


class Place(NamedTuple):
    """Where a trial runs."""

    settings: Settings
    supervisor: Supervisor
    stack: Stack


@contextmanager
def place() -> Iterator[Place]:
    """A fresh Kafka and PostgreSQL with topics and tables, gone afterwards."""
    with TemporaryDirectory(prefix="escrow-bench-") as folder, Stack() as stack:
        settings = load_settings(
            kafka={"bootstrap_servers": stack.bootstrap_servers},
            database={"url": stack.database_url},
        )
        upgrade(stack.database_url)
        apply_topics(settings)
        with Supervisor(Path(folder), env={**stack.environment}) as supervisor:
            yield Place(settings, supervisor, stack)


def run_trial(
    where: Place,
    programs: Mapping[str, tuple[str, ...]],
    orders: int,
    ready: Callable[[], bool],
    done: Callable[[], bool],
) -> Trial:
    """Start the programs, send the burst when all are ready, and wait until it is worked off."""
    records = list(plain(orders))
    for name, command in programs.items():
        where.supervisor.start(Program(name=name, command=command))
    _wait(ready, where)
    wal = _wal(where)
    before = _cpu(where, programs)
    began = time.perf_counter()
    publish(records, where.settings)
    _wait(done, where)
    seconds = time.perf_counter() - began
    after = _cpu(where, programs)
    cpu = {name: after[name] - before.get(name, 0.0) for name in after}
    memory = {
        name: psutil.Process(where.supervisor.child(name).pid).memory_info().rss / 1e6
        for name in programs
        if name not in where.supervisor.exited
    }
    return Trial(len(records), seconds, cpu, memory, _wal(where) - wal)


def query(where: Place, sql: str) -> list[tuple[object, ...]]:
    """Ask the trial's database."""
    engine = create_engine(where.settings.database.connection_url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]
    finally:
        engine.dispose()


def _wait(condition: Callable[[], bool], where: Place) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while not condition():
        failed = {name: code for name, code in where.supervisor.exited.items() if code}
        if failed:
            name = next(iter(failed))
            log = where.supervisor.log_path(name).read_text()[-2_000:]
            raise RuntimeError(f"{name} ended with {failed[name]}:\n{log}")
        if time.monotonic() > until:
            raise TimeoutError(f"not done within {LIMIT_SECONDS} s")
        time.sleep(0.02)


def _wal(where: Place) -> int:
    ((lsn,),) = query(where, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
    assert isinstance(lsn, int)
    return lsn


def _cpu(where: Place, programs: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """CPU seconds so far of each program, the servers and the generator (this process)."""
    seconds = {"generator": sum(os.times()[:2])}
    pids = {name: where.supervisor.child(name).pid for name in programs}
    if where.stack.kafka is not None and where.stack.kafka.pid is not None:
        pids["kafka"] = where.stack.kafka.pid
    if where.stack.postgres is not None and where.stack.postgres.pid is not None:
        pids["postgres"] = where.stack.postgres.pid
    for name, pid in pids.items():
        try:
            process = psutil.Process(pid)
            family = [process, *process.children(recursive=True)]
            seconds[name] = sum(sum(p.cpu_times()[:2]) for p in family if p.is_running())
        except psutil.NoSuchProcess:
            continue
    return seconds
