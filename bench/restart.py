"""How soon a stage works again: `python -m bench.restart`, under a steady load.

A process is killed (SIGKILL) or stopped (SIGTERM) and started again at once; the time ends with the
first batch that it commits.
"""

import argparse
import statistics
import time
from typing import Final, NamedTuple

from bench.load import Generator
from bench.place import Place, place
from bench.systems import PIPELINE
from bench.trial import environment, start, wait

STAGE: Final = "payments"
RATE: Final = 200  # facts a second
_ORDERS: Final = 50_000  # more than are sent before it is over
_PROGRESS: Final = f"SELECT sum(next_offset) FROM consumer_positions WHERE stage = '{STAGE}'"


class Restart(NamedTuple):
    """Seconds, by how the process ended."""

    killed: list[float]
    stopped: list[float]


def restarts(where: Place, times: int) -> Restart:
    """Kill and stop it so many times each, while facts keep coming."""
    with Generator(environment(where), _ORDERS, "restart", RATE) as generator:
        generator.go()
        seconds = Restart([], [])
        for _ in range(times):
            seconds.killed.append(_again(where, kill=True))
            seconds.stopped.append(_again(where, kill=False))
    return seconds


def _again(where: Place, *, kill: bool) -> float:
    _moves(where)
    child = where.supervisor.child(STAGE)
    began = time.monotonic()
    if kill:
        child.kill()
    else:
        where.supervisor.stop(STAGE)
    where.start({STAGE: PIPELINE.programs[STAGE]})
    _moves(where)
    return time.monotonic() - began


def _moves(where: Place) -> None:
    """Wait until the stage commits a batch."""
    before = where.number(_PROGRESS)
    wait(where, lambda: where.number(_PROGRESS) > before)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.restart", description=__doc__)
    parser.add_argument("--times", type=int, default=3)
    given = parser.parse_args()
    with place() as where:
        start(where, PIPELINE, 1_000)
        seconds = restarts(where, given.times)
    for how, taken in seconds._asdict().items():
        each = ", ".join(f"{one:.1f}" for one in taken)
        print(f"{how}: works again after {statistics.median(taken):.1f} s (median of {each})")


if __name__ == "__main__":
    main()
