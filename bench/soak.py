"""Does the line stay as it is? `python -m bench.soak --minutes 60 --rate 100`: all its programs, under a steady load.

Once a minute: the memory of every program, the longest silence of the topic of payouts, and how long
commands took from when their fact was due. The verdict is printed only if every order has one command
and every fact is stored once.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from hdrh.histogram import HdrHistogram

from bench.latency import PERCENTILES, US_MAX, Listener, due
from bench.load import Generator
from bench.place import PARTITIONS, Place, place
from bench.systems import PIPELINE, READ
from bench.trial import System, environment, wait
from ops.local.pipeline import STAGES
from ops.local.ports import free_port
from ops.local.processes import escrow
from ops.local.traffic import PLAIN_FACTS, PLAIN_TOPICS
from schemas.commands import PAYOUT_COMMANDS

PREFIX: Final = "soak"
START_SECONDS_MAX: Final = 900.0  # of fourteen programs, on a machine that others use as well
_PLAIN: Final = "('payments', 'shipments', 'refund_requests')"
_STAGES: Final = "SELECT count(DISTINCT stage) FROM consumer_positions WHERE epoch > 0"
_PLACES: Final = f"SELECT count(*) FROM consumer_positions WHERE epoch > 0 AND stage IN {_PLAIN}"
_UNTAKEN: Final = "SELECT count(*) FROM outbox_slices WHERE epoch = 0"
_READ: Final = f"{READ} WHERE stage IN {_PLAIN}"


class Minute(NamedTuple):
    """What one minute was like; its silence may have begun in the one before."""

    commands: int
    silence_seconds: float  # the longest between two commands
    ms: dict[float, float]  # from when a fact was due to its command, by percentile
    mb: dict[str, float]  # resident, of each program; private, of each server


class Growth(NamedTuple):
    """A straight line through the memory of one program, by least squares."""

    mb_first: float  # after the warm-up
    mb_last: float
    per_hour: float
    noise: float  # two standard errors of `per_hour`: less than that is no growth


def line(data: Path) -> System:
    """Every program of `escrow up`, on servers of the bench."""
    beside = {
        "relay": escrow("relay"),
        "ticker": escrow("ticker"),
        "gateway": escrow("gateway", "--data", str(data)),
        "metrics": escrow("metrics"),
        "web": escrow("web", "--port", str(free_port())),
        "views": escrow("views"),
    }
    stages = {stage: escrow("consume", stage) for stage in STAGES}
    return PIPELINE._replace(
        programs={**stages, **beside},
        is_ready=_is_ready,
        is_done=lambda where, orders: where.number(_READ) == PLAIN_FACTS * orders,
        check=_check,
    )


def _is_ready(where: Place) -> bool:
    stages, places = where.number(_STAGES), where.number(_PLACES)
    untaken = where.number(_UNTAKEN)
    return (stages, places, untaken) == (len(STAGES), len(PLAIN_TOPICS) * PARTITIONS, 0)


def _check(where: Place, orders: int) -> None:
    """As for a burst; what gateways answer is a fact as well, and none of the generator's."""
    released = where.number("SELECT count(*) FROM escrows WHERE status = 'RELEASED'")
    commands = where.query("SELECT count(*), count(DISTINCT order_id) FROM commands")
    facts = where.number("SELECT count(*) FROM facts WHERE type NOT LIKE 'gateway.%'")
    assert (released, commands) == (orders, [(orders, orders)]), (released, commands)
    assert facts == PLAIN_FACTS * orders, facts
    assert where.written(PAYOUT_COMMANDS) == orders


def soak(where: Place, system: System, rate: int, minutes: int) -> Iterator[Minute]:
    """Send at this rate for so long, and tell of each minute at its end."""
    orders = rate * 60 * minutes // PLAIN_FACTS
    due_ns = dict(due(orders, PREFIX, rate))
    with (
        Generator(environment(where), orders, PREFIX, rate) as generator,
        Listener(where, PREFIX) as listener,
    ):
        began_ns = generator.go()
        told = 0
        late_ms = 0.0
        last: list[int] = []  # when the last command of the minute before was heard
        for number in range(1, minutes + 1):
            time.sleep(max(0.0, began_ns / 1e9 + 60 * number - time.monotonic()))
            if number == minutes:
                late_ms = generator.finish().late_ms_max
                wait(where, lambda: len(listener.heard_ns) == orders)
            where.fail_if_ended()
            heard = list(listener.heard_ns.items())[told:]
            told += len(heard)
            late_us = [(at - began_ns - due_ns[order_id]) // 1_000 for order_id, at in heard]
            yield _minute(where, [*last, *(at for _, at in heard)], late_us)
            last = [at for _, at in heard[-1:]] or last
        wait(where, lambda: system.is_done(where, orders))
    print(f"every order has its one command; generator late by {late_ms:.0f} ms at most")
    system.check(where, orders)


def _minute(where: Place, heard_ns: Sequence[int], late_us: Sequence[int]) -> Minute:
    histogram = HdrHistogram(1, US_MAX, 3)
    for us in late_us:
        histogram.record_value(max(1, us))
    silences = [(after - before) / 1e9 for before, after in pairwise(heard_ns)]
    return Minute(
        len(late_us),
        max(silences, default=60.0),
        {p: histogram.get_value_at_percentile(p) / 1_000 for p in PERCENTILES},
        where.rss_mb() | where.servers_mb(),
    )


def growth(mb: Sequence[float]) -> Growth:
    """Of looks a minute apart; at least three."""
    hours = [n / 60 for n in range(len(mb))]
    slope, begin = statistics.linear_regression(hours, mb)
    left = sum((y - begin - slope * x) ** 2 for x, y in zip(hours, mb, strict=True))
    spread = sum((x - statistics.fmean(hours)) ** 2 for x in hours)
    return Growth(mb[0], mb[-1], slope, 2 * math.sqrt(left / (len(mb) - 2) / spread))


def _told(number: int, minute: Minute) -> str:
    ms = "  ".join(f"p{percent:g} {value:.0f}" for percent, value in minute.ms.items())
    stages = [minute.mb[stage] for stage in STAGES]
    return (
        f"minute {number:3}  {minute.commands:6,} commands, silence {minute.silence_seconds:.2f} s at"
        f" most, ms {ms}, MB a stage {min(stages):.0f} to {max(stages):.0f}"
    )


def _verdict(minutes: Sequence[Minute], warm_up: int) -> None:
    """Memory of each program after the warm-up, then silences and latencies of the same minutes."""
    after = minutes[warm_up:]
    print(f"{'MB':18} first   last   growth and its noise, MB/hour")
    for name in after[0].mb:
        grown = growth([minute.mb[name] for minute in after])
        print(
            f"{name:18} {grown.mb_first:5.0f}  {grown.mb_last:5.0f}"
            f"   {grown.per_hour:+6.2f} ± {grown.noise:.2f}"
        )
    p50, p99 = ([minute.ms[percent] for minute in after] for percent in (50.0, 99.0))
    print(
        f"soak: {len(after)} minutes after {warm_up}, longest silence"
        f" {max(minute.silence_seconds for minute in after):.2f} s, slowest command"
        f" {max(minute.ms[100.0] for minute in after):,.0f} ms, p50 {statistics.median(p50):.0f} ms,"
        f" p99 {statistics.median(p99):.0f} ms (worst minute {max(p99):.0f})"
    )


def main() -> None:
    """Measure, and print a line a minute."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--rate", type=int, default=1_000, help="facts a second")
    parser.add_argument("--out", type=Path, help="keep all figures in this file, as JSON")
    given = parser.parse_args()
    minutes: list[Minute] = []
    with TemporaryDirectory(prefix="escrow-bench-") as data, place() as where:
        system = line(Path(data))
        where.start(system.programs)
        wait(where, lambda: system.is_ready(where), START_SECONDS_MAX)
        for minute in soak(where, system, given.rate, given.minutes):
            minutes.append(minute)
            print(_told(len(minutes), minute), flush=True)
            if given.out is not None:
                text = json.dumps([one._asdict() for one in minutes], indent=1)
                given.out.write_text(text + "\n", encoding="utf-8")
    _verdict(minutes, given.minutes // 6)


if __name__ == "__main__":
    main()
