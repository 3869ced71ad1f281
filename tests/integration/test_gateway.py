"""The gateway simulator on a real Kafka: killed at every step it pays once and answers all the same."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final

import pytest
from kafka import KafkaProducer, TopicPartition

from consumers.engine.config import Settings, load_settings
from consumers.engine.kafka_clients import cluster_id_of
from consumers.engine.processing import Halt
from ops.local.gateway import effects, entries, run_gateway, standing
from ops.local.gateway.core import ANSWER_MS
from ops.local.gateway.store import Store
from ops.local.gateway.tricks import TRICKS
from ops.local.gateway.wire import Channels
from schemas.door import Fact, decode
from schemas.facts import GATEWAY_RESULTS
from tests.integration.sending import a_topic, ends, header, ids, kafka_admin, sent_to
from tests.unit.test_gateway_core import T, a_command

QUIET_SECONDS_MAX: Final = 30.0
POINTS: Final = ("polled", "decided", "kept", "sending", "sent", "noted")

# The simulator in a process of its own, which kills itself when it has come past a point n times.
KILLED = """
import os, pathlib, signal, sys, threading
from consumers.engine.config import load_settings
from ops.local.gateway.run import run_gateway
from ops.local.gateway.wire import Channels
kafka, folder, refunds, payouts, results, point, n = sys.argv[1:]
left = int(n)
def at(name):
    global left
    left -= name == point
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
run_gateway(load_settings(kafka={"bootstrap_servers": kafka}), pathlib.Path(folder),
            threading.Event(), channels=Channels(refunds, payouts, results), at=at)
"""


@pytest.fixture
def settings(kafka: str) -> Settings:
    return load_settings(kafka={"bootstrap_servers": kafka})


@pytest.fixture
def channels(kafka: str) -> Channels:
    return Channels(a_topic(kafka, 2), a_topic(kafka, 2), a_topic(kafka, 2))


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def send(kafka: str) -> Iterator[Callable[..., None]]:
    """Sends one command or question as the relay does."""
    producer = KafkaProducer(bootstrap_servers=kafka, linger_ms=20)

    def send(
        topic: str, type_name: str, value: str, *, key: str = "o-1", t: int = T, trace: str = ""
    ) -> None:
        headers = [
            ("content-type", b"application/json"),
            ("ce_specversion", b"1.0"),
            ("ce_id", b"c"),
            ("ce_source", b"escrow"),
            ("ce_type", type_name.encode()),
            *([("ce_traceparent", trace.encode())] if trace else []),
        ]
        producer.send(topic, value.encode(), key.encode(), headers=headers, timestamp_ms=t)

    yield send
    producer.close()


def send_payouts(send: Callable[..., None], topic: str, numbers: range, digits: int = 0) -> None:
    for n in numbers:
        command = a_command(digits, command_id=f"c-{n}", order_id=f"o-{n}")
        send(topic, "payout.release", command.model_dump_json(), key=f"o-{n}", t=T + n)


@contextmanager
def running(settings: Settings, folder: Path, channels: Channels) -> Iterator[Thread]:
    stop = Event()
    thread = Thread(
        target=run_gateway, args=(settings, folder, stop), kwargs={"channels": channels}
    )
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def await_quiet(kafka: str, folder: Path, channels: Channels) -> None:
    """Until all commands are read and all answers sent."""
    where = ends(kafka, [channels.refunds, channels.payouts])
    last = {(place.topic, place.partition): end for place, end in where.items()}
    deadline = time.monotonic() + QUIET_SECONDS_MAX
    while standing(folder) != (last, 0):
        assert time.monotonic() < deadline, (standing(folder), last)
        time.sleep(0.05)


def test_every_answer_is_a_fact_that_the_pipeline_takes(
    kafka: str, settings: Settings, channels: Channels, send: Callable[..., None], tmp_path: Path
) -> None:
    for n, digits in enumerate([0, *TRICKS]):
        send_payouts(send, channels.payouts, range(n, n + 1), digits)
    refund = a_command(command_id="r-1", party_id="b-1")
    send(channels.refunds, "refund.issue", refund.model_dump_json(), trace=TRACE)
    send(channels.refunds, "refund.issue", "no command")
    with running(settings, tmp_path, channels):
        await_quiet(kafka, tmp_path, channels)
        for n in range(len(TRICKS) + 1):
            question = f'{{"command_id":"c-{n}","order_id":"o-{n}"}}'
            send(channels.payouts, "command.status_requested", question, key=f"o-{n}", t=T + 9_000)
        time.sleep(0.2)
        await_quiet(kafka, tmp_path, channels)

    answers = sent_to(kafka, [channels.results])
    facts = [decode(answer._replace(topic=GATEWAY_RESULTS)) for answer in answers]
    assert all(isinstance(fact, Fact) for fact in facts), facts
    assert {header(answer, "ce_source") for answer in answers} == {"gateway-simulator"}
    times = {header(answer, "ce_id"): answer.timestamp_ms for answer in answers}
    assert times["r-1.1.settled"] == T + ANSWER_MS
    traces = {header(a, "ce_id"): dict(a.headers).get("ce_traceparent") for a in answers}
    assert traces["r-1.1.settled"] == TRACE.encode()  # one trace from fact to command to result
    assert set(traces.values()) == {TRACE.encode(), None}
    assert len({id_.partition(".")[0] for id_ in ids(answers)}) == len(TRICKS) + 2
    paid = Counter(effect.kind for effect in effects(tmp_path))
    never_paid = 1 + sum(trick.failures > 0 for trick in TRICKS.values()) + 1
    assert paid == {"payout": 1 + len(TRICKS) - never_paid, "refund": 1}


def test_killed_at_every_step_it_pays_once_and_owes_no_answer(
    kafka: str, settings: Settings, channels: Channels, send: Callable[..., None], tmp_path: Path
) -> None:
    for number, point in enumerate(POINTS):
        send_payouts(send, channels.payouts, range(number * 50, number * 50 + 50))
        place = (kafka, str(tmp_path), *channels, point, "1")
        killed = subprocess.run([sys.executable, "-c", KILLED, *place], timeout=60, check=False)
        assert killed.returncode == -signal.SIGKILL, point
    with running(settings, tmp_path, channels):
        await_quiet(kafka, tmp_path, channels)

    commands = {f"c-{n}" for n in range(50 * len(POINTS))}
    assert Counter(effect.command_id for effect in effects(tmp_path)) == Counter(commands)
    answers = ids(sent_to(kafka, [channels.results]))
    assert set(answers) == {f"{command}.1.settled" for command in commands}
    read = [(entry.topic, entry.partition, entry.offset) for entry in entries(tmp_path)]
    assert len(read) == len(set(read)) == len(commands)


def test_restarted_it_goes_on_where_it_was(
    kafka: str, settings: Settings, channels: Channels, send: Callable[..., None], tmp_path: Path
) -> None:
    for _ in range(2):
        send_payouts(send, channels.payouts, range(10))  # the same ones, repeated by the relay
        with running(settings, tmp_path, channels):
            await_quiet(kafka, tmp_path, channels)

    assert len(effects(tmp_path)) == 10
    assert Counter(entry.does for entry in entries(tmp_path)) == {"pays": 10, "repeats": 10}
    assert set(Counter(ids(sent_to(kafka, [channels.results]))).values()) == {2}


def test_it_halts_where_commands_are_missing(
    kafka: str, settings: Settings, channels: Channels, send: Callable[..., None], tmp_path: Path
) -> None:
    send_payouts(send, channels.payouts, range(20))
    while not all(ends(kafka, [channels.payouts]).values()):
        time.sleep(0.05)
    cluster = cluster_id_of(settings)
    for name, position in (("topic made anew", 1_000), ("retention passed us", 0)):
        with Store(tmp_path / name, cluster) as store:
            store.begin({(channels.payouts, 0): position})
    with kafka_admin(kafka) as admin:
        admin.delete_records({TopicPartition(channels.payouts, 0): 1})

    for name in ("topic made anew", "retention passed us"):
        with pytest.raises(Halt, match="commands were lost"):
            run_gateway(settings, tmp_path / name, Event(), channels=channels)
    with running(settings, tmp_path / "fresh", channels):  # one that begins takes what is there
        await_quiet(kafka, tmp_path / "fresh", channels)
    assert len(effects(tmp_path / "fresh")) == 19


def test_a_backlog_is_worked_off_with_one_effect_each(
    kafka: str, settings: Settings, channels: Channels, send: Callable[..., None], tmp_path: Path
) -> None:
    send_payouts(send, channels.payouts, range(12_000))
    while sum(ends(kafka, [channels.payouts]).values()) < 12_000:
        time.sleep(0.05)
    with running(settings, tmp_path, channels):
        await_quiet(kafka, tmp_path, channels)
    assert len({effect.command_id for effect in effects(tmp_path)}) == 12_000
    assert len(effects(tmp_path)) == 12_000
