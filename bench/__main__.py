"""`python -m bench [--orders N] [--runs K]`: the pipeline beside the limit of its parts.

In turn, each run on a stack of its own; quotes medians and the ratio pair by pair. The last line
is the figure: `bench: N facts/s, X.XX of the limit`.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys

from sqlalchemy import create_engine, text

from bench.trial import Place, Trial, place, query, run_trial
from consumers.engine.admin import spans
from ops.local.processes import escrow
from ops.local.traffic import PLAIN_TOPICS
from schemas.commands import PAYOUT_COMMANDS
from schemas.facts import FACT_TYPES, PAYMENTS, REFUND_REQUESTS, SHIPMENTS

_DECIDED = "SELECT sum(applied + refused + parked + duplicate + dead_letter)::bigint FROM batches"
STAGES = ("payments", "shipments", "refund_requests")


def pipeline(orders: int) -> Trial:
    """Everything on: three stages and the relay; done when every order's payout command is out."""
    with place() as where:

        def ready() -> bool:
            ((partitions,),) = query(where, "SELECT count(*) FROM consumer_positions")
            ((unowned,),) = query(where, "SELECT count(*) FROM outbox_slices WHERE epoch = 0")
            return partitions == 4 * len(STAGES) and unowned == 0

        def done() -> bool:
            ends = spans(where.settings, [PAYOUT_COMMANDS]).values()
            if sum(span.end for span in ends) < orders:
                return False
            return query(where, _DECIDED) == [(4 * orders,)]

        programs = {stage: escrow("consume", stage) for stage in STAGES}
        programs["relay"] = escrow("relay")
        trial = run_trial(where, programs, orders, ready, done)
        _check(where, orders)
        return trial


def limit(orders: int) -> Trial:
    """The parts alone: poll, validate, COPY; one process a topic, as above."""
    with place() as where:
        _make_table(where)
        counts = {PAYMENTS: orders, SHIPMENTS: 2 * orders, REFUND_REQUESTS: orders}
        assert set(counts) == set(PLAIN_TOPICS)
        programs = {
            f"limit-{topic}": (sys.executable, "-m", "bench.limit_worker", topic, str(count))
            for topic, count in counts.items()
        }

        def done() -> bool:
            return len(where.supervisor.exited) == len(programs)

        trial = run_trial(where, programs, orders, lambda: True, done)
        assert query(where, "SELECT count(*) FROM bench_limit") == [(4 * orders,)]
        return trial


def _make_table(where: Place) -> None:
    """The limit's one table, with no index but what a COPY needs: none."""
    engine = create_engine(where.settings.database.connection_url)
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE bench_limit (order_id text, type text, t int8, payload text)")
        )
    engine.dispose()


def _check(where: Place, orders: int) -> None:
    """A figure of a wrong result is worth nothing."""
    wrong = query(where, "SELECT count(*) FROM escrows WHERE status IS DISTINCT FROM 'RELEASED'")
    commands = query(where, "SELECT count(*), count(DISTINCT order_id) FROM commands")
    facts = query(where, "SELECT count(*) FROM facts")
    assert wrong == [(0,)], wrong
    assert commands == [(orders, orders)], commands
    assert facts == [(4 * orders,)], facts


def _show(name: str, trial: Trial) -> None:
    per_fact = 1e6 / trial.facts
    cpu = "  ".join(
        f"{who} {seconds * per_fact:.1f}" for who, seconds in sorted(trial.cpu_seconds.items())
    )
    total = sum(trial.cpu_seconds.values()) * per_fact
    print(f"{name:9} {trial.rate:9,.0f} facts/s   CPU µs a fact: {total:.1f} = {cpu}", flush=True)
    if trial.rss_mb:
        memory = "  ".join(f"{who} {mb:.0f}" for who, mb in sorted(trial.rss_mb.items()))
        print(f"{'':9} MB: {memory}   WAL bytes a fact: {trial.wal_bytes / trial.facts:.0f}")


def main() -> None:
    """Run the pairs and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--orders", type=int, default=50_000, help="four facts each")
    parser.add_argument("--runs", type=int, default=3, help="pairs")
    parser.add_argument("--quick", action="store_true", help="one pair of 12,500 orders")
    given = parser.parse_args()
    orders, runs = (12_500, 1) if given.quick else (given.orders, given.runs)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(
        f"commit {commit or 'unknown'}, {4 * orders:,} facts a run, {len(FACT_TYPES)} types known"
    )
    rates: list[float] = []
    ratios: list[float] = []
    for _ in range(runs):
        ours = pipeline(orders)
        _show("pipeline", ours)
        bound = limit(orders)
        _show("limit", bound)
        rates.append(ours.rate)
        ratios.append(ours.rate / bound.rate)
    print(f"ratio to the limit: {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
    rate, ratio = statistics.median(rates), statistics.median(ratios)
    print(f"bench: {rate:,.0f} facts/s, {ratio:.2f} of the limit")


if __name__ == "__main__":
    main()
