"""Every place of the catalogue is passed somewhere, and a process dies there only when told to."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.engine.crash import PLACES, VARIABLE, arm

ROOT = Path(__file__).parents[2]
PASSES = """
from consumers.engine.crash import crash_point
for n in range(1, 4):
    crash_point("relay.sent")
    crash_point("relay.read")
    print(n, flush=True)
"""


def run(order: str | None) -> subprocess.CompletedProcess[str]:
    env = {} if order is None else {VARIABLE: order}
    return subprocess.run(
        [sys.executable, "-c", PASSES],
        env=env,
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def passed_in_the_code() -> set[str]:
    code = "".join(path.read_text() for path in (ROOT / "consumers/engine").glob("*.py"))
    found = set(re.findall(r'crash_point\("([a-z_.]+)"\)', code))
    parts = re.findall(r'\bwritten\("([a-z]+)"\)', (ROOT / "storage/decisions.py").read_text())
    steps = re.findall(r'self\._at\("([a-z]+)"\)', (ROOT / "ops/local/gateway/run.py").read_text())
    return found | {f"batch.{part}_written" for part in parts} | {f"gateway.{s}" for s in steps}


def test_the_catalogue_is_what_the_code_passes() -> None:
    assert passed_in_the_code() == set(PLACES)
    assert len(PLACES) >= 25


def test_without_an_order_nothing_dies() -> None:
    assert run(None).stdout.split() == ["1", "2", "3"]


@pytest.mark.parametrize(("order", "said"), [("relay.sent:1", []), ("relay.read:3", ["1", "2"])])
def test_the_nth_passing_is_the_last(order: str, said: list[str]) -> None:
    done = run(order)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == said


@pytest.mark.parametrize("order", ["relay.sent", "relay.sent:0", "relay.sent:x", "relay.snt:1"])
def test_an_order_that_cannot_be_met_is_refused(order: str) -> None:
    with pytest.raises(ValueError, match="no such place"):
        arm(order)
