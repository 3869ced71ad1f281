"""Webhooks told beside a line to three real receivers: one takes all, one is out of order, one wants no more for a while."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from consumers.engine.config import Settings, WebhookSettings
from ops.webhooks.run import run_webhooks
from ops.webhooks.standing import CannotRead, read_standing
from tests.integration.waiting import until
from tests.unit.test_webhooks import SECRET, Receiver, receiving

# Name, what it is told, and how it answers first; then it takes what it gets.
RECEIVERS: Final[tuple[tuple[str, str, list[str]], ...]] = (
    ("shop", "fact.refused", []),
    ("desk", "order.changed", ["503"] * 1_000),
    ("archive", "fact.refused", ["410"]),
)


@contextmanager
def webhooks_beside(settings: Settings, folder: Path) -> Iterator[None]:
    """Told from the beginning of the topic, until left; each has answered at least once."""
    stop = threading.Event()
    with ExitStack() as until_the_end:
        servers = [until_the_end.enter_context(receiving()) for _ in RECEIVERS]
        given = WebhookSettings(endpoints_file=_endpoints(folder, servers))
        thread = threading.Thread(
            target=run_webhooks,
            args=(settings.model_copy(update={"webhooks": given}), folder, stop),
            kwargs={"from_beginning": True},
        )
        thread.start()
        until_the_end.callback(thread.join)
        until_the_end.callback(stop.set)
        until(lambda: _all_have_answered(folder))
        yield


def _endpoints(folder: Path, servers: list[Receiver]) -> Path:
    (folder / "secret").write_text("whsec_" + base64.b64encode(SECRET).decode())
    endpoints = []
    for server, (name, type_, moods) in zip(servers, RECEIVERS, strict=True):
        server.moods = list(moods)
        endpoints.append(
            {"name": name, "url": server.url, "secret_file": "secret", "types": [type_]}
        )
    file = folder / "endpoints.json"
    file.write_text(json.dumps(endpoints))
    return file


def _all_have_answered(folder: Path) -> bool:
    try:
        found = read_standing(folder, limit=0).receivers
    except CannotRead:
        return False
    return len(found) == len(RECEIVERS) and all(one.taken or one.failures for one in found)
