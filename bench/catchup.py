"""After an outage, does the line work off what piled up as fast as a burst? `python -m bench.catchup --orders 100000`.

All stages and the relay are stopped, facts go on coming, everything starts anew. The burst beside it
is worked off by the same warm programs right before. What a start costs is told apart: the clock of
the rate runs from the first batch to the last command.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Final, NamedTuple

from bench.load import Generator
from bench.place import Place, place
from bench.systems import PIPELINE, STAGES
from bench.trial import Trial, burst, environment, start, wait
from ops.local.traffic import PLAIN_FACTS

PART_ORDERS: Final = 20_000  # what one generator holds in memory
_MOVED: Final = "SELECT sum(next_offset) FROM consumer_positions"
_PARKED: Final = "SELECT sum(parked) FROM batches"


class CatchUp(NamedTuple):
    """One outage, and the burst before it."""

    facts: int
    start_seconds: float  # from starting the programs to the first batch
    seconds: float  # from there to the last command
    burst: float  # facts a second
    parked: float  # of the backlog: what came before its capture

    @property
    def rate(self) -> float:
        """Facts a second while it drained."""
        return self.facts / self.seconds


def catch_up(where: Place, orders: int, before: int, beside: Trial, tag: str) -> CatchUp:
    """Stop everything, let the facts of so many orders pile up, start, and check what became of them."""
    for name in (*reversed(STAGES), "relay"):
        where.supervisor.stop(name)
    for part in range(0, orders, PART_ORDERS):
        some = min(PART_ORDERS, orders - part)
        with Generator(environment(where), some, f"{tag}-{part}") as generator:
            generator.go()
            generator.finish()
    moved, parked = where.number(_MOVED), where.number(_PARKED)
    began = time.monotonic()
    where.start(PIPELINE.programs)
    wait(where, lambda: where.number(_MOVED) > moved)
    works = time.monotonic()
    limit = 120 + PLAIN_FACTS * orders / 500
    wait(where, lambda: PIPELINE.is_done(where, before + orders), limit)
    seconds = time.monotonic() - works
    PIPELINE.check(where, before + orders)
    facts = PLAIN_FACTS * orders
    share = (where.number(_PARKED) - parked) / facts
    return CatchUp(facts, works - began, seconds, beside.rate, share)


def _told(done: CatchUp) -> str:
    return (
        f"{done.facts:,} facts: first batch {done.start_seconds:.1f} s after the start, then"
        f" {done.seconds:.1f} s at {done.rate:,.0f} facts/s, {done.parked:.1%} parked;"
        f" the burst beside {done.burst:,.0f}: {done.rate / done.burst:.2f} of it"
    )


def main() -> None:
    """Measure, and print a line for each outage and one for all."""
    parser = argparse.ArgumentParser(prog="python -m bench.catchup", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, help="of an outage, four facts each")
    parser.add_argument("--burst", type=int, default=20_000, help="orders of the burst beside it")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep all figures in this file, as JSON")
    given = parser.parse_args()
    done: list[CatchUp] = []
    with place() as where:
        before = given.burst // 3
        start(where, PIPELINE, before)
        for n in range(given.rounds):
            beside = burst(where, PIPELINE, given.burst, before, f"burst{n}")
            before += given.burst
            done.append(catch_up(where, given.orders, before, beside, f"outage{n}"))
            before += given.orders
            print(_told(done[-1]), flush=True)
    if given.out is not None:
        text = json.dumps([one._asdict() for one in done], indent=1)
        given.out.write_text(text + "\n", encoding="utf-8")
    ratio = statistics.median(one.rate / one.burst for one in done)
    print(f"catchup: {ratio:.2f} of the burst's rate in the median of {len(done)}")


if __name__ == "__main__":
    main()
