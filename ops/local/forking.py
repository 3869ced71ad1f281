"""A program of ours that has loaded already: forked from a process that has imported what they share.

A line has a dozen programs, and each would import for a second of a core. It looks like a started one in
every way but its parent. Linux only: elsewhere not every library survives a fork.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Final

_READ_AT_EXEC: Final = ("LD_", "PYTHON", "MALLOC_", "GLIBC_")  # too late for them after a fork


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether a program with this on top of our environment may be a fork."""
    return sys.platform == "linux" and not any(name.startswith(_READ_AT_EXEC) for name in env)


class Forked:
    """As much of `subprocess.Popen` as a Child needs; any thread may ask."""

    def __init__(self, command: Sequence[str], log: str, env: Mapping[str, str]) -> None:
        """Start `escrow ...`; `env` is the whole environment. Raises OSError."""
        self.args = command
        self._ended = threading.Event()
        self._code: int | None = None
        self.pid = _server().fork(self, {"command": command, "log": log, "env": env})

    def poll(self) -> int | None:
        """The exit code, minus the signal's number where one ended it; None while it runs."""
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        self._ended.wait(timeout)
        if self._code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self._code

    def send_signal(self, number: int) -> None:
        if self._code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended(self, code: int) -> None:
        """Told by the server."""
        self._code = code
        self._ended.set()


class _Server:
    """Our end of a fork server, which lives as long as we do."""

    def __init__(self) -> None:
        self.owner_pid = os.getpid()
        self._asking = threading.Lock()
        self._answers: SimpleQueue[int | None] = SimpleQueue()
        self._forks: dict[int, Forked] = {}
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ops.local.fork_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        threading.Thread(target=self._listen, name="forks", daemon=True).start()
        atexit.register(self.close)

    @property
    def gone(self) -> bool:
        return self._process.poll() is not None

    def fork(self, fork: Forked, wish: Mapping[str, object]) -> int:
        """The new process's id."""
        with self._asking:
            self._starting = fork
            self._channel.sendall(json.dumps(wish).encode() + b"\n")
            pid = self._answers.get()
        if pid is None:
            raise OSError("the process that forks programs has ended")
        return pid

    def _listen(self) -> None:
        with suppress(OSError), self._channel.makefile("rb") as lines:
            for line in lines:
                match json.loads(line):
                    case {"pid": int(pid)}:
                        self._forks[pid] = self._starting
                        self._answers.put(pid)
                    case {"ended": int(pid), "code": int(code)}:
                        self._forks.pop(pid).ended(code)
        self._answers.put(None)
        for pid, fork in self._forks.items():  # nobody would hear of their ends
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            fork.ended(-signal.SIGKILL)

    def close(self) -> None:
        """End the server; what it has forked goes on."""
        if self.owner_pid == os.getpid():
            with suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
            self._process.wait()
            self._channel.close()


_lock: Final = threading.Lock()
_servers: Final[list[_Server]] = []


def _server() -> _Server:
    """One per process, started with the first fork; another one where it has ended."""
    with _lock:
        if not _servers or _servers[0].gone or _servers[0].owner_pid != os.getpid():
            _servers[:] = [_Server()]
        return _servers[0]
