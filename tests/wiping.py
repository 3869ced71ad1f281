"""A topic deleted and made anew, as somebody with the rights of an administrator could."""

import time

from consumers.engine.admin import apply_topics, spans
from consumers.engine.config import Settings
from consumers.engine.kafka_clients import make_admin


def wipe(settings: Settings, topic: str) -> None:
    """Afterwards the topic is there and empty."""
    admin = make_admin(settings)
    try:
        admin.delete_topics([topic])
    finally:
        admin.close()
    deadline = time.monotonic() + 15
    while spans(settings, [topic]) and time.monotonic() < deadline:
        time.sleep(0.1)
    apply_topics(settings)
