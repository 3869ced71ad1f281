"""A stage is stopped and ten thousand facts come: our figures, a foreign client's and those of Kafka's own tool are the truth."""

import time
from collections.abc import Iterator
from typing import Final

import pytest

from consumers.engine.admin import spans
from ops.local.pipeline import Pipeline
from ops.local.traffic import publish
from schemas.facts import SHIPMENTS
from tests.acceptance.lag_seen import dispatched, kafkas_own, librdkafkas, scraped
from tests.integration.program import Program
from tests.integration.waiting import until

pytestmark = pytest.mark.timeout(400)
FACTS: Final = 10_000
BEFORE: Final = 100  # that the stage decides before it is stopped


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    with Pipeline(gateway=False, metrics=True) as made:
        yield made


def test_ten_thousand_facts_behind_is_what_everyone_sees(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    escrow = Program(pipeline.settings, monkeypatch)
    publish(dispatched(BEFORE), pipeline.settings)
    until(lambda: sum(librdkafkas(pipeline).values()) == 0)
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
    assert librdkafkas(pipeline) == kafkas_own(pipeline) == grown

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
    until(lambda: set(librdkafkas(pipeline).values()) == {0})
    assert set(scraped(pipeline)["kafka_consumergroup_group_lag_seconds"].values()) == {0.0}
