"""`escrow top` at a pseudo-terminal: it changes, keys are heard at once, and the terminal is given back."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from consumers.engine import admin
from consumers.engine.config import Settings
from ops.local.processes import escrow
from tests.integration.program import Program


class Terminal:
    """One end of a pseudo-terminal of 80 columns, with a program of ours at the other."""

    def __init__(self, number: int, process: subprocess.Popen[bytes]) -> None:
        self.number, self.process = number, process
        self.shown = ""

    def wait_for(self, text: str, seconds: float = 60.0) -> str:
        """Until it was shown after the last call, and all that was; fails if it never is."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, f"no {text!r} in {self.shown[-2_000:]!r}"
            ready, _, _ = select.select([self.number], [], [], 0.2)
            if ready:
                self.shown += os.read(self.number, 65_536).decode(errors="replace")
        shown, self.shown = self.shown, ""
        return shown

    def press(self, key: str) -> None:
        os.write(self.number, key.encode())


def _take_the_terminal() -> None:
    """So that Ctrl-C is a signal, as it is for a person, also where these tests run in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextmanager
def at_a_terminal(env: dict[str, str], *words: str) -> Iterator[tuple[Terminal, list[Any]]]:
    """`escrow top`, or what these words are; and the terminal's settings as they were before."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    process = subprocess.Popen(
        escrow(*(words or ("top", "--every", "0.2"))),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, **env, "TERM": "xterm"},
        start_new_session=True,
        preexec_fn=_take_the_terminal,  # noqa: PLW1509  no other thread is at work here
    )
    try:
        yield Terminal(ours, process), before
        assert termios.tcgetattr(theirs) == before
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    admin.apply_topics(settings)
    return {
        "ESCROW_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "ESCROW_DATABASE__URL": settings.database.connection_url,
    }


def test_keys_are_heard_and_q_gives_the_terminal_back(env: dict[str, str]) -> None:
    with at_a_terminal(env) as (terminal, _):
        terminal.wait_for("supplier_reports")
        terminal.wait_for("outbox 0 to send")
        terminal.press("s")
        terminal.wait_for("verdict v")
        terminal.press("1")
        terminal.wait_for("drained in")  # the heading of the page about partitions
        terminal.press("0")
        terminal.wait_for("supplier_reports")
        terminal.press("q")
        assert terminal.process.wait(30) == 0


def test_control_c_ends_it_as_well(env: dict[str, str]) -> None:
    with at_a_terminal(env) as (terminal, _):
        terminal.wait_for("supplier_reports")
        terminal.press("\x03")
        assert terminal.process.wait(30) in (0, 130)


def test_without_a_terminal_it_is_one_picture(
    env: dict[str, str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Program(settings, monkeypatch)("top", code=1).stdout
    assert "no-members" in page
    assert "outbox 0 to send" in page
    assert "\x1b" not in page
