"""One process of a stage against two, where broker and database have processors of their own: `python -m bench.scale`.

The first half of the processors belongs to the servers, the rest to the programs. Each stage works off
the same backlog in its turn, while the others idle; in turn with one process and with more, round by
round. At the end, what higher rates would need, on paper (bench/paper.py).
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench import paper
from bench.load import Generator
from bench.paper import Costs
from bench.place import PARTITIONS, Place, place
from bench.systems import DECIDED_BY, PIPELINE, SENT, STAGES
from bench.trial import environment, wait
from ops.local.processes import escrow
from ops.local.traffic import PLAIN_FACTS
from schemas.facts import STAGE_TOPICS

WARM_ORDERS: Final = 1_000
_UNSENT: Final = "SELECT count(*) FROM outbox WHERE sent_at IS NULL"
_COMMITS: Final = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
_ADOPTED: Final = "SELECT sum(epoch) FROM consumer_positions WHERE stage = '{}'"


class Look(NamedTuple):
    """How much was spent so far."""

    at: float
    process: float  # CPU seconds, of all its processes
    backends: float  # of PostgreSQL's that serve it
    background: float  # of PostgreSQL's others
    kafka: float
    wal: int  # bytes
    commits: int


class Turn(NamedTuple):
    """One stage, or the relay, working alone off a backlog."""

    name: str
    processes: int
    done: int  # facts decided, or records sent
    spent: Look  # its `at` are seconds

    @property
    def rate(self) -> float:
        """Facts a second."""
        return self.done / self.spent.at

    def us(self, seconds: float) -> float:
        """CPU µs a fact."""
        return 1e6 * seconds / self.done


class Halves(NamedTuple):
    """Which processors belong to whom."""

    servers: tuple[int, ...]
    programs: tuple[int, ...]


def halves() -> Halves:
    """The first half for the servers. Two processors are the least."""
    cores = sorted(os.sched_getaffinity(0))
    assert len(cores) > 1, "one processor cannot be shared out"
    half = len(cores) // 2
    return Halves(tuple(cores[:half]), tuple(cores[half:]))


def staff(where: Place, cores: Halves, processes: int, most: int) -> None:
    """Have so many processes of each stage, each in its group, on their own processors."""
    names = {s: [s, *(f"{s}-{n}" for n in range(2, most + 1))] for s in STAGES}
    for stage, all_names in names.items():
        running = {n for n in where.supervisor.names if where.supervisor.child(n).running}
        for name in all_names[processes:]:
            if name in running:
                where.supervisor.stop(name)
        missing = [name for name in all_names[:processes] if name not in running]
        where.start({name: escrow("consume", stage) for name in missing})
    prefix = where.settings.kafka.group_prefix
    for stage in STAGES:
        wait(where, lambda stage=stage: where.members(f"{prefix}.{stage}") == processes)  # type: ignore[misc]
    where.pin(*cores)


def turns(where: Place, cores: Halves, orders: int, processes: int, tag: str) -> list[Turn]:
    """Each stage in its turn, then the relay, which is one."""
    for stage in STAGES:  # a group that has just been shared out anew proves that it works
        _work_off(where, stage, WARM_ORDERS, f"warm-{tag}")
    done = []
    for stage in STAGES:
        facts, before = _work_off(where, stage, orders, tag)
        done.append(_turn(stage, processes, facts, before, _look(where, stage)))
    sent = where.number(SENT)
    where.start({"relay": escrow("relay")})
    where.pin(*cores)
    wait(where, lambda: where.number(SENT) > sent)
    before, left = _look(where, "relay"), where.number(_UNSENT)
    wait(where, lambda: where.number(_UNSENT) == 0)
    done.append(_turn("relay", 1, left, before, _look(where, "relay")))
    where.supervisor.stop("relay")
    return done


def _work_off(where: Place, stage: str, orders: int, tag: str) -> tuple[int, Look]:
    """Send the facts of one stage until they are decided: how many, and what was spent before the first."""
    decided = DECIDED_BY.format(stage)
    facts = orders * (2 if stage == "shipments" else 1)
    until = where.number(decided) + facts
    with Generator(environment(where), orders, tag, 0, STAGE_TOPICS[stage]) as generator:
        before = _look(where, stage)
        generator.go()
        generator.finish()
        wait(where, lambda: where.number(decided) == until)
    return facts, before


def _look(where: Place, name: str) -> Look:
    families, backends = where.cpu_seconds(), where.backend_seconds()
    others = {n: spent for n, spent in backends.items() if not n.startswith(("escrow", "client"))}
    return Look(
        time.monotonic(),
        sum(spent for who, spent in families.items() if who.partition("-")[0] == name),
        backends.get(f"escrow-{name}", 0.0),
        sum(others.values()),
        families["kafka"],
        where.wal(),
        where.number(_COMMITS),
    )


def _turn(name: str, processes: int, done: int, before: Look, after: Look) -> Turn:
    spent = Look._make(b - a for a, b in zip(before, after, strict=True))
    return Turn(name, processes, done, spent)


def told(of_name: Sequence[Turn], cores: Halves) -> str:
    """Medians of the rounds with the same number of processes."""
    first = of_name[0]
    us = {
        who: statistics.median(turn.us(getattr(turn.spent, who)) for turn in of_name)
        for who in ("process", "backends", "background", "kafka")
    }
    rates = [turn.rate for turn in of_name]
    rate = statistics.median(rates)
    ours = us["process"] * rate / 1e6 / len(cores.programs)
    theirs = (us["backends"] + us["background"] + us["kafka"]) * rate / 1e6 / len(cores.servers)
    wal = statistics.median(turn.spent.wal / turn.done for turn in of_name)
    return (
        f"{first.name:16} x {first.processes}  {rate:7,.0f} facts/s ({min(rates):,.0f} to {max(rates):,.0f})"
        f"  CPU µs a fact: {'  '.join(f'{who} {cost:.1f}' for who, cost in us.items())}"
        f"  WAL {wal:,.0f}  busy: programs {ours:.0%}, servers {theirs:.0%}"
    )


def costs_of(where: Place, done: Sequence[Turn], orders: int) -> Costs:
    """Of one fact of the whole workload; medians of the turns with one process."""
    facts = PLAIN_FACTS * orders
    shares = {"payments": 0.25, "shipments": 0.5, "refund_requests": 0.25}
    shares["relay"] = where.number("SELECT count(*) FROM outbox") / facts
    of_fact = {
        name: {
            field: share * statistics.median(getattr(t.spent, field) / t.done for t in alone)
            for field in Look._fields
        }
        for name, share in shares.items()
        if (alone := [turn for turn in done if turn.name == name and turn.processes == 1])
    }
    total = {field: sum(spent[field] for spent in of_fact.values()) for field in Look._fields}
    sizes, inputs = where.topic_bytes(), {STAGE_TOPICS[stage] for stage in STAGES}
    return Costs(
        {name: 1e6 * spent["process"] for name, spent in of_fact.items()},
        1e6 * total["backends"],
        1e6 * total["background"],
        1e6 * total["kafka"],
        total["wal"],
        sum(size for topic, size in sizes.items() if topic in inputs) / facts,
        sum(size for topic, size in sizes.items() if topic not in inputs) / facts,
        total["commits"],
    )


def main() -> None:
    """Measure in turn, and print a line for each stage and number of processes, then the paper."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--orders", type=int, default=10_000, help="of a turn, four facts each")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="keep all figures in this file, as JSON")
    given = parser.parse_args()
    assert 1 in given.processes, "what others are compared with"
    assert max(given.processes) <= PARTITIONS, "who has no partition does nothing"
    cores, done, made = halves(), [], 0
    with place() as where:
        for n in range(given.rounds):
            for processes in given.processes if n % 2 else reversed(given.processes):
                staff(where, cores, processes, max(given.processes))
                done += turns(where, cores, given.orders, processes, f"r{n}k{processes}")
                rates = "  ".join(f"{t.name} {t.rate:,.0f}" for t in done[-len(STAGES) - 1 :])
                print(f"round {n + 1}, processes {processes}, facts/s: {rates}", flush=True)
                made += WARM_ORDERS + given.orders
        PIPELINE.check(where, made)
        costs = costs_of(where, done, made)
    print("\n".join(_summary(done, given.processes, cores)))
    print(_of_a_fact(costs))
    print("On paper, from these costs:\n" + paper.told(costs))
    if given.out is not None:
        kept = {"turns": [turn._asdict() for turn in done], "costs": costs._asdict()}
        given.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def _summary(done: Sequence[Turn], processes: Sequence[int], cores: Halves) -> Iterator[str]:
    for name in (*STAGES, "relay"):
        of = {k: [t for t in done if (t.name, t.processes) == (name, k)] for k in processes}
        for k, mine in of.items():
            if mine:
                yield told(mine, cores)
            if mine and k != 1:
                pairs = zip(mine, of[1], strict=True)
                gains = [more.rate / one.rate for more, one in pairs]
                yield (
                    f"{'':16} {k} processes to one: {statistics.median(gains):.2f} times as fast"
                    f" ({min(gains):.2f} to {max(gains):.2f})"
                )


def _of_a_fact(costs: Costs) -> str:
    processes = "  ".join(f"{name} {us:.1f}" for name, us in costs.processes.items())
    return (
        f"a fact, CPU µs: {processes}  backends {costs.backends:.1f}"
        f"  background {costs.background:.1f}  kafka {costs.kafka:.1f};"
        f" bytes: WAL {costs.wal:,.0f}, topics {costs.records_in:.0f} in, {costs.records_out:.0f} out;"
        f" commits {costs.commits:.4f}"
    )


if __name__ == "__main__":
    main()
