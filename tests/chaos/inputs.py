"""Bad inputs through the product's door: it names a code for each, and never raises.

    python -m tests.chaos.inputs --seed 1 --count 1000000

A share of them is opened by the model's door too, which must say the same.
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from ops.local.traffic import Knobs, stories
from ops.local.traffic.garbage import spoil
from schemas.door import Record, Rejected, decode
from schemas.facts import INPUT_TOPICS
from tests.chaos import ledger
from tests.chaos.case import opened
from tests.chaos.recorded import Seen

COMPARED: Final = 20  # one in so many is shown to the model
BOOKED: Final = 100_000
_TOKENS: Final = (
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"null", b"true", b"-0", b"1e400", b"NaN", b"0.5",
    b"9" * 30, b"\xff", b"\x00", b"\xef\xbb\xbf", b"\\u0000", b"\\ud800", b"\xed\xa0\x80", b'""', b'"":0',
    b"4111111111111111", b"\xe2\x80\x8b", b"//", b"\n",
)  # fmt: skip
_HEADERS: Final = (
    "content-type",
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
)
_TEXTS: Final = (
    b"", b" ", b"\x00", b"\xff\xfe", b"1.0", b"0.3", b"application/json", b"application/cloudevents+json",
    b"text/plain", b"2024-02-30T00:00:00Z", b"2024-01-01T00:00:00Z", b"x" * 257, b"payment.captured",
    b"PAYMENT.CAPTURED", b"gateway.settled", b"\xc2\x85", "ü".encode(), b"application/json; charset=x",
)  # fmt: skip
Hand = Callable[[random.Random, Record], Record]


def _bytes(change: Callable[[random.Random, bytes], bytes]) -> Hand:
    return lambda rng, record: record._replace(value=change(rng, record.value or b"{}"))


def _flip(rng: random.Random, value: bytes) -> bytes:
    at = rng.randrange(len(value) or 1)
    return value[:at] + bytes([rng.randrange(256)]) + value[at + 1 :]


def _cut(rng: random.Random, value: bytes) -> bytes:
    at = rng.randrange(len(value) or 1)
    return value[:at] + value[at + rng.randint(1, 12) :]


def _end(rng: random.Random, value: bytes) -> bytes:
    return value[: rng.randrange(len(value) or 1)]


def _insert(rng: random.Random, value: bytes) -> bytes:
    at = rng.randrange(len(value) + 1)
    return value[:at] + rng.choice(_TOKENS) + value[at:]


def _repeat(rng: random.Random, value: bytes) -> bytes:
    a, b = sorted(rng.randrange(len(value) + 1) for _ in range(2))
    return value[:b] + value[a:b] + value[b:]


def _header(rng: random.Random, record: Record) -> Record:
    name = rng.choice(_HEADERS)
    kept = [header for header in record.headers if header[0] != name]
    if rng.random() < 0.8:
        kept.insert(rng.randrange(len(kept) + 1), (name, rng.choice(_TEXTS)))
    return record._replace(headers=tuple(kept))


def _key(rng: random.Random, record: Record) -> Record:
    return record._replace(
        key=rng.choice((None, b"", b"someone", b"\xff", (record.key or b"") + b" "))
    )


def _place(rng: random.Random, record: Record) -> Record:
    return record._replace(topic=rng.choice(INPUT_TOPICS))


def _noise(rng: random.Random, record: Record) -> Record:
    return record._replace(value=rng.randbytes(rng.randrange(80)))


_numbers: Final = count()


def _spoil(rng: random.Random, record: Record) -> Record:
    return spoil(rng, record, f"bad-{next(_numbers)}")


HANDS: Final[tuple[Hand, ...]] = (
    _bytes(_flip), _bytes(_cut), _bytes(_end), _bytes(_insert), _bytes(_repeat), _header, _header,
    _key, _place, _noise,
)  # fmt: skip


def bad(rng: random.Random, pool: list[Record]) -> Iterator[Record]:
    """Endless: good records, each touched by one to three hands; now and then one stays good."""
    while True:
        record = rng.choice((*HANDS, _spoil))(rng, rng.choice(pool))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            record = rng.choice(HANDS)(rng, record)
        yield record


def good(seed: int, orders: int = 300) -> list[Record]:
    return list(stories(seed, orders, knobs=Knobs(duplicates=0, garbage=0)))


def garbage(rng: random.Random, number: int, t: int) -> list[Record]:
    """Spoilt records to be sent for real, with record time `t`, under ids of their own."""
    made = bad(rng, good(rng.randrange(10**9), 20))
    return [next(made)._replace(timestamp_ms=t) for _ in range(number)]


def shown(record: Record) -> Seen:
    return Seen(
        record.topic, record.partition, record.offset, record.timestamp_ms, record.key,
        record.value, tuple(record.headers),
    )  # fmt: skip


def try_inputs(seed: int, wanted: int) -> int:
    """Open so many; books every 100,000. Returns the number of violations."""
    rng = random.Random(f"inputs {seed}")
    made = bad(rng, good(seed))
    violations = tried = 0
    while tried < wanted:
        began = time.monotonic()
        codes: Counter[str] = Counter()
        stayed_good = opened_first = 0
        while codes.total() < min(BOOKED, wanted - tried):
            record = next(made)
            try:
                result = decode(record, None)
            except Exception as error:  # noqa: BLE001 -- this is what must not happen
                violations += 1
                sys.stdout.write(f"seed {seed}: {type(error).__name__}: {error}: {record!r}\n")
                continue
            code = result.code if isinstance(result, Rejected) else None
            opened_first += 1
            if opened_first % COMPARED == 0:
                said = opened(shown(record))
                if (said if isinstance(said, str) else None) != code:
                    violations += 1
                    sys.stdout.write(f"seed {seed}: door {code}, model {said}: {record!r}\n")
            if code is None:
                stayed_good += 1
            else:
                codes[code] += 1
        seconds = time.monotonic() - began
        tried += codes.total()
        sys.stdout.write(
            f"seed {seed}: {codes.total()} refused in {seconds:.1f} s, {stayed_good} stayed good,"
            f" {opened_first // COMPARED} compared: {dict(codes)}\n"
        )
        ledger.append("inputs", seed, codes, seconds, violations)
    return violations


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.inputs")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    parser.add_argument("--count", type=int, default=100_000)
    options = parser.parse_args(arguments)
    return 1 if try_inputs(options.seed, options.count) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
