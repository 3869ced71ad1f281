"""Chance in unit tests comes from the session's one seed, which the header of each run shows."""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, core, settings

from tests.conftest import SEED

settings.register_profile(
    "unit",
    deadline=None,  # the machine may be busy; the whole folder has its own limit
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("unit")
    if core.global_force_seed is None:  # --hypothesis-seed goes first
        core.global_force_seed = SEED  # type: ignore[assignment]


LAST: Final = "test_codes_reached.py"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What looks back at the whole folder goes last, and only where the whole folder runs."""
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    last = [item for item in mine if item.path.name == LAST]
    whole = set(here.rglob("test_*.py")) == {item.path for item in mine} and not (
        config.option.keyword or getattr(config.option, "lf", False)
    )
    items.sort(key=lambda item: (here not in item.path.parents, item.path.name == LAST))  # stable
    if not whole:
        items[:] = [item for item in items if item.path.name != LAST]
        config.hook.pytest_deselected(items=last)
