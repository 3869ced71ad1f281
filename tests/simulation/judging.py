"""The judge of the real servers, shown a simulated world: `tests.chaos.checker` over its topics and rows.

What the model's door says of a record is remembered: a schedule's records are a few thousand texts.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from schemas.order_events import DEAD_LETTERS
from tests.chaos.case import Case, opened
from tests.chaos.checker import CHECKS
from tests.chaos.recorded import Recorded, Row, Seen
from tests.model.door import Fact
from tests.simulation.broker import Entry
from tests.simulation.scheduler import Stuck
from tests.simulation.world import STAGE_OF, Cut, World

_ORDERED: Final = {
    "commands": ("order_id", "decision_no", "n"),
    "batches": ("stage", "topic", "partition", "first_offset"),
    "outbox": ("id",),
}
_TABLES: Final = {
    "escrows": "escrows",
    "commands": "commands",
    "reports": "supplier_reports",
    "resolutions": "resolutions",
    "parked": "parked",
    "deadlines": "deadlines",
    "letters": "dead_letters",
    "batches": "batches",
    "positions": "consumer_positions",
    "outbox": "outbox",
    "payments": "payments",
    "postings": "postings",
}


def violations(world: World) -> list[str]:
    """Run it, and say everything that is not as it must be."""
    try:
        world.run()
    except Stuck as stuck:
        return [f"I11: {stuck}"]
    found = list(world.failures)
    for kind, why in world.halted.items():
        if not _may_halt(world, kind):
            found.append(f"{kind} halted: {why}")
    for cut in world.cuts:
        stage = STAGE_OF[cut.log.where.topic]
        if not found and stage not in world.halted and _is_another_log(world, cut):
            found.append(f"{cut.log.where}: what was read has been cut off, and nobody halted")
    if not found and not world.truncated:
        found += judged(world)
    return found


def _is_another_log(world: World, cut: Cut) -> bool:
    """Another record lies where the last one was that was read before, or one where none was.

    What was in hand when the log was cut was committed later under the same epoch, and counts.
    """
    ends = [
        row["next_offset"]
        for row in world.server.tables["batches"].rows.values()
        if (row["topic"], row["partition"]) == cut.log.where and row["epoch"] <= cut.epoch
    ]
    end = max(ends, default=0)
    read = [n for n, entry in enumerate(cut.before[:end]) if entry is not None]
    if not read or end > len(cut.before):
        return False
    return cut.log.entries[read[-1] : end] != cut.before[read[-1] : end]


def _may_halt(world: World, kind: str) -> bool:
    return any(STAGE_OF[where.topic] == kind for where in world.truncated)


def judged(world: World) -> list[str]:
    """Each invariant of docs/reliability.md, by the judge of the real servers."""
    recorded = as_recorded(world)
    case = _Case(recorded, world)
    return [f"{name}: {text}" for name, check in CHECKS.items() for text in check(case)]


class _Case(Case):
    """Transaction markers take offsets, so a log's end is not its number of records."""

    def __init__(self, recorded: Recorded, world: World) -> None:
        super().__init__(recorded)
        self.ends = {
            (where.topic, where.partition): log.end
            for where, log in world.broker.logs.items()
            if where.topic in STAGE_OF
        }

    def opened(self, seen: Seen) -> Fact | str:  # type: ignore[explicit-override]
        return _remembered(seen._replace(partition=0, offset=0))


def as_recorded(world: World) -> Recorded:
    """The world as one would read it from real servers."""
    topics: dict[tuple[str, int], list[Seen]] = {}
    for where, log in world.broker.logs.items():
        topics[where.topic, where.partition] = [_seen(e) for e in log.entries if e is not None]
    tables = world.server.tables
    rows: dict[str, list[Row]] = {
        name: list(tables[table].rows.values()) for name, table in _TABLES.items()
    }
    for name, order in _ORDERED.items():
        rows[name].sort(key=lambda row: tuple([row[column] for column in order]))
    rows["reports"] = [dict(row) for row in rows["reports"]]
    texts = tables["fact_texts"].rows
    rows["facts"] = [
        {**row, "text": texts[key]["text"] if key in texts else None}
        for key, row in tables["facts"].rows.items()
    ]
    rows["identities"] = [{"n": len(tables["identities"].rows)}]
    return Recorded(topics, rows, world.gateway.effects)


def _seen(entry: Entry) -> Seen:
    return Seen(
        entry.topic, entry.partition, entry.offset, entry.timestamp, entry.key, entry.value,
        tuple(entry.headers),
    )  # fmt: skip


@lru_cache(maxsize=65_536)
def _remembered(seen: Seen) -> Fact | str:
    return opened(seen)


def told_by(world: World) -> Iterator[str]:
    """What lies in the topics that the product writes, but for dead letters: for people to look at."""
    for where, log in world.broker.logs.items():
        if where.topic not in STAGE_OF and where.topic != DEAD_LETTERS:
            for entry in log.entries:
                if entry is not None:
                    yield f"{where.topic} {entry.key!r} {entry.value!r}"
