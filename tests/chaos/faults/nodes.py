"""Three Kafka nodes, replication 3, two in step at least: rolled one by one, killed one and two at a time."""

import time
from typing import Final

from consumers.engine.kafka_clients import make_admin
from schemas.topics import TOPICS
from tests.chaos.faults.hand import Fault, Nemesis

NODES: Final = 3
IN_STEP_SECONDS_MAX: Final = 40.0


def _rolled(nemesis: Nemesis) -> bool:
    """As an upgrade does it: the next only when all replicas are in step again."""
    nodes = nemesis.line.servers.nodes
    for node in nemesis.rng.sample(nodes, len(nodes)):
        node.stop()
        nemesis.feed.burst(4)
        node.start()
        nemesis.feed.burst(4)
        if not _await_in_step(nemesis):
            return False
    return True


def _killed(number: int) -> Fault:
    """One: work goes on. Two: nothing is acknowledged until they are back."""

    def fault(nemesis: Nemesis) -> bool:
        some = nemesis.rng.sample(nemesis.line.servers.nodes, number)
        for node in some:
            node.kill()
        if number == 1:
            nemesis.feed.burst(4)
        time.sleep(nemesis.rng.uniform(1, 4))
        for node in some:
            node.start()
        nemesis.feed.burst(4)
        return _await_in_step(nemesis)

    return fault


def _await_in_step(nemesis: Nemesis) -> bool:
    until = time.monotonic() + IN_STEP_SECONDS_MAX
    while time.monotonic() < until:
        admin = make_admin(nemesis.line.settings)
        try:
            topics = admin.describe_topics([topic.name for topic in TOPICS])
        finally:
            admin.close()
        if all(len(p["isr_nodes"]) == NODES for topic in topics for p in topic["partitions"]):
            return True
        time.sleep(0.5)
    return False


FAULTS: Final[dict[str, Fault]] = {
    "three Kafka nodes rolled": _rolled,
    "one of three Kafka nodes killed": _killed(1),
    "two of three Kafka nodes killed": _killed(2),
}
