"""Whether a line has been taken over, and whether it has finished: read from the truth, never from logs.

Finished is asked in one order: first what is decided, told and answered, then where the topics end.
What is found finished so was finished at one moment, whatever arrives meanwhile.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from consumers.engine.admin import Span, spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_consumer
from consumers.engine.records import Partition
from ops.local.gateway import standing
from ops.local.gateway.tricks import plan_of, trick_of
from schemas.commands import COMMAND_TOPIC
from schemas.facts import STAGE_TOPICS
from storage.outbox import SLICES
from storage.pulse import OpenCommand, Pulse, epochs, pulse, slice_epochs
from storage.reading import snapshot


class Taken(NamedTuple):
    """The epochs of partitions and of outbox slices; each one grows when a writer takes over."""

    partitions: Mapping[Partition, int]
    slices: Mapping[int, int]


def taken(settings: Settings) -> Taken:
    """As it is now."""
    with snapshot(settings.database.connection_url) as connection:
        return Taken(epochs(connection), slice_epochs(connection))


def partitions_of(settings: Settings, topics: Collection[str]) -> set[Partition]:
    """All partitions of these topics, by metadata alone: leaders need not answer yet."""
    consumer = make_consumer(settings, None)
    try:
        return {
            (topic, partition)
            for topic in topics
            for partition in consumer.partitions_for_topic(topic) or ()
        }
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def untaken(before: Taken, now: Taken, wanted: Collection[Partition]) -> list[str]:
    """What nobody has taken over since `before`."""
    partitions = [
        f"{topic}[{partition}]"
        for topic, partition in sorted(wanted)
        if now.partitions.get((topic, partition), 0) <= before.partitions.get((topic, partition), 0)
    ]
    slices = [
        f"outbox slice {slice_}"
        for slice_ in range(SLICES)
        if now.slices.get(slice_, 0) <= before.slices.get(slice_, 0)
    ]
    return partitions + slices


def gateway_reads(gateway_dir: Path, commands: Collection[Partition]) -> bool:
    """Whether the simulator knows where it stands in each partition of the command topics."""
    return standing(gateway_dir).positions.keys() >= set(commands)


def unfinished(settings: Settings, gateway_dir: Path | None) -> list[str]:
    """What is not decided, not sent or, where a gateway works, not answered. Empty: all is."""
    with snapshot(settings.database.connection_url) as connection:
        now = pulse(connection)
    left = _left(now, with_gateway=gateway_dir is not None)
    if left:
        return left  # saves asking Kafka while it cannot be finished
    positions = dict(now.positions)
    topics = list(STAGE_TOPICS.values())
    if gateway_dir is not None:
        gateway = standing(gateway_dir)
        if gateway.unsent:
            return [f"{gateway.unsent} answers of the gateway not sent"]
        positions |= gateway.positions
        topics += COMMAND_TOPIC.values()
    return _behind(positions, spans(settings, topics))


def _left(now: Pulse, *, with_gateway: bool) -> list[str]:
    left = []
    if now.unsent:
        left.append(f"{now.unsent} outbox rows not sent")
    if now.due:
        left.append(f"{now.due} deadlines not decided")
    unanswered = [command for command in now.open_commands if _will_be_answered(command)]
    if with_gateway and unanswered:
        left.append(f"{len(unanswered)} commands not answered, such as {unanswered[0].command_id}")
    return left


def _will_be_answered(command: OpenCommand) -> bool:
    """False for the magic amounts about which the simulator is silent until asked."""
    plan = plan_of(trick_of(command.amount_minor, command.purpose), command.failures)
    return any(saying.when != "asked" for saying in plan.sayings)


def _behind(positions: Mapping[Partition, int], ends: Mapping[Partition, Span]) -> list[str]:
    return [
        f"{topic}[{partition}] {span.end - positions.get((topic, partition), 0)} behind"
        for (topic, partition), span in sorted(ends.items())
        if span.end > positions.get((topic, partition), 0)
    ]
