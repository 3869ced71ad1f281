"""A gateway adapter on Kafka with one planted bug: `python -m tests.integration.planted_adapter "BUG" --paid FILE`.

The decisions are those of tests/unit/planted_gateways.py; this is the program around them, until SIGTERM. It reads
from the end of the topics, in no group, and writes down what was paid before it answers.
"""

import argparse
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from ops.conformance.rig import Given
from schemas.command_door import KIND_OF_TOPIC
from tests.unit.planted_gateways import Planted


def main() -> None:
    """Read, decide, note, answer."""
    given = argparse.ArgumentParser()
    given.add_argument("bug")
    given.add_argument("--paid", required=True, type=Path)
    options = given.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    servers = os.environ["ESCROW_KAFKA__BOOTSTRAP_SERVERS"]
    adapter = Planted(options.bug)
    adapter.relay_key = None
    producer = KafkaProducer(bootstrap_servers=servers, acks="all")
    consumer = KafkaConsumer(bootstrap_servers=servers, auto_offset_reset="latest")
    there = [(topic, number) for topic in KIND_OF_TOPIC for number in _numbers(consumer, topic)]
    consumer.assign([TopicPartition(*where) for where in there])
    told = 0
    while not stop.is_set():
        for records in consumer.poll(timeout_ms=50).values():
            for one in records:
                place = (KIND_OF_TOPIC[one.topic], one.timestamp, one.key.decode())
                adapter.give(Given(*place, tuple(one.headers), one.value))
        paid = "".join(json.dumps(one._asdict()) + "\n" for one in adapter.moved())
        options.paid.write_text(paid, encoding="utf-8")
        news = adapter.said()[told:]
        told += len(news)
        for answer in news:
            topic, key = "escrow.gateway-results.v1", answer.key.encode()
            producer.send(topic, key=key, value=answer.value, headers=list(answer.headers))
    producer.close()
    consumer.close()


def _numbers(consumer: Any, topic: str) -> set[int]:
    found: set[int] = consumer.partitions_for_topic(topic)
    return found


if __name__ == "__main__":
    main()
