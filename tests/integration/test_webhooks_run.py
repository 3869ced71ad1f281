"""Events on a real topic are told over HTTP, each at least once, though receiver and process fail on the way."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaProducer

from consumers.engine.config import Settings, WebhookSettings
from ops.webhooks import sending
from ops.webhooks.run import run_webhooks
from ops.webhooks.store import Store
from tests.integration.program import Program
from tests.integration.sending import a_topic
from tests.integration.waiting import until
from tests.unit.test_webhooks import SECRET, Receiver, receiver  # noqa: F401  a fixture


class World:
    def __init__(self, kafka: str, settings: Settings, folder: Path, url: str) -> None:
        self.kafka, self.folder = kafka, folder / "data"
        self.topic = a_topic(kafka, partitions=2)
        (folder / "secret").write_text("whsec_" + base64.b64encode(SECRET).decode())
        endpoints = folder / "endpoints.json"
        endpoints.write_text(json.dumps([{"name": "shop", "url": url, "secret_file": "secret"}]))
        given = WebhookSettings(endpoints_file=endpoints)
        self.settings = settings.model_copy(update={"webhooks": given})

    def tell(self, *ids: str) -> None:
        producer = KafkaProducer(bootstrap_servers=self.kafka)
        for n, id_ in enumerate(ids):
            headers = [
                ("ce_id", id_.encode()),
                ("ce_source", b"escrow"),
                ("ce_type", b"order.changed"),
            ]
            producer.send(self.topic, b'{"order_id":"o"}', headers=headers, partition=n % 2)
        producer.flush(20)
        producer.close()

    @contextmanager
    def running(self, *, from_beginning: bool = True) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(
            target=run_webhooks,
            args=(self.settings, self.folder, stop),
            kwargs={"from_beginning": from_beginning, "topic": self.topic},
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()


@pytest.fixture
def world(kafka: str, settings: Settings, tmp_path: Path, receiver: Receiver) -> World:  # noqa: F811
    return World(kafka, settings, tmp_path, receiver.url)


def got(server: Receiver) -> list[str]:
    return sorted(one.headers["webhook-id"] for one in server.got)


def test_each_event_is_told_though_the_receiver_fails_and_the_process_is_started_anew(
    world: World,
    receiver: Receiver,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sending, "RETRY_SECONDS", (0.1,) * 9)
    receiver.moods = ["500", "hangs up", "503"]
    first = [f"a-{n}" for n in range(5)]
    world.tell(*first)
    with world.running():
        until(lambda: set(got(receiver)) == set(first))
        until(lambda: _waiting(world.folder) == 0)
    assert len(receiver.got) == 8
    world.tell("b-1", "b-2")
    with world.running():
        until(lambda: {"b-1", "b-2"} <= set(got(receiver)))
        until(lambda: _waiting(world.folder) == 0)
    assert len(receiver.got) == 10  # what was told is not told again


def test_at_the_first_start_it_tells_what_comes_from_now_on(
    world: World,
    receiver: Receiver,  # noqa: F811
) -> None:
    world.tell("old-1", "old-2")
    with world.running(from_beginning=False):
        until(lambda: _has_positions(world.folder))
        world.tell("new-1")
        until(lambda: got(receiver) == ["new-1"])


def test_what_was_given_up_is_shown_and_sent_again(
    world: World,
    receiver: Receiver,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    escrow = Program(world.settings, monkeypatch)
    receiver.moods = ["410"]
    world.tell("e-1")
    with world.running():
        until(lambda: _dead(world.folder) == 1)
        told = escrow.json("webhooks", "dead", "--data", str(world.folder), code=1)
        assert [(one["id"], one["error"]) for one in told["dead"]] == [("e-1", "HTTP 410")]
        escrow("webhooks", "retry", "--data", str(world.folder), "--yes")
        until(lambda: got(receiver) == ["e-1", "e-1"])
        until(lambda: _waiting(world.folder) == 0)
    escrow("webhooks", "retry", "--data", str(world.folder), "--yes", code=1)
    escrow.json("webhooks", "dead", "--data", str(world.folder))


def _looked(folder: Path, look: Callable[[Store], int]) -> int:
    with Store(folder) as store:
        return look(store)


def _waiting(folder: Path) -> int:
    return _looked(folder, lambda store: store.waiting())


def _dead(folder: Path) -> int:
    return _looked(folder, lambda store: len(store.dead(9)))


def _has_positions(folder: Path) -> bool:
    return bool(_looked(folder, lambda store: len(store.positions())))
