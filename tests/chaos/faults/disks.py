"""A disk that is full, PostgreSQL's or Kafka's, until somebody makes room again.

Each server has a small file system in memory for itself. A fault counts where the server has said
that there is no space left.
"""

import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

from ops.local.kafka import KafkaServer
from ops.local.postgres import PostgresServer
from tests.chaos.faults.hand import Fault, Nemesis

DISK_MB: Final = 320
SPACE_MB: Final = 2  # left at first, so that it runs out while somebody writes
FULL: Final = "No space left on device"


def why_not() -> str | None:
    """A mount of our own, in a namespace of its own, which ends with us."""
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    return (
        None if tried.returncode == 0 else f"no file system may be mounted: {tried.stderr.strip()}"
    )


def _full(nemesis: Nemesis, server: KafkaServer | PostgresServer) -> bool:
    before = _complaints(server.log_path)
    filler = server.data_dir / "filler"
    is_full = threading.Event()
    feeding = threading.Thread(target=_feed, args=(nemesis, is_full))
    _fill(filler)
    feeding.start()
    until = time.monotonic() + 15
    while _complaints(server.log_path) == before and time.monotonic() < until:
        time.sleep(0.1)
    is_full.set()
    time.sleep(nemesis.rng.uniform(1, 4))
    filler.unlink()
    if isinstance(server, PostgresServer):
        time.sleep(2)  # it may be restarting by itself
    elif server.running:
        time.sleep(1)
    if not server.running:
        server.start()
    feeding.join()
    return _complaints(server.log_path) > before


def _fill(filler: Path) -> None:
    free = shutil.disk_usage(filler.parent).free
    with filler.open("wb") as file:
        for _ in range(max(free // 1_048_576 - SPACE_MB, 0)):
            file.write(b"\0" * 1_048_576)


def _feed(nemesis: Nemesis, is_full: threading.Event) -> None:
    """As much as it takes, and no more: all of it must be decided within a minute afterwards."""
    for _ in range(20):
        if not is_full.is_set():
            nemesis.feed.burst(40)


def _complaints(log: Path) -> int:
    return log.read_text(errors="replace").count(FULL)


def _postgres(nemesis: Nemesis) -> bool:
    return _full(nemesis, nemesis.line.servers.postgres)


def _kafka(nemesis: Nemesis) -> bool:
    return _full(nemesis, nemesis.rng.choice(nemesis.line.servers.nodes))


FAULTS: Final[dict[str, Fault]] = {
    "PostgreSQL's disk full": _postgres,
    "Kafka's disk full": _kafka,
}
