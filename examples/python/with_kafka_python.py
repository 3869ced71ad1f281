"""With kafka-python: an order is paid in, confirmed, and paid out. Usage: with_kafka_python.py ORDER."""

import json
import os
import sys
from typing import Any

from kafka import KafkaConsumer, KafkaProducer

SERVERS = os.environ.get("ESCROW_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:9092").split(",")


def send(producer: Any, topic: str, kind: str, id_: str, data: dict[str, Any]) -> None:
    """A fact in binary mode. Sent again under the same source and id, it is a duplicate."""
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_source": "/examples/kafka-python",
        "ce_id": id_,
        "ce_type": kind,
    }
    encoded = [(name, value.encode()) for name, value in headers.items()]
    key, value = data["order_id"].encode(), json.dumps(data).encode()
    producer.send(topic, key=key, value=value, headers=encoded).get(timeout=30)


def main(order: str) -> None:
    """Pay, confirm, then answer the payout as a gateway would."""
    producer = KafkaProducer(bootstrap_servers=SERVERS, acks="all", enable_idempotence=True)
    captured = {
        "order_id": order, "payment_id": f"pay-{order}", "buyer_id": "anna", "supplier_id": "acme",
        "amount_minor": 4200, "currency": "EUR", "method": "visa", "paid_through": "escrow",
        "agreement_accepted": True,
    }  # fmt: skip
    send(producer, "escrow.payments.v1", "payment.captured", f"{order}.captured", captured)
    confirmed = {"order_id": order, "buyer_id": "anna"}
    topic = "escrow.refund-requests.v1"
    send(producer, topic, "delivery.confirmed", f"{order}.confirmed", confirmed)

    consumer = KafkaConsumer(
        "escrow.payout-commands.v1",
        bootstrap_servers=SERVERS,
        group_id=f"kafka-python-{order}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        consumer_timeout_ms=60_000,
    )
    for record in consumer:
        if record.key != order.encode() or dict(record.headers)["ce_type"] != b"payout.release":
            continue
        command = json.loads(record.value)
        # A real gateway moves the money here, once for each command_id, and remembers that it has.
        result = {
            name: command[name] for name in ("order_id", "command_id", "amount_minor", "currency")
        }
        id_ = f"{command['command_id']}.{command['attempt']}.settled"
        send(producer, "escrow.gateway-results.v1", "gateway.settled", id_, result)
        consumer.commit()
        print("paid out", command["amount_minor"], command["currency"], "to", command["party_id"])
        break
    else:
        sys.exit("no command came")
    consumer.close()
    producer.close()


if __name__ == "__main__":
    main(sys.argv[1])
