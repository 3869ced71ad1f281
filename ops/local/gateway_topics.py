"""A gateway's three topics from our side: commands are written, results are heard, nothing after the start is missed.

Listening joins no group. Each result is heard as it was written, whatever it is.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

from kafka import TopicPartition
from kafka.admin import MemberToRemove

from consumers.engine.asking import asked
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_admin, make_consumer
from consumers.engine.publishing import Wire, make_publisher
from schemas.commands import COMMAND_TOPIC
from schemas.facts import GATEWAY_RESULTS


class Result(NamedTuple):
    """One record of the results topic."""

    key: str
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


class GatewayTopics:
    """Open for as long as the `with` lasts. Raises KafkaUnavailable where Kafka does not answer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher = make_publisher(settings)

    def __enter__(self) -> Self:
        with asked(self._settings):
            self._consumer = make_consumer(self._settings, None)
            there = self._consumer.partitions_for_topic(GATEWAY_RESULTS) or ()
            partitions = [TopicPartition(GATEWAY_RESULTS, number) for number in there]
            ends = self._consumer.end_offsets(partitions)
            self._consumer.assign(partitions)
            for partition, end in ends.items():
                self._consumer.seek(partition, end)
        return self

    def __exit__(self, *_: object) -> None:
        self._publisher.close()
        self._consumer.close(autocommit=False, timeout_ms=2_000)

    def write(self, wires: Iterable[Wire]) -> None:
        """In order, and acknowledged. Raises what Kafka says against one of them."""
        for error in self._publisher.publish(wires):
            if error is not None:
                raise error

    def hear(self, wait_ms: int) -> list[Result]:
        """What has come since the last time; waits so long if nothing has."""
        with asked(self._settings):
            polled = self._consumer.poll(timeout_ms=wait_ms)
        return [_result(record) for records in polled.values() for record in records]

    def forget_readers(self) -> None:
        """Tell the groups that read commands that their members are gone; who still lives joins again.

        A program that was killed would otherwise keep its partitions until its session ends.
        """
        with asked(self._settings):
            admin = make_admin(self._settings)
            try:
                names = [group["group_id"] for group in admin.list_groups()]
                for name, group in (admin.describe_groups(names) if names else {}).items():
                    gone = [_to_remove(member) for member in group["members"] if _reads(member)]
                    if gone:
                        admin.remove_group_members(name, gone)
            finally:
                admin.close()


def _result(record: Any) -> Result:
    headers = tuple((name, value or b"") for name, value in record.headers)
    return Result((record.key or b"").decode(errors="replace"), headers, record.value or b"")


def _reads(member: dict[str, Any]) -> bool:
    """Whether it has asked for a topic of commands, in the words of the classic protocol."""
    asked_for = member["member_metadata"]
    topics = asked_for.get("topics", ()) if isinstance(asked_for, dict) else ()
    return not set(COMMAND_TOPIC.values()).isdisjoint(topics)


def _to_remove(member: dict[str, Any]) -> Any:
    return MemberToRemove(member["member_id"], member.get("group_instance_id"))
