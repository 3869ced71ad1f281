"""The Python examples do what examples/README.md says: an order is paid in, confirmed and paid out."""

import sys

from consumers.engine.config import Settings
from tests.integration.example_line import EXAMPLES, pays_out, working_line

CLIENTS = ("with_kafka_python.py", "with_confluent_kafka.py", "with_aiokafka.py")


def test_each_python_client_is_paid_in_and_out(kafka: str, settings: Settings) -> None:
    folder = EXAMPLES / "python"
    assert {path.name for path in folder.glob("*.py")} == set(CLIENTS)
    with working_line(settings) as db:
        for client in CLIENTS:
            pays_out(db, kafka, [sys.executable, client, "ORDER"], folder)


def test_every_client_is_in_the_table_of_the_page() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for folder in EXAMPLES.iterdir():
        if folder.is_dir() and folder.name not in ("__pycache__", "http_gateway"):
            assert f"examples/{folder.name}" in page, folder.name
