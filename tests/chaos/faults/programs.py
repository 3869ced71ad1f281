"""Programs killed, frozen past their session, starved, doubled, and restarted."""

import signal
import time
from typing import Final

from tests.chaos.faults.hand import Fault, Nemesis
from tests.chaos.line import PROGRAMS, SESSION_MS, STAGES

FROZEN_SECONDS: Final = SESSION_MS / 1000 + 1.5
BUSY_STAGES: Final = ("payments", "shipments", "refund_requests", "gateway_results", "deadlines")


def _kill(*names: str) -> Fault:
    def fault(nemesis: Nemesis) -> bool:
        name = nemesis.rng.choice(names)
        if name not in nemesis.line.running:
            return False
        nemesis.line.kill(name)
        time.sleep(nemesis.rng.uniform(0, 0.5))
        nemesis.line.start_missing()
        return True

    return fault


def _kill_all(nemesis: Nemesis) -> bool:
    for name in list(nemesis.line.running):
        nemesis.line.kill(name)
    nemesis.line.start_missing()
    return True


def _freeze(*names: str, seconds: float = FROZEN_SECONDS) -> Fault:
    """SIGSTOP for longer than the session; another takes over; then it wakes and goes on."""

    def fault(nemesis: Nemesis) -> bool:
        name = nemesis.rng.choice(names)
        if name not in nemesis.line.running:
            return False
        double = f"{name}-zombie"
        nemesis.feed.burst(4)
        nemesis.line.send(name, signal.SIGSTOP)
        nemesis.line.start_program(double)
        nemesis.feed.burst(4)
        time.sleep(seconds)
        nemesis.line.send(name, signal.SIGCONT)
        time.sleep(0.5)
        nemesis.line.stop(double)
        return True

    return fault


def _blink(nemesis: Nemesis) -> bool:
    """Many short freezes: a process that hardly gets any time."""
    name = nemesis.rng.choice(list(nemesis.line.running))
    for _ in range(10):
        nemesis.line.send(name, signal.SIGSTOP)
        time.sleep(0.05)
        nemesis.line.send(name, signal.SIGCONT)
        time.sleep(0.05)
    return True


def _storm(nemesis: Nemesis) -> bool:
    """Members of a stage's group join and leave, in good order or not."""
    stage = nemesis.rng.choice(BUSY_STAGES)
    names = [f"{stage}-{n}" for n in range(2, 4)]
    for _ in range(2):
        for name in names:
            nemesis.line.start_program(name)
            nemesis.feed.burst(2)
            time.sleep(nemesis.rng.uniform(0.3, 1.5))
        for name in names:
            if nemesis.rng.random() < 0.5:
                nemesis.line.kill(name)
            else:
                nemesis.line.stop(name)
    return True


def _double(kind: str) -> Fault:
    """A second one of what there should be one of."""

    def fault(nemesis: Nemesis) -> bool:
        name = f"{kind}-2"
        nemesis.line.start_program(name)
        for _ in range(3):
            nemesis.feed.burst(4)
            time.sleep(nemesis.rng.uniform(0.3, 1))
        nemesis.line.stop(name)
        return True

    return fault


def _wakes(nemesis: Nemesis) -> bool:
    """A restart in good order of every program, one after the other."""
    for name in PROGRAMS:
        nemesis.line.stop(name)
    nemesis.line.start_missing()
    return True


def _hot(nemesis: Nemesis) -> bool:
    """Eight writers: two more workers of three stages, on few orders."""
    names = [f"{stage}-{n}" for stage in BUSY_STAGES[:3] for n in (2, 3)]
    for name in names:
        nemesis.line.start_program(name)
    for _ in range(4):
        nemesis.feed.burst(5)
        time.sleep(0.3)
    for name in names:
        nemesis.line.stop(name)
    return True


FAULTS: Final[dict[str, Fault]] = {
    "stage killed": _kill(*STAGES),
    "relay killed": _kill("relay"),
    "ticker killed": _kill("ticker"),
    "gateway killed": _kill("gateway"),
    "everything killed at once": _kill_all,
    "stage frozen past its session, replaced, woken": _freeze(*BUSY_STAGES),
    "relay frozen past its lease, replaced, woken": _freeze("relay", seconds=11.0),
    "ticker frozen, replaced, woken": _freeze("ticker", seconds=2.0),
    "process starved": _blink,
    "group storm": _storm,
    "eight writers on few orders": _hot,
    "two relays": _double("relay"),
    "two tickers": _double("ticker"),
    "all restarted in good order": _wakes,
}
