"""One process after the other works off a backlog, while those before it idle: what a fact costs each of them.

`python -m bench.alone [ORDERS]`: a minute. CPU seconds of the process, of PostgreSQL and of Kafka while it works, not
wall clock: neighbours disturb that less. Captures come first, so that nothing is parked.
"""

import sys
from typing import Final, NamedTuple

from bench.load import Generator
from bench.place import PARTITIONS, Place, place
from bench.systems import DECIDED_BY, SENT, STAGES
from bench.trial import environment, wait
from ops.local.processes import escrow
from ops.local.traffic import PLAIN_FACTS

ORDERS: Final = 20_000
_READS: Final = "SELECT count(*) FROM consumer_positions WHERE stage = '{}' AND epoch > 0"
_TAKEN: Final = "SELECT count(*) FROM outbox_slices WHERE epoch > 0"
_TO_SEND: Final = "SELECT count(*) FROM outbox"


class Cost(NamedTuple):
    """What one process cost while it worked: µs of CPU for each fact, or record sent."""

    name: str
    done: int
    process: float
    postgres: float
    kafka: float


def alone(orders: int) -> list[Cost]:
    """Each stage in its turn, then the relay. Raises unless every fact was applied."""
    costs = []
    with place() as where:
        with Generator(environment(where), orders, "alone") as generator:
            generator.go()
            generator.finish()
        for stage in STAGES:
            facts = orders * (2 if stage == "shipments" else 1)
            where.start({stage: escrow("consume", stage)})
            costs.append(_cost(where, stage, _READS.format(stage), DECIDED_BY.format(stage), facts))
        assert where.number("SELECT sum(applied) FROM batches") == PLAIN_FACTS * orders
        where.start({"relay": escrow("relay")})
        costs.append(_cost(where, "relay", _TAKEN, SENT, where.number(_TO_SEND)))
    return costs


def _cost(where: Place, name: str, begun_sql: str, done_sql: str, until: int) -> Cost:
    """From when it has begun to the end of its backlog: its start is not counted."""
    wait(where, lambda: where.number(begun_sql) >= PARTITIONS)
    before, began = where.number(done_sql), where.cpu_seconds()
    wait(where, lambda: where.number(done_sql) == until)
    ended = where.cpu_seconds()
    count = until - before
    us = [1e6 * (ended[who] - began[who]) / count for who in (name, "postgres", "kafka")]
    return Cost(name, until, *us)


def main(orders: int) -> None:
    """Print a line for each, and one for a fact of the plain workload."""
    costs = alone(orders)
    for cost in costs:
        print(_line(cost))
    facts = PLAIN_FACTS * orders
    shares = [(cost.done / facts, cost) for cost in costs]
    print(
        _line(
            Cost(
                "a fact",
                facts,
                sum(share * cost.process for share, cost in shares),
                sum(share * cost.postgres for share, cost in shares),
                sum(share * cost.kafka for share, cost in shares),
            )
        )
    )


def _line(cost: Cost) -> str:
    return (
        f"{cost.name:16} process {cost.process:6.1f}  postgres {cost.postgres:6.1f}"
        f"  kafka {cost.kafka:6.1f}  together {cost.process + cost.postgres + cost.kafka:6.1f} µs"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ORDERS)
