"""Programs beside the servers: restarted as asked, stopped in one go, never left behind."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ops.local.child import Child, end_leftover
from ops.local.guardian import GRACE_SECONDS
from ops.local.processes import PAUSE_SECONDS_MIN, Exit, Program, Supervisor

SLEEP = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)


def soon(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def exits() -> list[Exit]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, exits: list[Exit]) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, env={"COLOUR": "green"}, on_exit=exits.append) as supervisor:
        yield supervisor


def test_a_program_writes_to_its_log_and_sees_both_environments(supervisor: Supervisor) -> None:
    code = "import os; print(os.environ['COLOUR'], os.environ['SHAPE'])"
    child = supervisor.start(
        Program(name="once", command=(sys.executable, "-c", code), env={"SHAPE": "round"})
    )
    assert child.wait(20) == 0
    assert supervisor.log_path("once").read_text() == "green round\n"


def test_a_killed_program_is_started_again(supervisor: Supervisor, exits: list[Exit]) -> None:
    first = supervisor.start(Program(name="stage", command=SLEEP, restart=True)).pid
    supervisor.child("stage").kill()
    assert soon(lambda: supervisor.child("stage").running)
    assert supervisor.child("stage").pid != first
    assert exits == [
        Exit(name="stage", pid=first, returncode=-9, restarts_in_seconds=PAUSE_SECONDS_MIN)
    ]
    assert supervisor.exited == {}


def test_the_pause_doubles_while_a_program_keeps_failing(
    supervisor: Supervisor, exits: list[Exit]
) -> None:
    supervisor.start(Program(name="broken", command=("/bin/false",), restart=True))
    assert soon(lambda: len(exits) == 3)
    assert [exit_.restarts_in_seconds for exit_ in exits] == [0.5, 1.0, 2.0]


def test_without_restart_an_end_is_told_once_and_stays(
    supervisor: Supervisor, exits: list[Exit]
) -> None:
    child = supervisor.start(Program(name="once", command=("/bin/false",)))
    assert soon(lambda: bool(exits))
    time.sleep(0.5)
    assert exits == [Exit(name="once", pid=child.pid, returncode=1, restarts_in_seconds=None)]
    assert supervisor.exited == {"once": 1}


def test_a_stopped_program_is_nobodys_news_and_can_be_started_again(
    supervisor: Supervisor, exits: list[Exit]
) -> None:
    program = Program(name="stage", command=SLEEP, restart=True)
    supervisor.start(program)
    supervisor.stop("stage")
    time.sleep(PAUSE_SECONDS_MIN + 0.5)
    assert not supervisor.child("stage").running
    assert exits == []
    assert supervisor.start(program).running


def test_stopping_all_kills_who_does_not_listen(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    children = [
        supervisor.start(Program(name="stubborn", command=STUBBORN)),
        supervisor.start(Program(name="polite", command=SLEEP)),
    ]
    assert soon(lambda: all("up" in supervisor.log_path(n).read_text() for n in supervisor.names))
    supervisor.stop_all(grace_seconds=1)
    assert [child.returncode for child in children] == [-signal.SIGKILL, -signal.SIGTERM]


PARENT = """
import pathlib, sys, time
from ops.local.processes import Program, Supervisor
supervisor = Supervisor(pathlib.Path(sys.argv[1]))
command = (sys.executable, "-c", "import time; time.sleep(600)")
print(*[supervisor.start(Program(name=str(n), command=command)).pid for n in range(3)], flush=True)
time.sleep(600)
"""


def test_programs_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        programs = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        assert len(programs) == 3
    finally:
        parent.kill()
        parent.communicate()
    assert psutil.wait_procs(programs, timeout=GRACE_SECONDS + 5)[1] == []


def test_a_stranger_with_a_recorded_pid_is_left_alone(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid.json"
    child = Child("one", SLEEP, log_path=tmp_path / "log", pid_file=pid_file)
    child.start()
    try:
        recorded = pid_file.read_text()
        pid_file.write_text(recorded.replace("sleep(600)", "sleep(601)"))
        assert end_leftover(pid_file) is None
        assert child.running

        pid_file.write_text("half a rec")
        assert end_leftover(pid_file) is None
        assert child.running

        pid_file.write_text(recorded)
        assert end_leftover(pid_file) == child.pid
        assert not child.running
    finally:
        child.stop()
