"""The Python examples do what examples/README.md says: an order is paid in, confirmed and paid out."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

from consumers.engine.admin import apply_topics, republish
from consumers.engine.config import Settings
from examples.http_gateway.bank import Bank
from ops.contract.examples import SOURCES, example
from ops.said_by_people import fact_record
from schemas.commands import command_id
from schemas.facts import FACT_TYPES
from tests.integration.example_line import EXAMPLES, ask, pays_out, working_line
from tests.integration.waiting import until

CLIENTS = ("with_kafka_python.py", "with_confluent_kafka.py", "with_aiokafka.py")


def test_each_python_client_is_paid_in_and_out(kafka: str, settings: Settings) -> None:
    folder = EXAMPLES / "python"
    assert {path.name for path in folder.glob("*.py")} == set(CLIENTS)
    with working_line(settings) as db:
        for client in CLIENTS:
            pays_out(db, kafka, [sys.executable, client, "ORDER"], folder)


def test_the_adapter_to_copy_pays_through_its_bank(
    kafka: str, settings: Settings, tmp_path: Path
) -> None:
    """Its bank breaks the connection after the first payment: the command is settled all the same."""
    apply_topics(settings)
    bank = Bank()
    words = ["--bank", bank.url, "--data", str(tmp_path), "--begin", "latest"]
    adapter = subprocess.Popen(
        [sys.executable, "-m", "examples.http_gateway", *words],
        cwd=EXAMPLES.parent,
        env={**os.environ, "ESCROW_KAFKA__BOOTSTRAP_SERVERS": kafka},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert adapter.stdout is not None
        assert adapter.stdout.readline().startswith("reading from")
        order = f"order-{uuid.uuid4().hex[:8]}"
        command = command_id(order, "payout", 1)
        bank.manners[command] = ["breaks_after", "error_500"]
        with working_line(settings) as db:
            now_ms = time.time_ns() // 1_000_000  # the adapter looks at not_after by the wall clock
            for type_name in ("payment.captured", "delivery.confirmed"):
                data = example(type_name, order)
                if type_name == "payment.captured":
                    data["payment_id"] = f"pay-{order}"
                topic = FACT_TYPES[type_name].topic
                record, _ = fact_record(type_name, SOURCES[topic], order, data, now_ms)
                republish(settings, record)
            sql = f"SELECT state FROM commands WHERE command_id = '{command}'"
            until(lambda: ask(db, sql) == [("SETTLED",)])
        assert [paid["order"]["reference"] for paid in bank.executed()] == [command]
    finally:
        adapter.send_signal(signal.SIGTERM)
        adapter.wait(30)
        if adapter.stdout is not None:
            adapter.stdout.close()
        bank.close()
    assert adapter.returncode == 0


def test_every_client_is_in_the_table_of_the_page() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for folder in EXAMPLES.iterdir():
        if folder.is_dir() and folder.name not in ("__pycache__", "http_gateway"):
            assert f"examples/{folder.name}" in page, folder.name
