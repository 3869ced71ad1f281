"""What a rate would need, calculated from measured costs: nothing here was measured at that rate.

Costs are taken to stay what they are; a processor is taken to be three quarters busy at most.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

BUSY_MAX: Final = 0.75
REPLICAS: Final = 3  # of each record, on as many brokers
RATES: Final = (10_000, 50_000, 200_000)


class Costs(NamedTuple):
    """What one fact of the workload costs: CPU µs, and bytes."""

    processes: Mapping[str, float]  # of each stage, and of the relay: its share in one fact
    backends: float  # PostgreSQL's, of stages and relay
    background: float  # PostgreSQL's others: log writer, checkpointer, vacuum
    kafka: float
    wal: float
    records_in: float  # of facts, as the broker keeps them
    records_out: float  # of commands and order events
    commits: float


class Need(NamedTuple):
    """What so many facts a second need."""

    rate: int
    processes: Mapping[str, int]  # of each stage, and of the relay
    postgres_cores: int
    kafka_cores: int  # of all brokers; of replication only what a leader's own copy costs
    wal_mb: float  # a second, one stream
    broker_in_mb: float  # a second, with the copies
    broker_out_mb: float  # a second, each record to one reader and to its copies
    commits: float  # a second, each of which waits for the disk


def need(costs: Costs, rate: int) -> Need:
    """For this rate."""
    written = (costs.records_in + costs.records_out) / 1e6
    return Need(
        rate,
        {name: _cores(us, rate) for name, us in costs.processes.items()},
        _cores(costs.backends + costs.background, rate),
        _cores(costs.kafka, rate),
        rate * costs.wal / 1e6,
        rate * written * REPLICAS,
        rate * written * REPLICAS,
        rate * costs.commits,
    )


def _cores(us: float, rate: int) -> int:
    return math.ceil(rate * us / 1e6 / BUSY_MAX)


def told(costs: Costs) -> str:
    """A table in Markdown."""
    needs = [need(costs, rate) for rate in RATES]
    rows: list[tuple[str, list[str]]] = [
        (f"processes of {name}", [str(one.processes[name]) for one in needs])
        for name in needs[0].processes
    ]
    rows += [
        ("PostgreSQL, cores", [str(one.postgres_cores) for one in needs]),
        ("brokers, cores", [str(one.kafka_cores) for one in needs]),
        ("WAL, MB/s", [f"{one.wal_mb:,.0f}" for one in needs]),
        ("brokers in, MB/s, three copies", [f"{one.broker_in_mb:,.0f}" for one in needs]),
        ("brokers out, MB/s", [f"{one.broker_out_mb:,.0f}" for one in needs]),
        ("commits/s", [f"{one.commits:,.0f}" for one in needs]),
    ]
    head = "| facts/s | " + " | ".join(f"{one.rate:,}" for one in needs) + " |"
    lines = [head, "|---" * (1 + len(needs)) + "|"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)])
