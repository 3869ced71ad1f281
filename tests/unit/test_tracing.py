"""Spans hang under the sender's, whatever process makes them; without a collector nothing is imported."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers.engine import tracing
from consumers.engine.config import ConfigError, Settings, load_settings
from consumers.engine.relay import Relay
from consumers.engine.tracing import spans_to, trace_of, traced
from consumers.engine.trail import new_trail
from schemas.door import Fact, Rejected, decode
from storage.relaying import Unsent
from tests.integration.small_world import said

TRACE_ID: Final = 0x0AF7651916CD43DD8448EB211C80319C
SENDER: Final = 0xB7AD6B7169203331
TRACEPARENT: Final = f"00-{TRACE_ID:032x}-{SENDER:016x}-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with spans_to(provider):
        yield exporter
    provider.shutdown()


def a_fact(*headers: tuple[str, bytes]) -> Fact:
    record = said("delivery.confirmed", "o-1", 1)
    fact = decode(record._replace(headers=[*record.headers, *headers], offset=17))
    assert not isinstance(fact, Rejected)
    return fact


def decided(*facts: Fact) -> None:
    trail = new_trail("refund_requests")
    assert trail is not None
    record = said("delivery.confirmed", "o-1", 1)._replace(offset=17)
    for fact in facts:
        trail.ended(record, fact, "refused", "request_open")
    trail.say()


def under_the_sender(span: ReadableSpan) -> bool:
    return (
        span.parent is not None
        and span.parent.span_id == SENDER
        and span.context is not None
        and span.context.trace_id == TRACE_ID
    )


def test_a_decision_is_a_span_of_its_senders_trace(spans: InMemorySpanExporter) -> None:
    decided(a_fact(("ce_traceparent", TRACEPARENT.encode())), a_fact())
    (span,) = spans.get_finished_spans()  # a fact without a trace has no span
    assert span.name == "decide delivery.confirmed"
    assert under_the_sender(span)
    assert dict(span.attributes or {}) == {
        "escrow.stage": "refund_requests",
        "escrow.outcome": "refused",
        "escrow.code": "request_open",
        "escrow.id": "o-1.1",
        "escrow.source": "/shop",
        "escrow.order_id": "o-1",
        "escrow.topic": "escrow.refund-requests.v1",
        "escrow.partition": 0,
        "escrow.offset": 17,
    }
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.end_time


class AlwaysAcked:
    """A publisher that has its ack at once."""

    failures = 0

    def publish(self, records: list[object]) -> list[Exception | None]:
        return [None for _ in records]


def test_what_the_relay_sends_is_a_span_of_the_same_trace(spans: InMemorySpanExporter) -> None:
    row = Unsent(
        1, 0, "t", "o-1", "payout.release", "c-1", 5, "{}", {"traceparent": TRACEPARENT}, None
    )
    relay = Relay(None, AlwaysAcked(), [0])  # type: ignore[arg-type]  # neither is used to send
    assert len(relay.send([row, row._replace(id=2, attributes=None)])) == 2
    (span,) = spans.get_finished_spans()
    assert span.name == "send payout.release"
    assert under_the_sender(span)
    assert dict(span.attributes or {}) == {
        "escrow.id": "c-1",
        "escrow.order_id": "o-1",
        "escrow.topic": "t",
    }


@pytest.mark.parametrize("wrong", ["", "garbage", "00-0-0-00"])
def test_a_malformed_trace_harms_nobody(spans: InMemorySpanExporter, wrong: str) -> None:
    decided(a_fact(("ce_traceparent", wrong.encode())))
    assert all(span.parent is None for span in spans.get_finished_spans())


def test_an_extension_that_is_no_text_is_no_trace() -> None:
    assert trace_of({"traceparent": 5}) is None
    assert trace_of({}) is None


def test_without_an_endpoint_nothing_is_imported() -> None:
    code = (
        "import sys\n"
        "from consumers.engine import relay, trail, worker\n"
        "from consumers.engine.config import Settings\n"
        "from consumers.engine.tracing import traced\n"
        "with traced(Settings(), 'payments'):\n"
        "    print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_with_one_there_is_a_tracer_for_as_long_as_it_lasts() -> None:
    settings = load_settings(traces_endpoint="http://127.0.0.1:1/v1/traces")
    with traced(settings, "payments"):
        assert tracing.tracer() is not None
    assert tracing.tracer() is None


def test_without_the_extra_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    settings = load_settings(traces_endpoint="http://127.0.0.1:1/v1/traces")
    with pytest.raises(ConfigError, match="otel"), traced(settings, "payments"):
        pass


def test_tracing_is_off_by_default() -> None:
    assert Settings().traces_endpoint is None
