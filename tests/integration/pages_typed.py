"""Programs that stay and what they leave, typed as docs/console.md, docs/views.md and docs/webhooks.md have them.

A quarter of a minute, so it is part of `make examples`.
"""

import base64
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from consumers.engine.config import Settings
from ops.local.processes import escrow
from tests.integration.example_line import EXAMPLES, pays_out, working_line
from tests.integration.waiting import until
from tests.unit.test_webhooks import SECRET, Receiver, receiving

DOCS: Final = Path(__file__).parents[2] / "docs"
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def paid_out(kafka: str, settings: Settings) -> None:
    """An order has gone its way, and is told of."""
    with working_line(settings) as db:
        client = [sys.executable, "with_kafka_python.py", "ORDER"]
        pays_out(db, kafka, client, EXAMPLES / "python")


class Desk:
    """Where a person types what a page says."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.folder, self.log = folder, folder / "said"
        self.env = {
            **os.environ,
            "ESCROW_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "ESCROW_DATABASE__URL": settings.database.connection_url,
        }

    def types(self, page: str, written: str, *more: str) -> subprocess.Popen[bytes]:
        """What it says goes into `log`."""
        stands = rf"(^|`){re.escape(written)}(`|$| )"
        assert re.search(stands, (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE), written
        words = [str(self.folder) if word == "DIR" else word for word in shlex.split(written)]
        with self.log.open("wb") as output:
            return subprocess.Popen(
                escrow(*words[1:], *more), env=self.env, stdout=output, stderr=output
            )

    @contextmanager
    def runs(self, page: str, written: str, *more: str) -> Iterator[None]:
        """It stays until it is told to end, and ends well."""
        process = self.types(page, written, *more)
        try:
            yield
            process.terminate()
            assert process.wait(30) == 0, self.log.read_text()
        finally:
            process.kill()
            process.wait()

    def says(self, page: str, written: str) -> str:
        assert self.types(page, written).wait(110) == 0, self.log.read_text()
        return self.log.read_text()


@pytest.fixture
def desk(settings: Settings, tmp_path: Path) -> Desk:
    return Desk(settings, tmp_path)


def test_the_console_is_where_it_says(desk: Desk) -> None:
    with desk.runs("console.md", "escrow web --port 0 --host ::1"):
        until(lambda: "http://" in desk.log.read_text())
        (address,) = re.findall(r"http://\S+/", desk.log.read_text())
        assert address.startswith("http://[::1]:")
        with urllib.request.urlopen(address, timeout=30) as page:
            assert "<title>" in page.read().decode()


def test_the_views_show_who_was_paid(paid_out: None, desk: Desk) -> None:
    desk.says("views.md", "escrow views rebuild")
    assert re.search(r"\bacme\b", desk.says("views.md", "escrow views show"))


def test_webhooks_are_told_by_the_program(paid_out: None, desk: Desk) -> None:
    with receiving() as shop:
        desk.env["ESCROW_WEBHOOKS__ENDPOINTS_FILE"] = str(_endpoints(desk.folder, shop))
        with desk.runs("webhooks.md", "escrow webhooks run --data DIR", "--from-beginning"):
            until(lambda: "RELEASED" in {_became(got.body) for got in shop.got})


def _became(body: bytes) -> str | None:
    """Which status an order has now."""
    return json.loads(body)["data"].get("to")  # type: ignore[no-any-return]


def _endpoints(folder: Path, shop: Receiver) -> Path:
    (folder / "shop.secret").write_text("whsec_" + base64.b64encode(SECRET).decode())
    file = folder / "endpoints.json"
    file.write_text(json.dumps([{"name": "shop", "url": shop.url, "secret_file": "shop.secret"}]))
    return file
