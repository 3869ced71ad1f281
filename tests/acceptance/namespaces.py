"""`make namespaces`: two workers of a stage, then two relays, on hosts of their own, and the cable of one is pulled in mid-stream.

Nobody dies and nobody is told: the one cut off believes that it holds what it held, the servers that
it is there. Its neighbour goes on for it; back again it loses what it held, and has written nothing
twice. The judges are the dry run over the exported facts, the gateway's own log and the audit.
"""

import json
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psutil
import pytest
from sqlalchemy import NullPool, create_engine
from typing_extensions import override

from consumers.engine.admin import spans
from ops.local.pipeline import Pipeline
from ops.local.processes import Program, Supervisor, escrow
from ops.local.stack import Stack
from ops.local.traffic import Knobs, paced, planted_code, publish, stories
from schemas.door import Record
from schemas.facts import INPUT_TOPICS
from storage.outbox import SLICES
from tests.acceptance.hosts import Host, Hosts, NoHosts, hosts
from tests.acceptance.test_stage_down import Line
from tests.acceptance.test_twenty_thousand_orders import (
    DECIDED_SQL,
    ask,
    assert_each_effect_once,
    assert_orders_right,
)
from tests.conftest import SEED
from tests.integration.waiting import until

pytestmark = pytest.mark.timeout(340)
STAGE: Final = "payments"
PARTITIONS: Final = 4
KNOBS: Final = Knobs(duplicates=0.05, conflicts=0.002, garbage=0.01, disorder=0.1, magic=0.02)
ORDERS_MAX: Final = 1_000_000  # nobody sends so many: the stream ends when the test has seen enough
FACTS_PER_SECOND: Final = 300
LOOK_SECONDS: Final = 0.2
MOMENT_SECONDS: Final = 3.0  # half of a session
REST_SECONDS: Final = 2.0  # after a cable was pulled at rest, facts come again
ORDERS_BEFORE: Final = 100
WAIT_SECONDS_MAX: Final = 120.0  # only a fault takes so long
FENCED: Final = "partitions taken over"
# Each later batch of a partition is of the same writer, or of a younger one.
INTERLEAVED: Final = """
SELECT topic, partition, next_offset FROM (
  SELECT topic, partition, next_offset, epoch,
    max(epoch) OVER (PARTITION BY stage, topic, partition ORDER BY first_offset) AS highest
  FROM batches
) AS b WHERE epoch < highest
"""
STILL: Final = """
SELECT coalesce(max(extract(epoch FROM at - before)), 0)::float FROM (
  SELECT at, lag(at) OVER (PARTITION BY partition ORDER BY first_offset) AS before
  FROM batches WHERE stage = :stage
) AS b WHERE at > to_timestamp(:since)
"""


class Stream:
    """Facts as they come in a shop that is open, until `end`."""

    def __init__(self, line: Line) -> None:
        self.seed, self.planted = SEED % 1_000_000, Counter[str]()
        self._line = line
        self._flows, self._ended = threading.Event(), threading.Event()
        self._error: list[BaseException] = []
        self._flows.set()
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()

    def rest(self) -> None:
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def end(self) -> None:
        self._ended.set()
        self._flows.set()
        self._sender.join()
        assert not self._error, self._error

    def _send(self) -> None:
        try:
            publish(self._records(), self._line.settings)
        except BaseException as error:  # noqa: BLE001 -- told by `end`
            self._error.append(error)

    def _records(self) -> Iterator[Record]:
        records = stories(self.seed, ORDERS_MAX, knobs=KNOBS)
        for record in paced(records, FACTS_PER_SECOND):
            self._flows.wait()
            if self._ended.is_set():
                return
            if code := planted_code(record):
                self.planted[code] += 1
            yield record


class Elsewhere(ABC):
    """A program of the line on a host of its own, and what can be seen of it from here."""

    def __init__(self, line: Line, programs: Supervisor, host: Host, *arguments: str) -> None:
        self.host, self.line, self._programs = host, line, programs
        env = line.pipeline.stack.environment_of(arguments[-1])
        command = host.command(*escrow(*arguments))
        self._child = programs.start(Program(name=host.name, command=command, env=env))

    @property
    def held(self) -> dict[int, int]:
        """What is its own → the epoch that it took last, while nobody has taken a later one."""
        now = self._epochs()
        return {what: epoch for what, epoch in self._taken().items() if now[what] == epoch}

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = self._programs.log_path(self.host.name).read_text().splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        return [line for line in told if line["event"] == event]

    @property
    def is_believed(self) -> bool:
        """The database holds a connection of it, dead or alive."""
        port = self.line.settings.database.parts.port
        return any(
            [*there.laddr, *there.raddr][1:3] == [port, self.host.address]
            for there in psutil.net_connections("tcp4")
            if there.status == psutil.CONN_ESTABLISHED
        )

    def assert_lives(self) -> None:
        assert self._child.running, f"{self.host.name} has ended"

    @abstractmethod
    def _taken(self) -> dict[int, int]: ...

    @abstractmethod
    def _epochs(self) -> dict[int, int]: ...


class Worker(Elsewhere):
    """It holds partitions."""

    @override
    def _taken(self) -> dict[int, int]:
        return {line["partition"]: line["epoch"] for line in self.said("reading")}

    @override
    def _epochs(self) -> dict[int, int]:
        return self.line.epochs(STAGE)


class Relay(Elsewhere):
    """It holds slices of the outbox."""

    @override
    def _taken(self) -> dict[int, int]:
        lines = [*self.said("sending"), *self.said("slices taken over")]
        lines.sort(key=lambda line: str(line["timestamp"]))
        return {int(slice_): epoch for line in lines for slice_, epoch in line["epochs"].items()}

    @override
    def _epochs(self) -> dict[int, int]:
        return dict(self.line.ask("SELECT slice, epoch FROM outbox_slices"))


class Seen(NamedTuple):
    """Seconds since the cable was pulled; None: not while it was."""

    plugged: float
    taken_over: float | None  # all that the one cut off held
    forgotten: float | None  # the database gave up its connection

    @override
    def __str__(self) -> str:
        told = ("not" if each is None else f"after {each:.1f} s" for each in self[1:])
        return "cut off for {:.0f} s; taken over {}, given up by the database {}".format(
            self.plugged, *told
        )


def for_a_moment(seen: Seen) -> bool:
    return seen.plugged >= MOMENT_SECONDS


def until_taken_over(seen: Seen) -> bool:
    return seen.taken_over is not None


def until_forgotten(seen: Seen) -> bool:
    return None not in seen


@pytest.fixture(scope="module")
def there() -> Iterator[Hosts]:
    try:
        with hosts("near", "far") as made:
            yield made
    except NoHosts as missing:
        pytest.fail(str(missing))


@contextmanager
def line_near(there: Hosts) -> Iterator[tuple[Line, Supervisor]]:
    """A line that hosts elsewhere can reach, and what starts programs there."""
    stack = Stack(secure=True, near=there.near)
    with (
        Pipeline(stack=stack) as pipeline,
        Supervisor(pipeline.log_dir, forks=False) as programs,
    ):
        line = Line(pipeline)
        try:
            yield line, programs
        finally:
            line.close()


def cut_off(lost: Elsewhere, neighbour: Elsewhere, enough: Callable[[Seen], bool]) -> Seen:
    """Pull the cable, watch until it is enough, plug it again."""
    held, began, seen = lost.held, time.monotonic(), Seen(0.0, None, None)
    lost.host.pull()
    while not enough(seen):
        time.sleep(LOOK_SECONDS)
        now = time.monotonic() - began
        assert now < WAIT_SECONDS_MAX, f"waited too long: {seen}"
        taken = held.keys() <= neighbour.held.keys()
        seen = Seen(
            now,
            now if seen.taken_over is None and taken else seen.taken_over,
            now if seen.forgotten is None and not lost.is_believed else seen.forgotten,
        )
    lost.host.plug()
    return seen


# How long, and whether facts come at the moment in which the cable is pulled.
OUTAGES: Final = (
    (for_a_moment, True),
    (until_taken_over, True),
    (until_taken_over, False),
    (until_forgotten, True),
    (until_forgotten, False),
)


def test_a_worker_cut_off_is_replaced_and_writes_nothing_twice(
    there: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    with line_near(there) as (line, programs):
        line.pipeline.stop_program(STAGE)
        near, far = (Worker(line, programs, host, "consume", STAGE) for host in there.others)

        def share() -> bool:
            return bool(near.held and far.held) and len({**near.held, **far.held}) == PARTITIONS

        until(share)
        stream = Stream(line)
        until(lambda: line.ask("SELECT count(*) FROM escrows")[0] > ORDERS_BEFORE)
        for enough, is_busy in OUTAGES:
            if not is_busy:
                stream.rest()
                until(lambda: line.at_the_end(STAGE))
            stale, since = len(far.said(FENCED)), time.time()
            again = threading.Timer(REST_SECONDS, stream.flow)
            again.start()
            seen = cut_off(far, near, enough)
            back = until(share, WAIT_SECONDS_MAX)
            again.join()
            still = line.ask(STILL, stage=STAGE, since=since)[0]
            with capsys.disabled():
                sys.stdout.write(
                    f"\n{'busy' if is_busy else 'at rest'}, {seen}; back {back:.1f} s later,"
                    f" {len(far.said(FENCED)) - stale} stale batches refused;"
                    f" no partition stood still for longer than {still:.1f} s\n"
                )
            far.assert_lives()
        stream.end()
        line.pipeline.wait_idle(240)
        assert_right(line, stream)


def test_a_relay_cut_off_is_replaced_and_each_command_has_its_effect_once(
    there: Hosts, capsys: pytest.CaptureFixture[str]
) -> None:
    with line_near(there) as (line, programs):
        line.pipeline.stop_program("relay")
        near = Relay(line, programs, there.others[0], "relay")
        until(lambda: len(near.held) == SLICES)
        far = Relay(line, programs, there.others[1], "relay")
        until(lambda: len(far.held) == SLICES)
        stream = Stream(line)
        until(lambda: line.ask("SELECT count(*) FROM escrows")[0] > ORDERS_BEFORE)
        for lost, neighbour in ((far, near), (near, far)):
            seen = cut_off(lost, neighbour, until_forgotten)
            with capsys.disabled():
                sys.stdout.write(f"\nrelay, {seen}\n")
            lost.assert_lives()
        stream.end()
        line.pipeline.wait_idle(240)
        assert_right(line, stream)


def assert_right(line: Line, stream: Stream) -> None:
    settings = line.settings
    db = create_engine(settings.database.connection_url, poolclass=NullPool)
    ends = spans(settings, INPUT_TOPICS).values()
    assert ask(db, DECIDED_SQL) == [(sum(span.end - span.begin for span in ends),)]
    letters = Counter(dict(ask(db, "SELECT code, count(*) FROM dead_letters GROUP BY 1")))
    assert letters == stream.planted, f"seed {stream.seed}"
    assert_orders_right(db, settings)
    assert_each_effect_once(db, line.pipeline.gateway_dir)
    assert ask(db, INTERLEAVED) == []
    assert ask(db, "SELECT count(*) FROM outbox WHERE sent_at IS NULL") == [(0,)]
    line.assert_sound()
