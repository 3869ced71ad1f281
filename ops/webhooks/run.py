"""`escrow webhooks run`: follow the order events, keep what is to be told, tell it; no money waits for any of that.

Killed anywhere, it goes on where it was: an event is told once more rather than not at all.
"""

import threading
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Final

import structlog

from consumers.engine.admin import spans
from consumers.engine.asking import KafkaUnavailable, asked
from consumers.engine.config import ConfigError, Settings
from consumers.engine.following import Following
from consumers.engine.health import HEALTH
from consumers.engine.kafka_clients import cluster_id_of
from ops.webhooks.endpoints import Endpoint, read_endpoints
from ops.webhooks.sending import Sender
from ops.webhooks.signing import event_of
from ops.webhooks.store import Store, WrongCluster
from schemas.door import Record
from schemas.order_events import ORDER_EVENTS

RECORDS_MAX: Final = 500
WAITING_MAX: Final = 100_000  # then nothing more is read until receivers have caught up
LOOK_SECONDS: Final = 5.0  # between two notes of how far behind the topic we are
RETRY_SECONDS: Final = 2.0
log = structlog.get_logger()


def run_webhooks(
    settings: Settings,
    data_dir: Path,
    stop: Event,
    *,
    from_beginning: bool = False,
    topic: str = ORDER_EVENTS,
) -> None:
    """Work until `stop` is set. Raises ConfigError.

    At the first start events are told from now on, or all that the topic still holds.
    """
    file = settings.webhooks.endpoints_file
    if file is None:
        raise ConfigError("webhooks.endpoints_file: name the file that says whom to tell")
    endpoints = read_endpoints(file)
    with ExitStack() as until_the_end, Store(data_dir) as store:
        store.names((one.name, one.host, ", ".join(sorted(one.types))) for one in endpoints)
        for endpoint in endpoints:
            until_the_end.enter_context(_sender(endpoint, data_dir, stop))
        until_the_end.callback(stop.set)  # whatever ends this ends the senders
        while not stop.is_set():
            try:
                _begin(settings, store, topic, from_beginning=from_beginning)
                _follow(settings, store, endpoints, stop, topic)
            except KafkaUnavailable as error:
                HEALTH.turned()
                log.warning("Kafka went away", error=str(error)[:300])
                stop.wait(RETRY_SECONDS)
            except WrongCluster as error:
                raise ConfigError(f"{error}: give another --data") from None


def _begin(settings: Settings, store: Store, topic: str, *, from_beginning: bool) -> None:
    """Where there are no positions yet, note where reading begins."""
    with asked(settings):
        store.belongs_to(cluster_id_of(settings))
    if store.positions():
        return
    there = spans(settings, [topic])
    if not there:
        raise KafkaUnavailable(f"there is no topic {topic} yet")
    begin = {
        partition: span.begin if from_beginning else span.end
        for (_, partition), span in there.items()
    }
    store.take_in([], begin, time.time())


def _follow(
    settings: Settings, store: Store, endpoints: tuple[Endpoint, ...], stop: Event, topic: str
) -> None:
    looked = float("-inf")
    with Following(settings, topic, store.positions()) as following:
        while not stop.is_set():
            HEALTH.turned(worked=True)
            if time.monotonic() - looked >= LOOK_SECONDS:
                store.looked(following.behind, time.time())
                looked = time.monotonic()
            if store.waiting() >= WAITING_MAX:
                log.warning("receivers are far behind: nothing more is read", waiting=WAITING_MAX)
                stop.wait(RETRY_SECONDS)
                continue
            records = following.poll(RECORDS_MAX)
            if records:
                told = _for_each(endpoints, records)
                store.take_in(told, following.positions, time.time())


def _for_each(
    endpoints: tuple[Endpoint, ...], records: list[Record]
) -> list[tuple[str, str, str, bytes]]:
    """A delivery for each endpoint that wants the event."""
    events = [event for record in records if (event := event_of(record)) is not None]
    return [
        (endpoint.name, event.id, event.type, event.body)
        for event in events
        for endpoint in endpoints
        if event.type in endpoint.types
    ]


class _sender:  # noqa: N801  a context manager
    """A thread of this endpoint's own, with a connection of its own to the store."""

    def __init__(self, endpoint: Endpoint, data_dir: Path, stop: Event) -> None:
        self._thread = threading.Thread(
            target=self._run, args=(endpoint, data_dir, stop), name=f"webhook-{endpoint.name}"
        )

    def _run(self, endpoint: Endpoint, data_dir: Path, stop: Event) -> None:
        try:
            with Store(data_dir) as store:
                Sender(endpoint, store).run(stop)
        except Exception:
            log.exception("a sender failed", endpoint=endpoint.name)
            stop.set()  # whoever watches the process starts it again

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()
