"""With confluent-kafka (librdkafka): paid in, confirmed, paid out. Usage: with_confluent_kafka.py ORDER.

librdkafka chooses partitions by CRC32 where Java's client and others use murmur2. That does no harm:
whichever partition a fact of an order lies in, it is decided under the order's lock.
"""

import json
import os
import sys
import time
from typing import Any

from confluent_kafka import Consumer, Producer

SERVERS = os.environ.get("ESCROW_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092")


def send(producer: Producer, topic: str, kind: str, id_: str, data: dict[str, Any]) -> None:
    """A fact in structured mode: the value is the whole CloudEvent."""
    event = {
        "specversion": "1.0", "source": "/examples/confluent-kafka", "id": id_, "type": kind, "data": data,
    }  # fmt: skip
    headers: list[tuple[str, str | bytes | None]] = [
        ("content-type", "application/cloudevents+json")
    ]
    producer.produce(topic, key=data["order_id"], value=json.dumps(event), headers=headers)
    if producer.flush(30) > 0:
        sys.exit("the broker did not take it")


def main(order: str) -> None:
    """Pay, confirm, then answer the payout as a gateway would."""
    producer = Producer({"bootstrap.servers": SERVERS, "enable.idempotence": True})
    captured = {
        "order_id": order, "payment_id": f"pay-{order}", "buyer_id": "anna", "supplier_id": "acme",
        "amount_minor": 4200, "currency": "EUR", "method": "visa", "paid_through": "escrow",
        "agreement_accepted": True,
    }  # fmt: skip
    send(producer, "escrow.payments.v1", "payment.captured", f"{order}.captured", captured)
    confirmed = {"order_id": order, "buyer_id": "anna"}
    topic = "escrow.refund-requests.v1"
    send(producer, topic, "delivery.confirmed", f"{order}.confirmed", confirmed)

    consumer = Consumer(
        {
            "bootstrap.servers": SERVERS,
            "group.id": f"confluent-kafka-{order}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["escrow.payout-commands.v1"])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        record = consumer.poll(1.0)
        if record is None or record.error() is not None or record.key() != order.encode():
            continue
        if dict(record.headers() or ())["ce_type"] != b"payout.release":
            continue
        command = json.loads(record.value() or b"")
        # A real gateway moves the money here, once for each command_id, and remembers that it has.
        result = {
            name: command[name] for name in ("order_id", "command_id", "amount_minor", "currency")
        }
        id_ = f"{command['command_id']}.{command['attempt']}.settled"
        send(producer, "escrow.gateway-results.v1", "gateway.settled", id_, result)
        consumer.commit(message=record, asynchronous=False)
        print("paid out", command["amount_minor"], command["currency"], "to", command["party_id"])
        break
    else:
        sys.exit("no command came")
    consumer.close()


if __name__ == "__main__":
    main(sys.argv[1])
