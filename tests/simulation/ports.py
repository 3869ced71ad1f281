"""Where the product meets the world: for as long as `in_simulation` lasts, these names lead in here.

Database (`storage.rows`, engines), Kafka clients, clocks and crash points; all else is the product's.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import storage.rows
from consumers.engine import (
    batch,
    giving_way,
    polling,
    processing,
    publishing,
    relay,
    ticker,
    worker,
)
from consumers.engine.publishing import Publisher
from storage import decisions, facts, orders, outbox, positions, relaying, ticking, totals
from tests.simulation import rows

_STORAGE: Final = (
    positions, facts, orders, outbox, decisions, relaying, ticking, totals,
)  # fmt: skip
_NAMES: Final = ("fetch", "execute", "copy_rows", "update_rows")


class _Nothing:
    """A metric or a log that nobody reads."""

    def __getattr__(self, _name: str) -> Any:
        return self

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self


class Ports:
    """What the present world puts in the place of the outside; set anew for each schedule."""

    make_engine: Callable[[], Any]
    make_consumer: Callable[[str], Any]
    make_producer: Callable[[], Any]
    pass_place: Callable[[str], None]
    now: Callable[[], float]
    random_bytes: Callable[[int], bytes]


PORTS: Final = Ports()


def storage_modules() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        if name.startswith("storage.") and name != "storage.rows":
            yield module


@contextmanager
def in_simulation() -> Iterator[None]:
    """The product runs in the world of PORTS; afterwards all is as it was."""
    nothing = _Nothing()
    clock = SimpleNamespace(
        monotonic=_now,
        perf_counter=_now,
        time_ns=lambda: int(_now() * 1e9),
    )
    with ExitStack() as stack:

        def put(module: Any, name: str, value: Any) -> None:
            stack.enter_context(patch.object(module, name, value))

        for module in storage_modules():
            for name in _NAMES:
                if getattr(module, name, None) is getattr(storage.rows, name):
                    put(module, name, getattr(rows, name))
        for module in (batch, worker, relay, ticker):
            put(module, "crash_point", _pass_place)
        put(batch, "os", SimpleNamespace(urandom=_random_bytes))
        for module in (worker, giving_way, processing, relay, ticker, publishing):
            put(module, "time", clock)
        for module in (worker, relay, ticker):
            put(module, "stage_engine", lambda _url, name: PORTS.make_engine())
        for module in (relay, ticker):
            put(module, "make_publisher", _publisher)
        put(worker, "make_consumer", lambda _settings, group: PORTS.make_consumer(group))
        put(polling, "hold_answers", nothing)
        put(worker, "cluster_id_of", lambda _settings: "simulated")
        for module in (worker, processing):
            put(
                module,
                "metrics",
                SimpleNamespace(
                    count=nothing, RETRIES=nothing, RESTARTS=nothing, PARTITIONS=nothing
                ),
            )
        for module in (worker, processing, relay, ticker, publishing):
            put(module, "log", nothing)
        yield


def _publisher(_settings: Any, stop: Any) -> Publisher:
    return Publisher(_producer, stop)


# By name, so that each schedule's world is asked.


def _producer() -> Any:
    return PORTS.make_producer()


def _now() -> float:
    return PORTS.now()


def _pass_place(place: str) -> None:
    PORTS.pass_place(place)


def _random_bytes(size: int) -> bytes:
    return PORTS.random_bytes(size)
