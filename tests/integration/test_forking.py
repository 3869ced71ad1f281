"""A forked program is told from a started one by its parent only: what it reads, says, is called, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.local import forking
from ops.local.child import Child
from ops.local.processes import escrow
from tests.acceptance.running import alive, words
from tests.integration.test_local_processes import soon

pytestmark = pytest.mark.skipif(not forking.can_fork({}), reason="programs are forked on Linux")


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Child]:
    """A program that loads, and then waits for somebody to write into its pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = escrow("simulate", str(pipe), "--outcomes", "outcomes", "--orders", "orders")
    child = Child("simulate", command, log_path=tmp_path / "log", forked=True)
    child.start()
    title = ["escrow", *command[1:]]
    assert soon(lambda: words(psutil.Process(child.pid)) == title)
    yield child
    child.kill()


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (("consume", "nonsense"), {}),
        (("consume", "payments"), {"ESCROW_DATABASE__URL": "nonsense"}),
        (("gateway",), {}),
        (("simulate", "/nowhere", "--outcomes", "x", "--orders", "y"), {}),
        (("--help",), {"COLUMNS": "60"}),
    ],
)
def test_it_says_and_ends_as_one_that_is_started(
    tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str]
) -> None:
    ends = []
    for forked in (False, True):
        log = tmp_path / f"{forked}"
        child = Child("one", escrow(*arguments), log_path=log, env=env, forked=forked)
        child.start()
        ends.append((child.wait(60), log.read_text()))
    assert ends[0] == ends[1]
    assert ends[0][1]


def test_it_has_a_session_of_its_own_and_dies_of_the_signal_it_is_sent(waiting: Child) -> None:
    assert os.getsid(waiting.pid) == waiting.pid
    with pytest.raises(subprocess.TimeoutExpired):
        waiting._popen.wait(0.01)  # type: ignore[union-attr]
    assert waiting.running
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(20) == -signal.SIGTERM
    waiting.send_signal(signal.SIGTERM)  # to nobody


def test_its_server_does_not_die_alone_and_the_next_program_has_another(
    waiting: Child, tmp_path: Path
) -> None:
    program = psutil.Process(waiting.pid)
    server = program.parent()
    assert server is not None
    server.kill()
    assert waiting.wait(20) == -signal.SIGKILL
    assert soon(lambda: not alive(program))
    again = Child("one", escrow("gateway"), log_path=tmp_path / "again", forked=True)
    again.start()
    assert again.wait(60) == 2


@pytest.mark.parametrize("variable", ["LD_PRELOAD", "PYTHONDEVMODE"])
def test_what_is_read_at_the_start_of_a_process_needs_a_start(variable: str) -> None:
    assert not forking.can_fork({"ESCROW_WEB__PORT": "1", variable: ""})


def test_who_forks_leaves_nothing_open_at_its_end(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from ops.local.child import Child
child = Child("one", {escrow("gateway")!r}, log_path=Path({str(tmp_path / "log")!r}), forked=True)
child.start()
print(child.wait(60))
"""
    command = [sys.executable, "-X", "dev", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_a_fork_that_nobody_has_heard_of_ends_with_who_asked_for_it(tmp_path: Path) -> None:
    """Its asker's guardian knows nothing of it: it would work on alone."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", "ops.local.fork_server", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        command = escrow("simulate", str(pipe), "--outcomes", "outcomes", "--orders", "orders")
        wish = {"command": command, "log": str(tmp_path / "log"), "env": dict(os.environ)}
        ours.sendall(json.dumps(wish).encode() + b"\n")
        assert ours.recv(1, socket.MSG_PEEK) == b"{"  # it is there, and stays unread
        (fork,) = psutil.Process(server.pid).children()
    assert server.wait(20) == 0
    assert soon(lambda: not alive(fork))
