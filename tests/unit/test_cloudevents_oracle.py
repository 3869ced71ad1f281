"""What the CloudEvents project's own library writes, the door reads; what it says, we say.

The library is lenient, so that it is an oracle for well-formed events only.
"""

from datetime import UTC, datetime

import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_kafka_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

from schemas.door import Fact, Record, decode
from schemas.facts import FACT_TYPES
from tests.builders import T0, a_record, sample


def an_event(type_name: str, **attributes: object) -> CloudEvent:
    return CloudEvent(
        attributes={
            "specversion": "1.0",
            "id": "id-7",
            "source": "https://shop.example/checkout?x=1#y",
            "type": type_name,
            "datacontenttype": "application/json",
            **attributes,
        },
        data=sample(type_name),
    )


def as_record(type_name: str, message: KafkaMessage) -> Record:
    data = sample(type_name)
    key = data.get("order_id", data.get("supplier_id"))
    headers = list(message.headers.items())
    return Record(FACT_TYPES[type_name].topic, 0, 0, T0, str(key).encode(), message.value, headers)


@pytest.mark.parametrize("type_name", FACT_TYPES)
@pytest.mark.parametrize("write", [to_binary_event, to_structured_event])
def test_events_of_every_type_pass_in_both_modes(type_name: str, write: object) -> None:
    assert callable(write)
    event = an_event(
        type_name,
        subject=sample(type_name).get("order_id", "s-1"),
        time=datetime(2026, 1, 31, 10, 0, 0, 500_000, UTC),
        traceparent="00-abc-def-01",
    )
    fact = decode(as_record(type_name, write(event)))
    assert isinstance(fact, Fact), fact
    assert (fact.type, fact.id) == (type_name, "id-7")
    assert fact.source == "https://shop.example/checkout?x=1#y"
    assert fact.time is not None
    assert datetime.fromisoformat(fact.time) == event.get_time()
    assert fact.extensions == (("traceparent", "00-abc-def-01"),)
    assert fact.data.model_dump(exclude_none=True) == sample(type_name)


@pytest.mark.parametrize("type_name", FACT_TYPES)
@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_what_passes_the_door_is_what_the_library_reads(type_name: str, mode: str) -> None:
    record = a_record(type_name, mode=mode)  # type: ignore[arg-type]
    fact = decode(record)
    assert isinstance(fact, Fact)
    assert record.value is not None
    headers = {name: value or b"" for name, value in record.headers}
    event = from_kafka_event(KafkaMessage(headers=headers, key=None, value=record.value))
    assert (event.get_type(), event.get_source(), event.get_id()) == (
        fact.type,
        fact.source,
        fact.id,
    )
    assert event.get_data() == fact.data.model_dump(exclude_none=True)


def test_a_name_beyond_ascii_comes_through_both_ways() -> None:
    for write in (to_binary_event, to_structured_event):
        event = an_event("shipment.lost", source="/büro/☃", zone="Zürich")
        fact = decode(as_record("shipment.lost", write(event)))
        assert isinstance(fact, Fact)
        assert (fact.source, fact.extensions) == ("/büro/☃", (("zone", "Zürich"),))
