"""Real processes, killed at named places: each is armed, fed until it dies, and started again.

    python -m tests.chaos.kills --seed 1 --kills 200 --seconds 600 [--only relay.]

Only deaths that really happened at the place that was ordered count. After every round the line is
brought up unarmed, has a minute to come to rest, and is judged.
"""

import argparse
import contextlib
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Final

import psycopg
from kafka.errors import KafkaError

from consumers.engine.crash import PLACES
from ops.local.traffic import START_MS, Knobs, publish, stories
from schemas.door import Record
from schemas.facts import OPERATOR_ACTIONS
from tests.chaos import ledger
from tests.chaos.case import Case
from tests.chaos.checker import Judge, Verdict
from tests.chaos.checks.records import nothing_waits
from tests.chaos.line import PROGRAMS, STAGES, Line
from tests.chaos.recorded import Recorder

# many commands fail or come back: what an operator asks for again is let go before it is sent
KNOBS: Final = Knobs(
    duplicates=0.05, conflicts=0.005, garbage=0.03, disorder=0.15, magic=0.3, orders_per_day=4
)
ROUND_SECONDS: Final = 45.0
ORDERS: Final = 8  # a burst
BURST_SECONDS: Final = 1.0
READINGS_MAX: Final = 3  # before something that waits counts as waiting for ever
SETTLE_SECONDS: Final = 10.0


class Feed:
    """Bursts of whole stories; record time `t` goes on from burst to burst."""

    def __init__(self, line: Line, seed: int) -> None:
        self._line, self._seed = line, seed
        self._numbers = count()
        self._lock = threading.Lock()
        self.t = START_MS
        self._recent: list[Record] = []

    def burst(self, orders: int = ORDERS) -> None:
        """Whole stories of so many orders."""
        with self._lock:
            number = next(self._numbers)
        made = stories(
            self._seed * 100_000 + number,
            orders,
            knobs=KNOBS,
            prefix=f"{self._seed}-{number}",
            start_ms=self.t,
        )
        self.send(list(made))

    def repeat(self, rng: random.Random, records: int, times: int) -> int:
        """Records of before, as they were, so many times more."""
        some = rng.sample(self._recent, min(records, len(self._recent)))
        return self.send([record._replace(timestamp_ms=self.t) for record in some * times])

    def reissue(self, most: int = 4) -> int:
        """An operator asks that commands which failed or came back be tried once more."""
        url = self._line.url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(url) as connection:
            failed = connection.execute(_FAILED, (most,)).fetchall()
        return self.send(
            [_reissued(order_id, command_id, self.t) for order_id, command_id in failed]
        )

    def send(self, records: list[Record]) -> int:
        """Returns how many were acknowledged; tries for a minute while Kafka is away."""
        self.t = max([self.t, *(record.timestamp_ms for record in records)])
        self._recent = (self._recent + records)[-2_000:]
        until = time.monotonic() + 60
        while True:
            try:
                return publish(records, self._line.settings)
            except KafkaError:
                if time.monotonic() > until:
                    raise


_FAILED: Final = b"""
SELECT order_id, command_id FROM commands
WHERE state IN ('FAILED', 'RETURNED') AND reissue_id IS NULL ORDER BY random() LIMIT %s
"""


def _reissued(order_id: str, command_id: str, t: int) -> Record:
    """Under one id however often it is asked: what is asked again meanwhile is a duplicate."""
    names = {"order_id": order_id, "command_id": command_id}
    data = {**names, "reissue_id": f"again-{command_id}", "operator_id": "op-chaos"}
    headers = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": f"again-{command_id}",
        "ce_source": "/chaos/operators",
        "ce_type": "command.reissued",
    }
    encoded = [(name, text.encode()) for name, text in headers.items()]
    return Record(OPERATOR_ACTIONS, 0, 0, t, order_id.encode(), json.dumps(data).encode(), encoded)


def places_of(program: str, only: str) -> tuple[str, ...]:
    kinds = ("worker", "batch") if program in STAGES else (program,)
    places = (place for place in PLACES if place.partition(".")[0] in kinds)
    return tuple(place for place in places if place.startswith(only))


ONCE: Final = {"worker.subscribed", "relay.taken", "ticker.active"}  # passed at the start alone
PATIENCE_SECONDS: Final = 10.0  # who does not come to its place by then is sent to another


class Orders:
    """Which place is next: for each program all of its places in random order, again and again.

    Of places that begin with `only`; who has none of them is left alone.
    """

    def __init__(self, rng: random.Random, only: str = "") -> None:
        self._rng = rng
        self._groups = count()
        places = {name: places_of(name, only) for name in PROGRAMS}
        self.programs = [name for name in PROGRAMS if places[name]]
        self._next = {name: self._endless(places[name]) for name in self.programs}
        if some := [name for name in STAGES if places[name]]:
            self._next |= dict.fromkeys(some, self._next[some[0]])

    def _endless(self, places: tuple[str, ...]) -> Iterator[str]:
        while True:
            yield from self._rng.sample(places, len(places))

    def next(self, name: str) -> str | None:
        if name not in self._next:
            return None
        place = next(self._next[name])
        return f"{place}:{1 if place in ONCE else self._rng.choice((1, 1, 1, 2))}"

    def group(self) -> dict[str, str]:
        """Mostly a group without the dead one in it, which would hold its partitions for seconds."""
        if self._rng.random() < 0.25:
            return {}
        return {"ESCROW_KAFKA__GROUP_PREFIX": f"kills-{next(self._groups)}"}


def run_round(line: Line, feed: Feed, orders: Orders, kills: Counter[str], left: int) -> None:
    """Kill and start again for a while; ends with some programs dead and some armed."""
    until = time.monotonic() + ROUND_SECONDS
    fed_at = 0.0
    before = kills.total()
    for name in orders.programs:
        if name in line.running and line.armed(name) is None:
            line.kill(name)
        if name not in line.running:
            line.start_program(name, orders.next(name), orders.group())
    started = dict.fromkeys(orders.programs, time.monotonic())
    while time.monotonic() < until and kills.total() - before < left:
        if time.monotonic() - fed_at > BURST_SECONDS:
            feed.burst()
            feed.reissue()
            fed_at = time.monotonic()
        for name, crash_at, code in line.deaths():
            if code == -signal.SIGKILL and crash_at is not None:
                kills[crash_at.partition(":")[0]] += 1
            else:
                sys.stdout.write(f"{name} ended with {code}, ordered {crash_at}\n")
            if name not in line.running:
                started[name] = time.monotonic()
                line.start_program(name, orders.next(name), orders.group())
        for name in [
            n for n, since in started.items() if time.monotonic() - since > PATIENCE_SECONDS
        ]:
            line.kill(name)  # not counted: nobody ordered it
            started[name] = time.monotonic()
            line.start_program(name, orders.next(name), orders.group())
        time.sleep(0.02)


def come_to_rest(line: Line, kills: Counter[str], seconds: float = 60.0) -> float:
    """All programs up and unarmed; seconds until nothing is left to do (I11: at most a minute)."""
    for name in list(line.running):
        if name in line.running and line.armed(name) is not None:
            line.kill(name)
    for _, crash_at, code in line.deaths():
        if code == -signal.SIGKILL and crash_at is not None:
            kills[crash_at.partition(":")[0]] += 1
    line.start_missing()
    return line.wait_idle(seconds)


def judged(line: Line, recorder: Recorder, judge: Judge) -> Verdict:
    """Judge what is there, read at rest: what a timer has told since then may still be on its way."""
    recorded = recorder.read()
    for _ in range(READINGS_MAX - 1):
        if not recorded.complete or not any(nothing_waits(Case(recorded))):
            break
        with contextlib.suppress(TimeoutError):  # the judge says what waits
            line.wait_idle(SETTLE_SECONDS)
        recorded = recorder.read()
    verdict = judge.judge(recorded)
    sys.stdout.write(f"  {verdict.word}: {dict(+verdict.counts)}\n")
    for text in (*verdict.violations, *verdict.unknown):
        sys.stdout.write(f"  {text[:1500]}\n")
    sys.stdout.flush()
    return verdict


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.kills")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--only", default="", help="places whose names begin so")
    options = parser.parse_args(arguments)
    violations = kill(options.seed, options.kills, options.seconds, options.only)
    return 1 if violations else 0


def kill(seed: int, wanted: int, seconds: float, only: str = "") -> int:
    """Kill until `wanted` or out of time; books each round. Returns the number of violations."""
    began = booked_at = time.monotonic()
    bad = 0
    total = 0
    with Line() as line:
        recorder = Recorder(line.settings.kafka.bootstrap_servers, line.url, line.gateway_dir)
        judge, feed, orders = Judge(), Feed(line, seed), Orders(random.Random(seed), only)
        feed.burst()
        line.wait_idle(90)
        while total < wanted and time.monotonic() - began < seconds and not bad:
            kills: Counter[str] = Counter()
            run_round(line, feed, orders, kills, wanted - total)
            try:
                took = come_to_rest(line, kills)
                sys.stdout.write(
                    f"seed {seed}: {kills.total()} kills, at rest after {took:.1f} s\n"
                )
            except TimeoutError as error:
                bad += 1
                sys.stdout.write(f"I11, seed {seed}: {error}\n{line.last_words()}")
            verdict = judged(line, recorder, judge)
            bad += len(verdict.violations) + len(verdict.unknown)
            for death in line.unexpected:
                bad += 1
                sys.stdout.write(f"{death} was not ordered\n")
            total += kills.total()
            now = time.monotonic()
            ledger.append("kills", seed, kills, now - booked_at, bad)
            booked_at = now
    return bad


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
