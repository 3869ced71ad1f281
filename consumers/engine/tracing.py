"""One trace from a fact to its command to the gateway's result, where a collector is configured.

The trace is its sender's: W3C `traceparent`, a CloudEvents extension, which decisions carry along
through the outbox like any other. Spans are made after the commit, after the ack; facts without
a trace get none. Without an endpoint nothing of OpenTelemetry is even imported.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from consumers.engine.config import ConfigError, Settings
from storage.relaying import Unsent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TRACEPARENT: Final = "traceparent"


class Tracer:
    """Makes spans of what is already done, under the span of whoever sent the fact."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace import SpanKind  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        self._tracer = provider.get_tracer("escrow")
        self._extract = TraceContextTextMapPropagator().extract
        self._kinds = {"decide": SpanKind.CONSUMER, "send": SpanKind.PRODUCER}

    def span(
        self, what: str, traceparent: str, began_ns: int, ended_ns: int, **said: str | int | None
    ) -> None:
        """One span, `what` being `decide TYPE` or `send TYPE`. A malformed parent gives a new trace."""
        span = self._tracer.start_span(
            what,
            context=self._extract({TRACEPARENT: traceparent}),
            kind=self._kinds[what.partition(" ")[0]],
            start_time=began_ns,
            attributes={
                f"escrow.{name}": value for name, value in said.items() if value is not None
            },
        )
        span.end(ended_ns)


_tracer: Tracer | None = None


def tracer() -> Tracer | None:
    """Of this process, where there is one."""
    return _tracer


def trace_of(extensions: Mapping[str, Any]) -> str | None:
    """The trace that something belongs to, as its sender wrote it."""
    found = extensions.get(TRACEPARENT)
    return found if isinstance(found, str) else None


@contextmanager
def traced(settings: Settings, program: str) -> Iterator[None]:
    """Make spans for as long as this lasts, where an endpoint is configured.

    Raises ConfigError where the extra is not installed.
    """
    if settings.traces_endpoint is None:
        yield
        return
    provider = _provider(settings.traces_endpoint, program)
    try:
        with spans_to(provider):
            yield
    finally:
        provider.shutdown()  # sends what it still has


@contextmanager
def spans_to(provider: "TracerProvider") -> Iterator[None]:
    """The same with a provider of the caller's."""
    global _tracer  # noqa: PLW0603  one a process, like the log
    before, _tracer = _tracer, Tracer(provider)
    try:
        yield
    finally:
        _tracer = before


def _provider(endpoint: str, program: str) -> "TracerProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "ESCROW_TRACES_ENDPOINT: needs the packages of requirements/otel.in"
        ) from None
    resource = Resource({"service.namespace": "escrow", "service.name": program})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return provider


def trace_sent(rows: Sequence[Unsent], began_ns: int) -> None:
    """A span for each of these records that came with a trace."""
    if _tracer is None:
        return
    ended_ns = time.time_ns()
    for row in rows:
        if (trace := trace_of(row.attributes or {})) is not None:
            said = {"id": row.sent_id, "order_id": row.key, "topic": row.topic}
            _tracer.span(f"send {row.type}", trace, began_ns, ended_ns, **said)
