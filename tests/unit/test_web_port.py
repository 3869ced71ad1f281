"""The console says where it listens, whatever port it was given."""

import queue
import threading
import urllib.request

from consumers.engine.config import load_settings
from ops.local.ports import LOOPBACK, free_port
from ops.web.serve import run_web


def test_a_port_that_was_chosen_for_it_is_the_one_it_tells() -> None:
    """It once said port 0."""
    nobody = f"{LOOPBACK}:{free_port()}"
    settings = load_settings(
        kafka={"bootstrap_servers": nobody},
        database={"url": f"postgresql+psycopg://nobody@{nobody}/escrow"},
        web={"port": 0},
    )
    stop, told = threading.Event(), queue.Queue[int]()
    thread = threading.Thread(target=run_web, args=(settings, stop, told.put), daemon=True)
    thread.start()
    try:
        port = told.get(timeout=60)
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/livez", timeout=60) as answer:
            assert answer.read() == b"ok"
        assert told.empty()
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
