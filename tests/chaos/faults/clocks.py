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
STEPS: Final = ("+1h", "-1h", "+400d", "-400d", "+0")


def why_not() -> str | None:
    return None if Path(FAKETIME).exists() else f"{FAKETIME} is missing (Debian: faketime)"


def _set(nemesis: Nemesis, text: str) -> float:
    """Put it so; returns by how many seconds the database is then off, by its own word."""
    nemesis.line.servers.set_clock(text)
    time.sleep(1.2)  # it looks once a second
    with psycopg.connect(nemesis.database, autocommit=True) as connection:
        row = connection.execute(b"SELECT extract(epoch FROM clock_timestamp())").fetchone()
    assert row is not None
    return float(row[0]) - time.time()


def _wrong(text: str) -> Fault:
    def fault(nemesis: Nemesis) -> bool:
        off = _set(nemesis, text)
        for _ in range(4):
            nemesis.feed.burst(4)
            time.sleep(0.5)
        nemesis.line.kill("relay")  # who comes next finds signs of life of another time
        nemesis.line.start_missing()
        nemesis.feed.burst(4)
        time.sleep(1)
        return abs(_set(nemesis, "+0")) < HOUR / 2 <= abs(off)

    return fault


def _stepping(nemesis: Nemesis) -> bool:
    seen: set[int] = set()
    for text in nemesis.rng.sample(STEPS, len(STEPS)):
        seen.add(round(_set(nemesis, text) / HOUR))
        nemesis.feed.burst(4)
    _set(nemesis, "+0")
    return len(seen) == len(STEPS)


FAULTS: Final[dict[str, Fault]] = {
    "PostgreSQL's clock an hour ahead": _wrong("+1h"),
    "PostgreSQL's clock an hour behind": _wrong("-1h"),
    "PostgreSQL's clock 400 days ahead": _wrong("+400d"),
    "PostgreSQL's clock 400 days behind": _wrong("-400d"),
    "PostgreSQL's clock stepping": _stepping,
}
