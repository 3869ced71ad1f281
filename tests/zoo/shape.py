"""A planted bug is text that replaces other text, and the tests that must fail with it."""

from typing import Final, NamedTuple

MODEL: Final = "tests/unit/test_against_model.py"
ARRIVAL: Final = "tests/unit/test_arrival.py"
ROWS: Final = "tests/integration/test_batch_equals_dry_run.py::test_rows_equal_the_dry_run[2-7]"
RACES: Final = "tests/integration/test_races.py"
RELAY: Final = "tests/integration/test_relay.py"
TICKER: Final = "tests/integration/test_ticker.py"
CONTROL: Final = "tests/integration/test_sending_control.py"
RESTORE: Final = "tests/integration/test_restore.py"
POLICIES: Final = "tests/unit/rules/test_policies.py"
SILENCES: Final = "tests/unit/rules/test_silences.py"
SIMULATION: Final = (
    "tests/unit/test_simulation.py::test_schedules_that_nobody_has_tried_before_end_well"
)


class Edit(NamedTuple):
    module: str
    old: str  # stands there exactly once
    new: str


class Bug(NamedTuple):
    caught_by: str  # the tests that must fail
    edits: tuple[Edit, ...]


def bug(caught_by: str, module: str, old: str, new: str, *more: Edit) -> Bug:
    return Bug(caught_by, (Edit(module, old, new), *more))
