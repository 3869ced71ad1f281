"""`python -m bench.drain`: does the time to drain that we promise come true? And is the delay right?

A stage is stopped, records come, it is started again with small batches, so that draining takes a
while. Every second the promise is noted; at the end each is compared with what then happened.
"""

import argparse
import statistics
import sys
import time
import uuid
from contextlib import closing
from typing import Final

from ops.lag import StageLag, by_stage
from ops.lag_watch import LagWatch
from ops.local.pipeline import Pipeline
from ops.local.traffic import plain, publish
from schemas.door import Record
from schemas.facts import SHIPMENTS

STAGE: Final = "shipments"
SMALL: Final = {"ESCROW_BATCH__RECORDS_MAX": "50"}


def main() -> int:
    """Print a line a second, and what became of the promises."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=10_000)
    parser.add_argument("--seconds-max", type=float, default=240)
    arguments = parser.parse_args()
    with (
        Pipeline(gateway=False, env=SMALL) as pipeline,
        closing(LagWatch(pipeline.settings)) as watch,
    ):
        pipeline.stop_program(STAGE)
        publish(_parcels(arguments.facts), pipeline.settings)
        behind = _now(watch)
        print(f"stopped: {behind.behind:,} behind, {behind.seconds:.1f} s, {behind.verdict}")
        pipeline.start_program(STAGE)
        promises = _follow(watch, arguments.seconds_max)
    ended = promises.pop()[0]
    errors = [
        (drain - (ended - at)) / (ended - at)
        for at, drain in promises
        if drain is not None and ended - at > 2.0
    ]
    if not errors:
        print("drained before anything could be promised: give more --facts")
        return 1
    worst = max(errors, key=abs)
    print(
        f"promises: {len(errors)}, error {statistics.median(errors):+.0%} (median), {worst:+.0%} (worst);"
        f" within 30 %: {sum(abs(error) <= 0.3 for error in errors)} of {len(errors)}"
    )
    return 0


def _follow(watch: LagWatch, seconds_max: float) -> list[tuple[float, float | None]]:
    """(when, promised) once a second; the last one is when nothing was behind any more."""
    began = time.monotonic()
    promises: list[tuple[float, float | None]] = []
    while True:
        lag = _now(watch)
        at = time.monotonic()
        promises.append((at, lag.drain_seconds))
        if not lag.behind:
            return promises
        drain = "-" if lag.drain_seconds is None else f"{lag.drain_seconds:.0f} s"
        print(
            f"{at - began:5.1f} s  {lag.behind:7,} behind  {lag.rate_out or 0:6,.0f}/s  drained in {drain}"
        )
        if at - began > seconds_max:
            raise TimeoutError("it does not drain: give fewer --facts, or more --seconds-max")
        time.sleep(1.0)


def _now(watch: LagWatch) -> StageLag:
    return next(lag for lag in by_stage(watch.look()) if lag.stage == STAGE)


def _parcels(count: int) -> list[Record]:
    """What carriers say about orders that nobody has paid for yet: two facts an order."""
    now = time.time_ns() // 1_000_000
    orders = plain(count // 2, prefix=f"drain-{uuid.uuid4().hex[:6]}", window=1)
    return [r._replace(timestamp_ms=now) for r in orders if r.topic == SHIPMENTS]


if __name__ == "__main__":
    sys.exit(main())
