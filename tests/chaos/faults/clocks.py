"""PostgreSQL's clock an hour or 400 days off, and stepping to and fro, while records flow.

No program of ours reads a clock to decide: record time is data, leases and `sent_at` are the database's.
"""

import time
from pathlib import Path
from typing import Final

import psycopg

from tests.chaos.faults.hand import Fault, Nemesis
from tests.chaos.servers import FAKETIME

HOUR: Final = 3_600
DAY: Final = 24 * HOUR
STEPS: Final = {"+1h": HOUR, "-1h": -HOUR, "+400d": 400 * DAY, "-400d": -400 * DAY, "+0": 0}
LOOK_SECONDS_MAX: Final = 8.0  # within which it must have noticed


def why_not() -> str | None:
    return None if Path(FAKETIME).exists() else f"{FAKETIME} is missing (Debian: faketime)"


def _set(nemesis: Nemesis, text: str) -> bool:
    """Put it so; whether the database then says so itself."""
    nemesis.line.servers.set_clock(text)
    until = time.monotonic() + LOOK_SECONDS_MAX
    while time.monotonic() < until:
        time.sleep(0.3)
        with psycopg.connect(nemesis.database, autocommit=True) as connection:
            row = connection.execute(b"SELECT extract(epoch FROM clock_timestamp())").fetchone()
        assert row is not None
        if abs(float(row[0]) - time.time() - STEPS[text]) < HOUR / 2:
            return True
    return False


def _wrong(text: str) -> Fault:
    def fault(nemesis: Nemesis) -> bool:
        is_wrong = _set(nemesis, text)
        for _ in range(4):
            nemesis.feed.burst(4)
            time.sleep(0.5)
        nemesis.line.kill("relay")  # who comes next finds signs of life of another time
        nemesis.line.start_missing()
        nemesis.feed.burst(4)
        time.sleep(1)
        return _set(nemesis, "+0") and is_wrong

    return fault


def _stepping(nemesis: Nemesis) -> bool:
    steps = nemesis.rng.sample(list(STEPS), len(STEPS))
    noticed = []
    for text in steps:
        noticed.append(_set(nemesis, text))
        nemesis.feed.burst(4)
    return _set(nemesis, "+0") and all(noticed)


FAULTS: Final[dict[str, Fault]] = {
    "PostgreSQL's clock an hour ahead": _wrong("+1h"),
    "PostgreSQL's clock an hour behind": _wrong("-1h"),
    "PostgreSQL's clock 400 days ahead": _wrong("+400d"),
    "PostgreSQL's clock 400 days behind": _wrong("-400d"),
    "PostgreSQL's clock stepping": _stepping,
}
