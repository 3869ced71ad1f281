"""Does a fact cost the same when millions are there? `python -m bench.flat 10000 100000 500000`.

A first burst leaves true rows; these are multiplied in SQL until so many settled orders are in the
tables. Each size meets the same bursts, and every measured order is checked.
"""

import argparse
import json
import statistics
from pathlib import Path
from typing import Final, NamedTuple

from bench.place import Place, place
from bench.systems import PIPELINE
from bench.trial import Trial, burst, start
from ops.local.traffic import PLAIN_FACTS

SEED_ORDERS: Final = 5_000
BURST_ORDERS: Final = 5_000

# Every table in which a plain order leaves rows, and what makes a copy a row of its own.
_COPIES: Final[dict[str, dict[str, str]]] = {
    "escrows": {"order_id": "order_id || {tag}"},
    "facts": {"order_id": "order_id || {tag}", "id": "id || {tag}", "seq": "nextval('fact_seq')"},
    "identities": {"identity": "substr(sha256(identity || convert_to({tag}, 'UTF8')), 1, 16)"},
    "payments": {"order_id": "order_id || {tag}", "payment_id": "payment_id || {tag}"},
    "shipments": {"order_id": "order_id || {tag}"},
    "postings": {"order_id": "order_id || {tag}"},
    "commands": {"order_id": "order_id || {tag}", "command_id": "md5(command_id || {tag})"},
    "outbox": {"key": "key || {tag}", "sent_id": "md5(sent_id || {tag})", "id": ""},
}
_TAG: Final = "('~' || copy_no)"
_COLUMNS: Final = (
    "SELECT column_name FROM information_schema.columns"
    " WHERE table_schema = 'public' AND table_name = '{}' ORDER BY ordinal_position"
)


class Flat(NamedTuple):
    """One size, and what its bursts took."""

    settled_orders: int
    rates: list[float]
    cpu_us: dict[str, float]  # a fact, the median of each process and server
    wal_bytes: float  # a fact
    database_mb: float


def main() -> None:
    """Measure all sizes, smallest first, on servers that stay."""
    parser = argparse.ArgumentParser(prog="python -m bench.flat", description=__doc__)
    parser.add_argument("sizes", nargs="+", type=int, help="settled orders in the tables")
    parser.add_argument("--bursts", type=int, default=3, help="medians of so many")
    parser.add_argument("--out", type=Path, help="keep the figures in this file, as JSON")
    given = parser.parse_args()
    figures: list[Flat] = []
    with place() as where:
        start(where, PIPELINE, SEED_ORDERS)
        for table in _COPIES:
            where.query(f"CREATE UNLOGGED TABLE seed_{table} AS TABLE {table}")
        for size in sorted(given.sizes):
            fill(where, size)
            done = SEED_ORDERS + len(figures) * given.bursts * BURST_ORDERS
            figures.append(_measure(where, size, given.bursts, done))
            print(_told(figures[-1]), flush=True)
    if given.out is not None:
        text = json.dumps([flat._asdict() for flat in figures], indent=1)
        given.out.write_text(text + "\n", encoding="utf-8")
    first, last = figures[0], figures[-1]
    rate = statistics.median(last.rates) / statistics.median(first.rates) - 1
    cpu = sum(last.cpu_us.values()) / sum(first.cpu_us.values()) - 1
    print(f"flat: {rate:+.0%} facts/s, {cpu:+.0%} CPU a fact at {last.settled_orders:,} orders")


def fill(where: Place, orders: int) -> None:
    """Add copies of the seed until so many settled orders are there."""
    begin = where.number("SELECT count(*) FROM escrows") // SEED_ORDERS
    end = orders // SEED_ORDERS
    for table, changes in _COPIES.items() if end > begin else ():
        names = [str(row[0]) for row in where.query(_COLUMNS.format(table))]
        values = {name: f'"{name}"' for name in names} | changes
        kept = {f'"{name}"': value.format(tag=_TAG) for name, value in values.items() if value}
        where.query(
            f"INSERT INTO {table} ({', '.join(kept)}) SELECT {', '.join(kept.values())}"
            f" FROM seed_{table} CROSS JOIN generate_series({begin}, {end - 1}) AS copies(copy_no)"
        )
    where.vacuum()


def _measure(where: Place, size: int, bursts: int, done: int) -> Flat:
    system = PIPELINE._replace(check=_check)
    trials: list[Trial] = []
    for n in range(bursts):
        before = done + n * BURST_ORDERS
        trials.append(burst(where, system, BURST_ORDERS, before, prefix=f"at{size}-{n}"))
    cpu = {who: statistics.median(t.cpu_us[who] for t in trials) for who in trials[0].cpu_us}
    return Flat(
        size,
        [trial.rate for trial in trials],
        cpu,
        statistics.median(trial.wal_bytes / trial.facts for trial in trials),
        where.number("SELECT pg_database_size(current_database())") / 1e6,
    )


def _check(where: Place, orders: int) -> None:
    """What was decided here, not copied: released, with one command, each fact once."""
    ours = "WHERE order_id NOT LIKE '%~%'"
    released = where.number(f"SELECT count(*) FROM escrows {ours} AND status = 'RELEASED'")
    commands = where.number(f"SELECT count(*) FROM commands {ours}")
    facts = where.number(f"SELECT count(*) FROM facts {ours}")
    assert (released, commands, facts) == (orders, orders, PLAIN_FACTS * orders)


def _told(flat: Flat) -> str:
    cpu = "  ".join(f"{who} {us:.1f}" for who, us in sorted(flat.cpu_us.items()))
    return (
        f"{flat.settled_orders:,} orders, {flat.database_mb:,.0f} MB:"
        f" {statistics.median(flat.rates):,.0f} facts/s"
        f" ({min(flat.rates):,.0f} to {max(flat.rates):,.0f}),"
        f" CPU µs a fact {sum(flat.cpu_us.values()):.0f}: {cpu}, WAL {flat.wal_bytes:,.0f}"
    )


if __name__ == "__main__":
    main()
