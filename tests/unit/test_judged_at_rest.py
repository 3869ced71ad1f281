"""What a timer tells between rest and reading is no violation; what really waits still is."""

from collections import Counter, defaultdict
from typing import Any, cast

import pytest

from tests.chaos.checker import Judge, Verdict
from tests.chaos.kills import READINGS_MAX, judged
from tests.chaos.line import Line
from tests.chaos.recorded import Recorded, Recorder


class World:
    """A line whose outbox has an unsent row in its first readings; a judge who keeps what it was shown."""

    def __init__(self, unsent_readings: int, *, comes_to_rest: bool = True) -> None:
        self.unsent_readings, self.comes_to_rest = unsent_readings, comes_to_rest
        self.readings = self.waits = 0
        self.shown: list[Recorded] = []

    def read(self) -> Recorded:
        self.readings += 1
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        is_sent = self.readings > self.unsent_readings
        rows["outbox"] = [{"id": 1, "sent_at": 1 if is_sent else None}]
        return Recorded(rows=rows)

    def wait_idle(self, seconds: float) -> float:
        self.waits += 1
        if not self.comes_to_rest:
            raise TimeoutError
        return seconds

    def judge(self, recorded: Recorded) -> Verdict:
        self.shown.append(recorded)
        return Verdict(Counter(), [], [])


@pytest.mark.parametrize(
    ("world", "readings"),
    [
        (World(0), 1),
        (World(1), 2),
        (World(9), READINGS_MAX),
        (World(9, comes_to_rest=False), READINGS_MAX),
    ],
)
def test_the_judge_is_shown_a_line_at_rest(world: World, readings: int) -> None:
    judged(cast("Line", world), cast("Recorder", world), cast("Judge", world))
    assert (world.readings, world.waits) == (readings, readings - 1)
    ((shown,),) = ([each.rows["outbox"][0] for each in world.shown],)
    assert (shown["sent_at"] is None) == (world.unsent_readings >= readings)
