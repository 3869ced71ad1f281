"""The limit of the parts: poll, validate, COPY, commit; no decision, no dedupe, no outbox.

`python -m bench.limit_worker TOPIC`: works until it is stopped.
"""

import sys
from typing import Final

from sqlalchemy import text

from consumers.engine.config import load_settings
from consumers.engine.kafka_clients import make_consumer
from schemas.facts import FACT_TYPES
from storage.engine import driver, stage_engine

_COPY: Final = b"COPY bench_limit (order_id, type, t, payload) FROM STDIN (FORMAT BINARY)"
_BEGIN: Final = text("INSERT INTO bench_progress VALUES (:topic, 0)")
_DONE: Final = text("UPDATE bench_progress SET done = done + :more WHERE topic = :topic")


def main(topic: str) -> None:
    """Copy the topic's records into `bench_limit`."""
    settings = load_settings()
    consumer = make_consumer(settings, f"limit-{topic}", auto_offset_reset="earliest")
    consumer.partitions_for_topic(topic)
    consumer.subscribe([topic])
    engine = stage_engine(settings.database.connection_url)
    validators = {name: fact.model.__pydantic_validator__ for name, fact in FACT_TYPES.items()}
    with engine.connect() as connection:
        with connection.begin():
            connection.execute(_BEGIN, {"topic": topic})
        while True:
            polled = consumer.poll(timeout_ms=250, max_records=5_000)
            records = [record for of_partition in polled.values() for record in of_partition]
            if not records:
                continue
            with connection.begin():
                with driver(connection).cursor() as cursor, cursor.copy(_COPY) as copy:
                    copy.set_types(["text", "text", "int8", "text"])
                    for record in records:
                        name = dict(record.headers)["ce_type"].decode()
                        data = validators[name].validate_json(record.value)
                        copy.write_row(
                            (data.order_id, name, record.timestamp, record.value.decode())
                        )
                connection.execute(_DONE, {"topic": topic, "more": len(records)})


if __name__ == "__main__":
    main(sys.argv[1])
