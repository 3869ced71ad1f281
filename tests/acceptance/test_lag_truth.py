"""A stage is stopped and ten thousand facts come: our figures, and those of a foreign client, are the truth."""

import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Final

import pytest
from confluent_kafka import Consumer, TopicPartition

from consumers.engine.admin import spans
from ops.local.observed import TARGETS
from ops.local.pipeline import Pipeline
from ops.local.traffic import publish
from schemas.door import Record
from schemas.facts import SHIPMENTS
from tests.integration.program import Program
from tests.integration.small_world import said
from tests.integration.waiting import until

pytestmark = pytest.mark.timeout(400)
FACTS: Final = 10_000
BEFORE: Final = 100  # that the stage decides before it is stopped
GROUP: Final = "escrow.shipments"
Figures = dict[int, int]  # partition → records behind


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with Pipeline(gateway=False, metrics=True) as made:
        yield made


def dispatched(count: int) -> list[Record]:
    run = uuid.uuid4().hex[:8]
    now = time.time_ns() // 1_000_000
    return [
        said("shipment.dispatched", f"o-{run}-{n}", 1)._replace(timestamp_ms=now)
        for n in range(count)
    ]


def scraped(pipeline: Pipeline) -> dict[str, dict[int, float]]:
    """What the exporter shows of this group: metric → partition → value."""
    (file,) = (pipeline.stack.data_dir / TARGETS).glob("metrics-*.json")
    (target,) = json.loads(file.read_text())[0]["targets"]
    with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: dict[str, dict[int, float]] = {}
    for line in text.splitlines():
        if f'group="{GROUP}"' in line and "partition=" in line:
            name, _, rest = line.partition("{")
            partition = int(rest.split('partition="')[1].split('"')[0])
            found.setdefault(name, {})[partition] = float(line.rpartition(" ")[2])
    return found


def foreign(pipeline: Pipeline) -> Figures:
    """Ends less committed offsets, asked by another client altogether (librdkafka)."""
    kafka = pipeline.settings.kafka
    asked = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "group.id": GROUP,
    }  # which it never joins
    if kafka.is_encrypted:
        files = {
            "ca": kafka.ssl_cafile,
            "certificate": kafka.ssl_certfile,
            "key": kafka.ssl_keyfile,
        }
        asked |= {"security.protocol": "ssl"}
        asked |= {f"ssl.{name}.location": str(file) for name, file in files.items()}
    consumer = Consumer(asked)
    places = [TopicPartition(SHIPMENTS, p) for _, p in spans(pipeline.settings, [SHIPMENTS])]
    try:
        return {
            place.partition: consumer.get_watermark_offsets(place, timeout=20)[1]
            - max(place.offset, 0)
            for place in consumer.committed(places, timeout=20)
        }
    finally:
        consumer.close()


def test_ten_thousand_facts_behind_is_what_everyone_sees(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    escrow = Program(pipeline.settings, monkeypatch)
    publish(dispatched(BEFORE), pipeline.settings)
    until(lambda: sum(foreign(pipeline).values()) == 0)
    pipeline.stop_program("shipments")
    before = spans(pipeline.settings, [SHIPMENTS])
    records = dispatched(FACTS)
    sent_at = records[0].timestamp_ms
    publish(records, pipeline.settings)
    grown = {
        partition: span.end - before[topic, partition].end
        for (topic, partition), span in spans(pipeline.settings, [SHIPMENTS]).items()
    }
    assert sum(grown.values()) == FACTS  # the truth
    assert foreign(pipeline) == grown

    began = time.time_ns() // 1_000_000
    told = escrow.json("lag", "--sample", "1", code=1)["partitions"]
    ended = time.time_ns() // 1_000_000
    mine = {row["partition"]: row for row in told if row["stage"] == "shipments"}
    assert {partition: row["behind"] for partition, row in mine.items()} == grown
    for row in mine.values():
        assert began - sent_at <= row["seconds"] * 1000 <= ended - sent_at
        assert row["verdict"] == "no-members"

    lag = "kafka_consumergroup_group_lag"
    until(lambda: scraped(pipeline).get(lag) == grown)
    began = time.time_ns() // 1_000_000
    shown = scraped(pipeline)
    ended = time.time_ns() // 1_000_000
    for seconds in shown["kafka_consumergroup_group_lag_seconds"].values():
        assert began - sent_at <= seconds * 1000 <= ended - sent_at

    pipeline.start_program("shipments")
    until(lambda: set(scraped(pipeline).get(lag, {}).values()) == {0.0})
    until(lambda: set(foreign(pipeline).values()) == {0})
    assert set(scraped(pipeline)["kafka_consumergroup_group_lag_seconds"].values()) == {0.0}
