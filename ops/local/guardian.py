"""What we started ends when we end, even by kill -9: a process of its own watches for that.

It reads JSON lines from its parent and needs no answer: `{"watch": pid, "created": seconds, "signal": n}`,
`{"forget": pid}`, `{"remove": folder}`, `{"keep": folder}`. When the pipe closes it signals what is still
watched, kills what has not ended after the grace, and removes the folders. Works alike on Linux and macOS,
and unlike PR_SET_PDEATHSIG it does not care which thread started the child.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

GRACE_SECONDS = 10
CREATED_TOLERANCE_SECONDS = 2


class Guardian:
    """The parent's end. One per process, started with the first child and ended with the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner_pid = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._kept: set[int | str] = set()

    @property
    def pid(self) -> int | None:
        """None while there is nothing to watch."""
        return None if self._process is None else self._process.pid

    def watch(self, pid: int, created: float, stop_signal: signal.Signals) -> None:
        """End `pid` (if it is still the process created then) when this process is gone."""
        self._add(pid, {"watch": pid, "created": created, "signal": int(stop_signal)})

    def forget(self, pid: int) -> None:
        self._drop(pid, {"forget": pid})

    def remove_later(self, folder: Path) -> None:
        """Remove `folder`, a temporary one, when this process is gone."""
        self._add(str(folder), {"remove": str(folder)})

    def keep(self, folder: Path) -> None:
        self._drop(str(folder), {"keep": str(folder)})

    def _add(self, what: int | str, line: dict[str, object]) -> None:
        with self._lock:
            if self._owner_pid != os.getpid():  # a fork: our parent's guardian is not ours
                self._process, self._kept, self._owner_pid = None, set(), os.getpid()
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    [sys.executable, str(Path(__file__).resolve())],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    start_new_session=True,
                )
            self._kept.add(what)
            self._send(line)

    def _drop(self, what: int | str, line: dict[str, object]) -> None:
        with self._lock:
            if self._owner_pid != os.getpid() or what not in self._kept:
                return
            self._kept.discard(what)
            self._send(line)
            if not self._kept and self._process is not None:
                with suppress(BrokenPipeError):
                    _pipe_to(self._process).close()
                self._process.wait()
                self._process = None

    def _send(self, line: dict[str, object]) -> None:
        if self._process is not None:
            with suppress(BrokenPipeError):  # killed by someone: the children are watched no more
                _pipe_to(self._process).write(json.dumps(line).encode() + b"\n")
                _pipe_to(self._process).flush()


def _pipe_to(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


guardian = Guardian()


def same_process(pid: int, created: float) -> psutil.Process | None:
    """The live process `pid`, if it is the one created then (seconds since 1970) and not a later namesake."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created) > CREATED_TOLERANCE_SECONDS:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def end(processes: dict[psutil.Process, signal.Signals], grace_seconds: float) -> None:
    """Signal each process, wait, and kill what is left."""
    for process, stop_signal in processes.items():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
    _, alive = psutil.wait_procs(list(processes), timeout=grace_seconds)
    for process in alive:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=grace_seconds)


def main() -> None:
    """Read until the parent is gone, then end and remove what it left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    watched: dict[int, tuple[float, signal.Signals]] = {}
    folders: set[str] = set()
    for line in sys.stdin.buffer:
        match json.loads(line):
            case {"watch": int(pid), "created": float(created), "signal": int(number)}:
                watched[pid] = (created, signal.Signals(number))
            case {"forget": int(pid)}:
                watched.pop(pid, None)
            case {"remove": str(folder)}:
                folders.add(folder)
            case {"keep": str(folder)}:
                folders.discard(folder)
    left = {
        process: stop_signal
        for pid, (created, stop_signal) in watched.items()
        if (process := same_process(pid, created))
    }
    end(left, GRACE_SECONDS)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
