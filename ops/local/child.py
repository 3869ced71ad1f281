"""A child process of ours: its own session, its output in a log file, and it never outlives us.

With a pid file it can also be recognised by a later run: by pid, start time and command line, all three,
so that a leftover is ended and a stranger with the same pid is not.
"""

import json
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import psutil

from ops.local.forking import Forked, can_fork
from ops.local.guardian import end, guardian, same_process

_TAIL_BYTES = 64 * 1024


class AsUser(TypedDict, total=False):
    user: str
    group: int
    extra_groups: list[str | int]


class ChildFailedError(RuntimeError):
    """A process of ours ended, or did not get ready, when it should have; carries the tail of its log."""


class Child:
    """One process, started by `start`. A second `start` after it has ended starts it again."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        pid_file: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals | None = None,
        forked: bool = False,
    ) -> None:
        """`user` needs root. `orphan_signal` (default: `stop_signal`) is sent when we die without stopping it.

        `forked`: the command is our own program, and is forked where that is possible (ops/local/forking.py).
        """
        self.name = name
        self.command = tuple(str(part) for part in command)
        self.log_path = log_path
        self.stop_signal = stop_signal
        self._env, self._cwd, self._user, self._pid_file = env, cwd, user, pid_file
        self._orphan_signal = orphan_signal or stop_signal
        self._forked = forked and can_fork(env or {})
        self._popen: subprocess.Popen[bytes] | Forked | None = None
        self._watched = False  # by the guardian, which must forget the pid before it is another's

    def start(self) -> None:
        assert not self.running, f"{self.name} is running"
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        self._popen = self._started()
        with suppress(psutil.NoSuchProcess):  # ended already: the caller finds out from `running`
            created = psutil.Process(self._popen.pid).create_time()
            guardian.watch(self._popen.pid, created, self._orphan_signal)
            self._watched = True
            if self._pid_file is not None:
                text = json.dumps(
                    {"pid": self._popen.pid, "created": created, "command": self.command}
                )
                self._pid_file.write_text(text)

    def _started(self) -> subprocess.Popen[bytes] | Forked:
        env = {**os.environ, **(self._env or {})}
        if self._forked:
            return Forked(self.command, str(self.log_path), env)
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                self.command,
                env=env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **as_user(self._user),
            )

    @property
    def running(self) -> bool:
        return self.returncode is None and self._popen is not None

    @property
    def returncode(self) -> int | None:
        """None while it runs or was never started; minus the signal's number when one ended it."""
        if self._popen is None:
            return None
        code = self._popen.poll()
        if code is not None and self._watched:
            self._watched = False
            guardian.forget(self._popen.pid)
            if self._pid_file is not None:
                self._pid_file.unlink(missing_ok=True)
        return code

    @property
    def pid(self) -> int:
        assert self._popen is not None, f"{self.name} was never started"
        return self._popen.pid

    def send_signal(self, number: signal.Signals) -> None:
        if self._popen is not None:
            self._popen.send_signal(number)

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """The exit code, or None if it still runs after the time."""
        if self._popen is not None:
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout_seconds)
        return self.returncode

    def stop(self, *, grace_seconds: float = 30, number: signal.Signals | None = None) -> None:
        """Ask it to end, then kill it. Does nothing if it does not run."""
        if self.running:
            self.send_signal(number or self.stop_signal)
            if self.wait(grace_seconds) is None:
                self.kill()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.send_signal(signal.SIGKILL)
        self.wait()

    def fail(self, what: str) -> ChildFailedError:
        """An error that says what happened and shows the end of the log."""
        code = self.returncode
        state = "still running" if code is None else f"exit code {code}"
        return ChildFailedError(
            f"{self.name} {what} ({state}). The end of {self.log_path}:\n{tail(self.log_path)}"
        )


def as_user(user: str | None) -> AsUser:
    """The keywords with which `subprocess` runs a program as that user and nobody else's group."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def end_leftover(pid_file: Path, *, grace_seconds: float = 10) -> int | None:
    """End the process that a killed run left behind and recorded here; its pid, or None if there is none."""
    try:
        recorded = json.loads(pid_file.read_text())
        pid, created, command = recorded["pid"], recorded["created"], recorded["command"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pid_file.unlink(missing_ok=True)
        return None
    process = same_process(pid, created)
    if process is not None:
        with suppress(psutil.NoSuchProcess):
            if process.cmdline() != command:
                process = None
    if process is not None:
        end({process: signal.SIGTERM}, grace_seconds)
    pid_file.unlink(missing_ok=True)
    return None if process is None else pid


def tail(path: Path, lines_max: int = 40) -> str:
    """The last lines of a log file."""
    with suppress(FileNotFoundError), path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-lines_max:])
    return "(no log)"
