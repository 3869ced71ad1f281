"""One catalogue of what a process counts; the names are what dashboards and alerts depend on."""

from collections import Counter
from typing import Final

from prometheus_client import Counter as PromCounter
from prometheus_client import Gauge, Histogram, start_http_server

from consumers.engine.batch import Ending
from consumers.engine.config import Settings

FACTS: Final = PromCounter(
    "escrow_facts",
    "Records decided, by stage, outcome and code.",
    ("stage", "outcome", "code"),
)
BATCH_SECONDS: Final = Histogram(
    "escrow_batch_seconds",
    "Time from the first try of a batch to its commit.",
    ("stage",),
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
BATCH_RECORDS: Final = Histogram(
    "escrow_batch_records",
    "Records in a committed batch.",
    ("stage",),
    buckets=(1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000),
)
RETRIES: Final = PromCounter(
    "escrow_batch_retries",
    "Batches begun again, by what the database's error asked for.",
    ("stage", "remedy"),
)
RESTARTS: Final = PromCounter(
    "escrow_consumer_restarts",
    "Consumers rebuilt, by reason.",
    ("stage", "reason"),
)
PARTITIONS: Final = Gauge(
    "escrow_partitions_owned",
    "Partitions that this worker reads.",
    ("stage",),
)


def serve(settings: Settings) -> int | None:
    """Serve the metrics where a port is configured; returns the port."""
    if settings.metrics_port is None:
        return None
    server, _ = start_http_server(settings.metrics_port, addr=settings.metrics_host)
    return int(server.server_port)


def count(stage: str, endings: Counter[Ending], seconds: float) -> None:
    """Book a committed batch."""
    for (outcome, code), records in endings.items():
        FACTS.labels(stage, outcome, code or "").inc(records)
    BATCH_SECONDS.labels(stage).observe(seconds)
    BATCH_RECORDS.labels(stage).observe(endings.total())
