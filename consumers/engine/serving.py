"""`/metrics`, `/livez` and `/readyz` on a small port of each process, on threads that no money waits for.

Where processes share a host each takes a free port (0) and leaves a file that says which: the folder is
what Prometheus reads with `file_sd_configs`.
"""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import REGISTRY

from consumers.engine.config import Settings
from consumers.engine.health import HEALTH, Judged
from consumers.engine.metrics import Shown, family

JOB: Final = "escrow"
_PROBES: Final = {"/livez": HEALTH.live, "/readyz": HEALTH.ready}


class _Handler(BaseHTTPRequestHandler):
    timeout = 5  # whoever asks slowly is hung up on
    server_version, sys_version = JOB, ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
        elif path in _PROBES:
            self._judge(_PROBES[path]())
        else:
            self._answer(404, "text/plain; charset=utf-8", b"/metrics /livez /readyz\n")

    def log_message(self, *_: Any) -> None:  # type: ignore[explicit-override]
        """Probes are no news."""

    def _judge(self, judged: Judged) -> None:
        text = f"{'ok' if judged.good else 'not ok'}: {judged.text}\n"
        self._answer(200 if judged.good else 503, "text/plain; charset=utf-8", text.encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def served(settings: Settings, program: str) -> Iterator[int | None]:
    """Serve for as long as this lasts, where a port is configured; gives the port.

    Raises OSError where the port is taken.
    """
    if settings.metrics_port is None:
        yield None
        return
    server = _Server((settings.metrics_host, settings.metrics_port), _Handler)
    ages = Shown(lambda: _ages(program))
    REGISTRY.register(ages)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        with _announced(settings, program, server.server_port):
            yield server.server_port
    finally:
        REGISTRY.unregister(ages)
        server.shutdown()
        server.server_close()


def _ages(program: str) -> Iterator[Family]:
    yield family("escrow_turn_age_seconds", [((program,), HEALTH.turn_age_seconds)])
    yield family("escrow_work_age_seconds", [((program,), HEALTH.work_age_seconds)])


@contextmanager
def _announced(settings: Settings, program: str, port: int) -> Iterator[None]:
    """A file of Prometheus's `file_sd` form says where we are, for as long as we are there."""
    folder = settings.metrics_targets
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    _forget_the_dead(folder)
    target = {"targets": [f"{settings.metrics_host}:{port}"], "labels": {"program": program}}
    file = folder / f"{program}-{os.getpid()}.json"
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".", delete=False) as fresh:
        fresh.write(json.dumps([target]) + "\n")
    Path(fresh.name).chmod(0o644)
    Path(fresh.name).replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _forget_the_dead(folder: Path) -> None:
    """Files of processes that were killed: nobody answers there any more, or somebody else does."""
    for file in folder.glob("*-*.json"):
        pid = file.stem.rpartition("-")[2]
        if pid.isdecimal() and not _is_running(int(pid)):
            file.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
