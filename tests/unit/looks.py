"""What a console could have seen, made without servers: samples of the lag, and figures of the books."""

from typing import Final

from consumers.engine.asking import Span
from consumers.engine.config import Settings
from consumers.stages import STAGES
from ops.lag import Sample, compare
from ops.web.history import History
from ops.web.watcher import Counts, Seen, Watcher
from storage import figures as rows
from storage.overview import Counted, Endings, Figures, HeldByAge
from storage.totals import Total

NOW: Final = 1_700_000_000_000
MONEY: Final = Total("HELD", "EUR", 3, 4200, 4200, 0, 0, 0, 0, 0)
ROWS: Final = rows.Figures(
    {"EUR": rows.Money(4200, 4200, 0, 0, 0, 0, 0)},
    {"HELD": 3},
    {("payout", "SETTLED"): 1},
    {},
    {},
    {},
    0,
    rows.Group(0, None),
    {"invalid_json": rows.Group(2, NOW - 5_000)},
    {"awaiting_payment": rows.Group(1, NOW)},
    0,
)
COUNTED: Final = Counted(
    [HeldByAge("HELD", "EUR", 1, 3, 4200)],
    [Endings("HELD", None, False, 3), Endings("SPLIT", "agreement", True, 1)],
    ROWS,
    0,
    [],
)


def a_sample(
    at: float,
    *,
    position: int = 10,
    end: int = 10,
    members: int = 1,
    unsent: int = 0,
    unsent_since: int | None = None,
) -> Sample:
    """All stages stand at 10 of 10, but `payments` in its partition 0; `at`: seconds."""
    places = {(stage, partition): 10 for stage in STAGES for partition in range(4)}
    spans = {(STAGES[stage].topic, partition): Span(0, 10) for stage, partition in places}
    places["payments", 0] = position
    spans[STAGES["payments"].topic, 0] = Span(0, end)
    return Sample(
        at,
        NOW + int(at * 1000),
        places,
        dict.fromkeys(places, 1.0),
        spans,
        {**dict.fromkeys(STAGES, 1), "payments": members},
        {},
        unsent,
        unsent_since,
    )


def seen_by(samples: list[Sample], settings: Settings | None = None, **more: object) -> Seen:
    """What the console knows after these samples."""
    settings = settings or Settings()
    history, look, old = History(), None, None
    for sample in samples:
        report = compare(old, sample, settings)
        look = history.add(report, sample.wall_ms, sample.monotonic)
        old = sample
    seen = Seen(1, look, Figures([MONEY], 0, None, NOW), NOW, Counts(COUNTED, NOW, 0.1))
    return seen._replace(columns=tuple(history.columns), **more)  # type: ignore[arg-type]


class Eyes(Watcher):
    """A watcher that has seen just this, and looks at nothing."""

    def __init__(self, seen: Seen, settings: Settings | None = None) -> None:
        super().__init__(settings or Settings())
        self._seen = seen
