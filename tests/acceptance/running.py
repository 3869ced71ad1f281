"""A program of ours as a process of its own, and the question whether anything of it is left."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import Signals
from urllib.parse import urlsplit

import psutil

from ops.local.processes import escrow
from ops.local.stack import DATABASE_VARIABLE, KAFKA_VARIABLE

START_SECONDS = 300  # the machine may be busy, the downloads have been made by then
END_SECONDS = 60


def _hears_interrupts() -> None:
    """A shell starts background jobs deaf to SIGINT, and the tests may be one's children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """`escrow ...` with its output in a file and its temporary folders in one of ours."""

    def __init__(self, folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> None:
        self.folder, self.output = folder, folder / "output.txt"
        temporary = folder / "temporary"
        temporary.mkdir(mode=0o755)
        self.temporary = temporary
        given = {**os.environ, "TMPDIR": str(temporary), "COLUMNS": "80", **(env or {})}
        for variable in (KAFKA_VARIABLE, DATABASE_VARIABLE):
            given.pop(variable, None)
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                escrow(*arguments),
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_hears_interrupts,  # noqa: PLW1509  no other thread is at work here
            )
        self._family: dict[int, psutil.Process] = {}

    @property
    def said(self) -> str:
        return self.output.read_text()

    def family(self) -> dict[int, psutil.Process]:
        """All processes that it has ever been seen to have started."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            children = []
        self._family |= {child.pid: child for child in children}
        return self._family

    def programs(self) -> dict[str, psutil.Process]:
        """The programs of the line that run now, by name."""
        found = {}
        for child in self.family().values():
            try:
                line = words(child)
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            if len(line) > 1 and line[1].endswith(
                "/escrow"
            ):  # started anew: its Python comes first
                line = ["escrow", *line[2:]]
            if len(line) > 1 and line[0] == "escrow":
                found[line[2] if line[1] == "consume" else line[1]] = child
        return found

    def wait_until(self, condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"it ended: {self.said}"
            assert time.monotonic() < deadline, f"it took too long: {self.said}"
            self.family()
            time.sleep(0.1)

    def signal(self, number: Signals) -> None:
        self.family()
        self.process.send_signal(number)

    def end(self, seconds: float = END_SECONDS) -> int:
        """Its exit code, once it has ended by itself."""
        deadline = time.monotonic() + seconds
        while (code := self.process.poll()) is None:
            assert time.monotonic() < deadline, f"it does not end: {self.said}"
            self.family()
            time.sleep(0.05)
        return code

    def assert_nothing_left(self, seconds: float = 1) -> None:
        """Soon there is no process (zombies are init's), and no temporary folder."""
        deadline = time.monotonic() + seconds
        while left := [*map(str, self._alive()), *map(str, self.temporary.iterdir())]:
            assert time.monotonic() < deadline, left
            time.sleep(0.05)

    def _alive(self) -> list[psutil.Process]:
        return [child for child in self._family.values() if alive(child)]

    def kill_all(self) -> None:
        """After a test, however it went."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def words(process: psutil.Process) -> list[str]:
    """Its command line; a forked one's is a title, with whatever follows it in that memory."""
    return " ".join(process.cmdline()).split()


def alive(process: psutil.Process) -> bool:
    """It can go between two questions."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_open(address: str) -> bool:
    """Whether somebody listens at `host:port`, or at the host and port of a URL."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((parts.hostname or "", parts.port or 0)) == 0
