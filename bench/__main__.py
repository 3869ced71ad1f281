"""`python -m bench`: the pipeline beside the limit of its parts and its peers, in one run on one machine.

Bursts, then a steady rate. `--quick` takes two minutes; without it, medians of several rounds. Peers
get bursts of their own size, since one is a hundred times slower. The last line is the figure.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.latency import Latency, paced
from bench.place import place
from bench.pure import Pure, pure
from bench.systems import FAUST, KAFKA_STREAMS, LIMIT, PIPELINE, TEXTBOOK, has_java
from bench.trial import System, Trial, burst, start
from consumers.engine.config import load_settings, render_settings
from ops.local.postgres import SETTINGS as POSTGRES_SETTINGS


class Size(NamedTuple):
    """How much is measured."""

    rounds: int
    orders: int  # of a burst, for the pipeline and the limit; a third of them again to warm up
    faust_orders: int
    textbook_orders: int
    streams_orders: int  # 0: it is left out; so it is where no Java can be built
    paced_seconds: int
    # facts a second; of the first, percentiles are in the last line; none: half of the burst's
    rates: tuple[int, ...]


QUICK: Final = Size(1, 10_000, 2_000, 200, 0, 10, (500,))
WHOLE: Final = Size(3, 20_000, 5_000, 500, 20_000, 40, (500, 1_000, 2_000))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; the last line sums it up."""
    given = _parser().parse_args(arguments)
    size = QUICK if given.quick else WHOLE
    rates = (given.rate,) if given.rate else size.rates
    size = size._replace(
        rounds=given.rounds or size.rounds,
        orders=given.orders or size.orders,
        rates=() if given.half else rates,
    )
    conditions = _conditions()
    print("\n".join(f"{name}: {value}" for name, value in conditions.items()), flush=True)
    alone = pure()
    print(f"one core, no server: {_pure(alone)} facts/s", flush=True)
    trials: dict[str, list[Trial]] = {
        name: [] for name in ("pipeline", "limit", "textbook", "faust", "streams")
    }
    latencies: list[list[Latency]] = []
    for _ in range(size.rounds):
        last = _round(size, trials, given.only)
        latencies.append(last)
    _summary(trials, latencies)
    if given.out is not None:
        _save(given.out, conditions, alone, trials, latencies)
    print(_last_line(trials, latencies), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two minutes instead of ten")
    parser.add_argument("--rounds", type=int, help="medians of so many")
    parser.add_argument("--orders", type=int, help="in a burst, four facts each")
    parser.add_argument("--rate", type=int, help="facts a second at the steady pace")
    parser.add_argument("--half", action="store_true", help="at half the rate of the burst before")
    parser.add_argument("--only", choices=("pipeline", "pair"), help="leave the others out")
    parser.add_argument("--out", type=Path, help="keep all figures in this file, as JSON")
    return parser


def _round(size: Size, trials: dict[str, list[Trial]], only: str | None) -> list[Latency]:
    """One burst of each, and the steady rates; each system on servers of its own."""
    latencies = []
    warm_up = size.orders // 3
    with place() as where:
        start(where, PIPELINE, warm_up)
        trials["pipeline"].append(_told(PIPELINE, burst(where, PIPELINE, size.orders, warm_up)))
        before = warm_up + size.orders
        for rate in size.rates or (int(trials["pipeline"][-1].rate / 2),):
            latencies.append(paced(where, PIPELINE, rate, size.paced_seconds, before))
            before += latencies[-1].commands * 2
            print(_latency(latencies[-1]), flush=True)
    others = [(LIMIT, size.orders), (FAUST, size.faust_orders), (TEXTBOOK, size.textbook_orders)]
    if size.streams_orders and has_java():
        others.append((KAFKA_STREAMS, size.streams_orders))
    for system, orders in others[: {"pipeline": 0, "pair": 1, None: len(others)}[only]]:
        with place() as where:
            start(where, system, orders // 3)
            trials[system.name].append(_told(system, burst(where, system, orders, orders // 3)))
    return latencies


def _told(system: System, trial: Trial) -> Trial:
    cpu = "  ".join(f"{who} {us:.1f}" for who, us in sorted(trial.cpu_us.items()))
    memory = ", ".join(f"{mb:.0f}" for mb in trial.rss_mb.values())
    print(
        f"{system.name:9} {trial.rate:9,.0f} facts/s   CPU µs a fact {sum(trial.cpu_us.values()):.0f}:"
        f" {cpu}\n{'':9} WAL bytes a fact {trial.wal_bytes / trial.facts:.0f}, MB a process {memory}",
        flush=True,
    )
    return trial


def _latency(latency: Latency) -> str:
    told = "  ".join(f"p{percent:g} {ms:.1f}" for percent, ms in latency.ms.items())
    return (
        f"{latency.per_second:,} facts/s, {latency.commands:,} commands: ms {told}"
        f"  (generator late by {latency.late_ms_max:.0f} at most)"
    )


def _pure(alone: Pure) -> str:
    return ", ".join(f"{name} {rate:,.0f}" for name, rate in alone._asdict().items())


def _rates(trials: dict[str, list[Trial]]) -> dict[str, list[float]]:
    return {name: [trial.rate for trial in done] for name, done in trials.items() if done}


def _summary(trials: dict[str, list[Trial]], latencies: list[list[Latency]]) -> None:
    """Medians and spread."""
    for name, rates in _rates(trials).items():
        print(f"{name}: median {statistics.median(rates):,.0f} facts/s, {_spread(rates)}")
    for of_rate in zip(*latencies, strict=True):
        for percent in (50.0, 99.0):
            ms = [latency.ms[percent] for latency in of_rate]
            median = statistics.median(ms)
            per_second = sorted({latency.per_second for latency in of_rate})
            print(f"{_range(per_second)}/s p{percent:g}: median {median:.1f} ms, {_spread(ms)}")


def _range(rates: Sequence[int]) -> str:
    """One where they are all the same."""
    return f"{rates[0]:,}" + (f" to {rates[-1]:,}" if len(rates) > 1 else "")


def _spread(figures: Sequence[float]) -> str:
    return f"{min(figures):,.1f} to {max(figures):,.1f} in {len(figures)}"


def _last_line(trials: dict[str, list[Trial]], latencies: list[list[Latency]]) -> str:
    """Ratios are medians of those of each round: what both met together cancels out."""
    rates = _rates(trials)
    parts = [f"{statistics.median(rates['pipeline']):,.0f} facts/s"]
    for name, shown in (
        ("limit", "{:.2f} of the limit"),
        ("textbook", "{:.0f} x textbook"),
        ("faust", "{:.1f} x faust"),
    ):
        if name in rates:
            pairs = zip(rates["pipeline"], rates[name], strict=True)
            parts.append(shown.format(statistics.median(ours / theirs for ours, theirs in pairs)))
    for percent in (50.0, 99.0):
        ms = statistics.median(of_round[0].ms[percent] for of_round in latencies)
        parts.append(f"p{percent:g} {ms:.0f} ms")
    return "bench: " + ", ".join(parts)


def _conditions() -> dict[str, str]:
    """What the figures belong to."""
    settings = render_settings(load_settings())
    ours = {n: v for n, v in settings.items() if n.startswith(("ESCROW_BATCH", "ESCROW_RELAY"))}
    return {
        "machine": f"{platform.platform()}, {os.cpu_count()} CPUs {_cpu_model()}",
        "python": platform.python_version(),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "-s") else ""),
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
        "settings": json.dumps(ours),
        "postgres": json.dumps(POSTGRES_SETTINGS),
    }


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split("\n"):
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() or ""


def _save(
    out: Path,
    conditions: dict[str, str],
    alone: Pure,
    trials: dict[str, list[Trial]],
    latencies: list[list[Latency]],
) -> None:
    figures: dict[str, Any] = {
        "conditions": conditions,
        "pure": alone._asdict(),
        "trials": {name: [trial._asdict() for trial in done] for name, done in trials.items()},
        "latencies": [[latency._asdict() for latency in of_round] for of_round in latencies],
    }
    out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
