"""One burst: ready programs, a warm-up, then facts as fast as the generator can, worked off.

The clock runs from the first fact sent to the last result seen. A trial is only returned for a
right result: its `check` has passed.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from bench.load import Generator
from bench.place import Place
from ops.local.traffic import PLAIN_FACTS

LIMIT_SECONDS: Final = 240
LOOK_SECONDS: Final = 0.05
WARM_UP: Final = "warm"


class System(NamedTuple):
    """What can be put to the trial: its programs, and how to see how far it is."""

    name: str
    programs: Mapping[str, tuple[str, ...]]
    prepare: Callable[[Place], None]  # before its programs start
    is_ready: Callable[[Place], bool]
    is_done: Callable[[Place, int], bool]  # with so many orders altogether
    check: Callable[[Place, int], None]  # raises unless the result of so many orders is right


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

    @property
    def cpu_us(self) -> dict[str, float]:
        """CPU microseconds a fact of each process and server."""
        return {who: 1e6 * seconds / self.facts for who, seconds in self.cpu_seconds.items()}


def start(where: Place, system: System, warm_up: int) -> None:
    """Start the system and let it work off `warm_up` orders: nothing is measured cold."""
    system.prepare(where)
    where.start(system.programs)
    wait(where, lambda: system.is_ready(where))
    if warm_up:
        with Generator(environment(where), warm_up, WARM_UP) as generator:
            generator.go()
            generator.finish()
        wait(where, lambda: system.is_done(where, warm_up))


def burst(where: Place, system: System, orders: int, before: int, prefix: str = "burst") -> Trial:
    """Work off a burst of `orders`; `before` orders were worked off already."""
    with Generator(environment(where), orders, prefix) as generator:
        wal, cpu = where.wal(), where.cpu_seconds()
        began_ns = generator.go()
        sent = generator.finish()
        wait(where, lambda: system.is_done(where, before + orders))
        seconds = time.monotonic() - began_ns / 1e9
    spent = {name: used - cpu.get(name, 0.0) for name, used in where.cpu_seconds().items()}
    spent["generator"] = sent.cpu_seconds
    trial = Trial(PLAIN_FACTS * orders, seconds, spent, where.rss_mb(), where.wal() - wal)
    system.check(where, before + orders)
    return trial


def wait(where: Place, condition: Callable[[], bool], limit_seconds: float = LIMIT_SECONDS) -> None:
    """Look until it is so; a program that has ended, or too long a time, is an error."""
    until = time.monotonic() + limit_seconds
    while not condition():
        where.fail_if_ended()
        if time.monotonic() > until:
            raise TimeoutError(f"not done within {limit_seconds:.0f} s")
        time.sleep(LOOK_SECONDS)


def environment(where: Place) -> dict[str, str]:
    """What a process needs to find the trial's servers."""
    return {**os.environ, **where.environment}
