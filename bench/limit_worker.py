"""The limit of the parts: poll, validate, COPY, commit; no decision, no dedupe, no outbox.

`python -m bench.limit_worker TOPIC COUNT`: ends when so many records are in the table.
"""

import sys

from sqlalchemy import text

from consumers.engine.config import load_settings
from consumers.engine.kafka_clients import make_consumer
from schemas.facts import FACT_TYPES
from storage.engine import driver, stage_engine


def main(topic: str, count: int) -> None:
    """Copy `count` records of the topic into `bench_limit`."""
    settings = load_settings()
    consumer = make_consumer(settings, f"limit-{topic}", auto_offset_reset="earliest")
    consumer.partitions_for_topic(topic)
    consumer.subscribe([topic])
    engine = stage_engine(settings.database.connection_url)
    copy_sql = b"COPY bench_limit (order_id, type, t, payload) FROM STDIN (FORMAT BINARY)"
    validators = {name: fact.model.__pydantic_validator__ for name, fact in FACT_TYPES.items()}
    done = 0
    with engine.connect() as connection:
        while done < count:
            polled = consumer.poll(timeout_ms=250, max_records=5_000)
            records = [record for of_partition in polled.values() for record in of_partition]
            if not records:
                continue
            with (
                connection.begin(),
                driver(connection).cursor() as cursor,
                cursor.copy(copy_sql) as copy,
            ):
                copy.set_types(["text", "text", "int8", "text"])
                for record in records:
                    type_name = dict(record.headers)["ce_type"].decode()
                    data = validators[type_name].validate_json(record.value)
                    copy.write_row(
                        (data.order_id, type_name, record.timestamp, record.value.decode())
                    )
            done += len(records)
        connection.execute(text("SELECT 1"))
    consumer.close(autocommit=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
