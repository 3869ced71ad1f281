"""The textbook: one consumer a topic, one ORM commit a message, an outbox that a thread sends.

`python -m bench.peers.textbook TOPIC`, or `relay`. Exactly-once by a table of message ids; the
order's row is locked, merged and committed with its outgoing command.
"""

import json
import sys
import time
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, create_engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from consumers.engine.config import load_settings
from consumers.engine.kafka_clients import make_consumer, make_producer
from schemas.commands import PAYOUT_COMMANDS


class Base(DeclarativeBase):
    pass


class Message(Base):
    __tablename__ = "textbook_messages"
    source: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)


class Order(Base):
    __tablename__ = "textbook_orders"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str] = mapped_column(default="NEW")
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    supplier_id: Mapped[str | None]
    confirmed: Mapped[bool] = mapped_column(default=False)
    shipments: Mapped[int] = mapped_column(default=0)


class Outgoing(Base):
    __tablename__ = "textbook_outbox"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str]
    payload: Mapped[str]
    sent: Mapped[bool] = mapped_column(default=False)
    __table_args__ = (Index("ix_textbook_unsent", "id", postgresql_where=text("NOT sent")),)


def handle(session: Session, record: Any) -> None:
    """One message, one transaction."""
    headers = {name: value.decode() for name, value in record.headers}
    if session.get(Message, (headers["ce_source"], headers["ce_id"])) is not None:
        return
    session.add(Message(source=headers["ce_source"], id=headers["ce_id"]))
    data = json.loads(record.value)
    found = select(Order).where(Order.order_id == data["order_id"]).with_for_update()
    order = session.scalars(found).one_or_none()
    if order is None:
        order = Order(order_id=data["order_id"], status="NEW", confirmed=False, shipments=0)
        session.add(order)
    match headers["ce_type"]:
        case "payment.captured":
            order.status = "HELD"
            order.amount_minor, order.supplier_id = data["amount_minor"], data["supplier_id"]
        case "delivery.confirmed":
            order.confirmed = True
        case _:
            order.shipments += 1
    if order.status == "HELD" and order.confirmed:
        order.status = "RELEASED"
        command = {"order_id": order.order_id, "amount_minor": order.amount_minor}
        session.add(Outgoing(key=order.order_id, payload=json.dumps(command), sent=False))


def consume(topic: str) -> None:
    """Read one topic, a message a commit; another worker's new row means: once more."""
    settings = load_settings()
    engine = create_engine(settings.database.connection_url)
    consumer = make_consumer(settings, f"textbook-{topic}", auto_offset_reset="earliest")
    consumer.partitions_for_topic(topic)
    consumer.subscribe([topic])
    while True:
        polled = consumer.poll(timeout_ms=250, max_records=100)
        for records in polled.values():
            for record in records:
                while True:
                    try:
                        with Session(engine) as session, session.begin():
                            handle(session, record)
                        break
                    except IntegrityError:
                        continue
        if polled:
            consumer.commit()


def relay() -> None:
    """Send what the outbox holds, mark it, again."""
    settings = load_settings()
    engine = create_engine(settings.database.connection_url)
    producer = make_producer(settings)
    while True:
        with Session(engine) as session, session.begin():
            unsent = select(Outgoing).where(Outgoing.sent.is_(False)).order_by(Outgoing.id)
            rows = session.scalars(unsent.limit(500)).all()
            for row in rows:
                producer.send(PAYOUT_COMMANDS, key=row.key.encode(), value=row.payload.encode())
                row.sent = True
            producer.flush()
        if not rows:
            time.sleep(0.005)


if __name__ == "__main__":
    relay() if sys.argv[1] == "relay" else consume(sys.argv[1])
