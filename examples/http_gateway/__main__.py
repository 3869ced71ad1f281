"""The adapter at work: `python -m examples.http_gateway --bank URL --data FOLDER`, until SIGTERM or Ctrl-C.

An offset is committed once the answers have been acknowledged, so that a record is read again after
any death in between; the adapter then says the same again, under the same ids.
"""

import argparse
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer

from examples.http_gateway.adapter import Adapter, Answer, Bank, Unknown
from examples.http_gateway.rig import headers_of

KINDS: Final = {"escrow.refund-commands.v1": "refund", "escrow.payout-commands.v1": "payout"}
RETURNS_SECONDS: Final = 1.0


def send(producer: Any, answers: list[Answer]) -> None:
    """Write them, and wait until the broker has them."""
    sent = [
        producer.send(
            "escrow.gateway-results.v1",
            key=answer.data["order_id"].encode(),
            value=json.dumps(answer.data).encode(),
            headers=list(headers_of(answer)),
        )
        for answer in answers
    ]
    for future in sent:
        future.get(timeout=60)


def work(
    adapter: Adapter, servers: list[str], group: str, begin: str, stop: threading.Event
) -> None:
    """Read, decide, answer, commit; now and then ask the bank what has come back."""
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", enable_idempotence=True)
    consumer = KafkaConsumer(
        *KINDS,
        bootstrap_servers=servers,
        group_id=group,
        auto_offset_reset=begin,  # where this group has never read
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    asked_at = time.monotonic()
    is_reading = False
    while not stop.is_set():
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                type_name = dict(record.headers).get("ce_type", b"").decode()
                now_ms = time.time_ns() // 1_000_000
                kind = KINDS[record.topic]
                send(producer, adapter.take(kind, type_name, record.value or b"", now_ms))
            consumer.commit()
        if not is_reading and consumer.assignment():
            places = {
                f"{one.topic}/{one.partition}": consumer.position(one)
                for one in consumer.assignment()
            }
            print("reading from", places, flush=True)
            is_reading = True
        if time.monotonic() - asked_at > RETURNS_SECONDS:
            asked_at = time.monotonic()
            try:
                send(producer, adapter.returned())
            except Unknown as trouble:
                print("the bank does not answer:", trouble)
    consumer.close()
    producer.close()


def main() -> None:
    """Read the arguments; leave in good order."""
    given = argparse.ArgumentParser()
    given.add_argument("--bank", required=True)
    given.add_argument("--data", required=True, type=Path)
    given.add_argument("--begin", choices=("earliest", "latest"), default="earliest")
    given.add_argument("--group", default="http-gateway")
    options = given.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    options.data.mkdir(parents=True, exist_ok=True)
    adapter = Adapter(options.data / "adapter.sqlite3", Bank(options.bank))
    servers = os.environ.get("ESCROW_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092").split(",")
    work(adapter, servers, options.group, options.begin, stop)
    adapter.close()


if __name__ == "__main__":
    main()
