"""Many orders at once, as one stream of records in the order in which they are sent.

Deterministic: the same seed and knobs give the same records. Record time never goes back.
"""

import heapq
import json
import random
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from escrow.policy import DAY_MS
from ops.local.gateway.tricks import TRICKS
from ops.local.traffic.cast import SOURCES, draw_cast
from ops.local.traffic.garbage import conflict, spoil
from ops.local.traffic.plain import START_MS
from ops.local.traffic.plots import PLOTS, Plot, Step, happy
from schemas.door import Record
from schemas.facts import FACT_TYPES

_RECENT_MAX: Final = 2_000  # records that may still be repeated
_PLOTS: Final = tuple(PLOTS)
_WEIGHTS: Final = tuple(PLOTS.values())


class Knobs(NamedTuple):
    """Shares are of records, 0 to 1; those of magic amounts are of orders."""

    duplicates: float = 0.02  # sent again, byte for byte, some time after
    conflicts: float = 0.0  # sent again under the same id with other data: a dead letter
    garbage: float = 0.01  # dead letters of the door, marked: see `garbage.planted_code`
    disorder: float = 0.05  # of an order's neighbours in time on different topics: swapped
    magic: float = 0.0  # orders whose one command is tricked at the gateway simulator
    orders_per_day: int = 2_000  # of record time


def stories(
    seed: int,
    orders: int,
    *,
    knobs: Knobs = Knobs(),  # noqa: B008 -- immutable
    prefix: str | None = None,
    start_ms: int = START_MS,
    plots: tuple[Plot, ...] | None = None,
) -> Iterator[Record]:
    """About four facts for each of `orders` orders, and what the knobs add to them.

    Ids begin with `prefix`, by default the seed; `plots` restricts what happens. Memory holds the
    orders of about two weeks of record time, whatever the number of orders.
    """
    rng = random.Random(f"traffic {seed}")
    name = f"{seed}" if prefix is None else prefix
    recent: deque[Record] = deque(maxlen=_RECENT_MAX)
    for count, (t, order_id, number, step) in enumerate(_facts(rng, orders, knobs, name, plots)):
        record = _record(order_id, number, start_ms + t, step)
        yield record
        recent.append(record)
        yield from _extras(rng, knobs, recent, f"{name}-bad-{count}", start_ms + t)


def _facts(
    rng: random.Random, orders: int, knobs: Knobs, name: str, plots: tuple[Plot, ...] | None
) -> Iterator[tuple[int, str, int, Step]]:
    """(time, order id, number within the order, step), by time; orders begin evenly spread."""
    gap_ms = DAY_MS // knobs.orders_per_day
    waiting: list[tuple[int, int, int, str, list[Step]]] = []  # time, order, index, id, steps
    for n in range(orders + 1):
        now = n * gap_ms
        while waiting and (n == orders or waiting[0][0] <= now):
            t, order, index, order_id, steps = heapq.heappop(waiting)
            yield t, order_id, index, steps[index]
            if index + 1 < len(steps):
                due = t + steps[index + 1].wait_ms
                heapq.heappush(waiting, (due, order, index + 1, order_id, steps))
        if n < orders:
            order_id, steps = _story(rng, f"{name}-{n}", knobs, plots)
            heapq.heappush(waiting, (now, n, 0, order_id, steps))


def _story(
    rng: random.Random, name: str, knobs: Knobs, plots: tuple[Plot, ...] | None
) -> tuple[str, list[Step]]:
    if knobs.magic and rng.random() < knobs.magic:
        cast = draw_cast(rng, name, rng.choice(tuple(TRICKS)))
        steps = happy(rng, cast)
    else:
        cast = draw_cast(rng, name)
        plot = rng.choice(plots) if plots else rng.choices(_PLOTS, _WEIGHTS)[0]
        steps = plot(rng, cast)
    if knobs.disorder:
        _disorder(rng, steps, knobs.disorder)
    return cast.order_id, steps


def _disorder(rng: random.Random, steps: list[Step], share: float) -> None:
    """Swap neighbours on different topics; waits stay, so that time within a topic hardly moves."""
    for i in range(len(steps) - 1):
        first, second = steps[i], steps[i + 1]
        if FACT_TYPES[first.type].topic != FACT_TYPES[second.type].topic and rng.random() < share:
            steps[i] = second._replace(wait_ms=first.wait_ms)
            steps[i + 1] = first._replace(wait_ms=second.wait_ms)


def _extras(
    rng: random.Random, knobs: Knobs, recent: deque[Record], bad_id: str, t: int
) -> Iterator[Record]:
    """What the world sends besides the facts themselves."""
    if rng.random() < knobs.duplicates:
        yield recent[rng.randrange(len(recent))]._replace(timestamp_ms=t)
    if rng.random() < knobs.conflicts:
        yield conflict(recent[rng.randrange(len(recent))])._replace(timestamp_ms=t)
    if rng.random() < knobs.garbage:
        yield spoil(rng, recent[-1], bad_id)


def _record(order_id: str, number: int, t: int, step: Step) -> Record:
    topic = FACT_TYPES[step.type].topic
    data: dict[str, Any] = step.data
    if step.type == "supplier.reported":
        key = data["supplier_id"]
    else:
        key, data = order_id, {"order_id": order_id, **data}
    headers = (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{order_id}-{number}".encode()),
        ("ce_source", SOURCES[topic].encode()),
        ("ce_type", step.type.encode()),
    )
    value = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return Record(topic, 0, 0, t, key.encode(), value, headers)
