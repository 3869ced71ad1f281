"""What a process counts while it works: plain additions in memory, read only when somebody asks.

Names, labels and sentences are the catalogue's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from prometheus_client import Counter as PromCounter
from prometheus_client import Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import REGISTRY

from consumers.engine.batch import Ending
from consumers.engine.catalogue import BY_NAME

Sample = tuple[tuple[str, ...], float]  # label values, value


def _counter(name: str) -> PromCounter:
    return PromCounter(name, BY_NAME[name].sentence, BY_NAME[name].labels)


def _gauge(name: str) -> Gauge:
    return Gauge(name, BY_NAME[name].sentence, BY_NAME[name].labels)


def _histogram(name: str) -> Histogram:
    known = BY_NAME[name]
    return Histogram(name, known.sentence, known.labels, buckets=known.buckets)


FACTS: Final = _counter("escrow_facts_total")
BATCH_SECONDS: Final = _histogram("escrow_batch_seconds")
BATCH_RECORDS: Final = _histogram("escrow_batch_records")
RETRIES: Final = _counter("escrow_batch_retries_total")
RESTARTS: Final = _counter("escrow_consumer_restarts_total")
PARTITIONS: Final = _gauge("escrow_partitions_owned")


def count(stage: str, endings: Counter[Ending], seconds: float) -> None:
    """Book a committed batch."""
    for (outcome, code), records in endings.items():
        FACTS.labels(stage, outcome, code or "").inc(records)
    BATCH_SECONDS.labels(stage).observe(seconds)
    BATCH_RECORDS.labels(stage).observe(endings.total())


def family(name: str, samples: Iterable[Sample]) -> Family:
    """A family of the catalogue with these values."""
    known = BY_NAME[name]
    if known.kind == "counter":
        made: CounterMetricFamily | GaugeMetricFamily = CounterMetricFamily(
            name, known.sentence, labels=known.labels
        )
    else:
        made = GaugeMetricFamily(name, known.sentence, labels=known.labels)
    for labels, value in samples:
        made.add_metric(labels, value)
    return made


class Shown:
    """Values that are looked up when somebody asks, and cost nothing before."""

    def __init__(self, look: Callable[[], Iterator[Family]]) -> None:
        self._look = look

    def collect(self) -> Iterator[Family]:
        return self._look()

    def describe(self) -> Iterable[Family]:  # what the registry asks for when this is registered
        return ()


@contextmanager
def shown(read: Callable[[], Mapping[str, float]]) -> Iterator[None]:
    """Serve these families, which have one value each and no labels, for as long as this lasts."""

    def look() -> Iterator[Family]:
        for name, value in read().items():
            yield family(name, [((), value)])

    collector = Shown(look)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
