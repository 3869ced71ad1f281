"""The part of the line that an order needs from paid in to paid out, and a client of ours or others on it."""

import os
import subprocess
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, text

from consumers.engine.admin import apply_topics, spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import cluster_id_of
from consumers.engine.relay import run_relay
from consumers.engine.worker import run_stage
from consumers.stages import STAGES
from schemas.facts import INPUT_TOPICS, STAGE_TOPICS
from storage.positions import take_epoch
from tests.integration.waiting import until

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
WORKED: Final = ("payments", "refund_requests", "gateway_results")
CLIENT_SECONDS_MAX: Final = 110


@contextmanager
def working_line(settings: Settings, stages_at_work: Iterable[str] = WORKED) -> Iterator[Engine]:
    """These stages and the relay, from the ends of the topics on; the gateway's part is the client's."""
    apply_topics(settings)
    cluster = cluster_id_of(settings)
    stages = {topic: stage for stage, topic in STAGE_TOPICS.items()}
    db = create_engine(settings.database.connection_url)
    with db.begin() as connection:
        for where, span in spans(settings, INPUT_TOPICS).items():
            take_epoch(connection, stages[where[0]], *where, cluster, span.end)
    stop = threading.Event()
    threads = [
        threading.Thread(target=run_stage, args=(settings, STAGES[name], stop), daemon=True)
        for name in stages_at_work
    ]
    threads.append(threading.Thread(target=run_relay, args=(settings, stop), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield db
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        db.dispose()
        assert not any(thread.is_alive() for thread in threads)


def ask(db: Engine, sql: str) -> list[Any]:
    with db.begin() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def pays_out(db: Engine, kafka: str, command: Sequence[str], folder: Path) -> None:
    """The client, given a new order, must bring it from paid in to paid out."""
    order = f"order-{uuid.uuid4().hex[:8]}"
    ended = subprocess.run(
        [word.replace("ORDER", order) for word in command],
        cwd=folder,
        env={**os.environ, "ESCROW_KAFKA__BOOTSTRAP_SERVERS": kafka},
        capture_output=True,
        text=True,
        timeout=CLIENT_SECONDS_MAX,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "paid out 4200 EUR to acme" in ended.stdout
    wanted = [(order, "RELEASED", 4200, "SETTLED")]
    sql = (
        "SELECT order_id, status, paid_out_minor, state FROM escrows JOIN commands USING (order_id)"
        f" WHERE order_id = '{order}'"
    )
    until(lambda: ask(db, sql) == wanted)
    assert ask(db, "SELECT code FROM dead_letters") == []
