"""The programs that run beside the servers (stages, relay, ticker): each with its log, none outliving us.

A program that ends without being told to is started again, after a pause that doubles up to a limit, if its spec
says so; otherwise it is left ended and `exited` names it. Nothing here judges whether a program works.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM, Signals
from types import TracebackType
from typing import Final, Self

from ops.local.child import Child

PAUSE_SECONDS_MIN: Final = 0.5
PAUSE_SECONDS_MAX: Final = 30.0
STEADY_SECONDS: Final = 30.0  # who ran this long starts again with the shortest pause
_LOOK_SECONDS = 0.1


def escrow(*arguments: str) -> tuple[str, ...]:
    """The command line of our own program, of this very installation."""
    return (str(Path(sys.executable).with_name("escrow")), *arguments)


@dataclass(frozen=True, kw_only=True)
class Program:
    name: str  # unique within a supervisor; also the name of the log file
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)  # on top of ours and the supervisor's
    restart: bool = False  # start it again when it ends by itself, whatever its exit code
    stop_signal: Signals = SIGTERM


@dataclass(frozen=True, kw_only=True)
class Exit:
    name: str
    pid: int
    returncode: int  # minus the signal's number when a signal ended it
    restarts_in_seconds: float | None  # None: it stays ended


class _State:
    """A program of the supervisor, and what became of it."""

    def __init__(self, program: Program, child: Child) -> None:
        self.program, self.child = program, child
        self.started_at = time.monotonic()
        self.pause_seconds = PAUSE_SECONDS_MIN
        self.restart_at: float | None = None  # it has ended and waits for its next start
        self.told = False  # its end has been reported
        self.stopped = False  # by us: its end is nobody's business


class Supervisor:
    """Starts programs one by one; stops them all, the last started first."""

    def __init__(
        self,
        log_dir: Path,
        *,
        env: Mapping[str, str] | None = None,
        on_exit: Callable[[Exit], None] | None = None,
        forks: bool = True,
    ) -> None:
        """`on_exit` is called on the supervisor's own thread for every end that we did not ask for.

        `forks`: programs of ours are forked where that is possible, not started anew.
        """
        self.log_dir = log_dir
        self._env = dict(env or {})
        self._on_exit, self._forks = on_exit, forks
        self._states: dict[str, _State] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, program: Program) -> Child:
        """Start it, or start it again after it was stopped or ended."""
        with self._lock:
            assert not self._closing.is_set(), "the supervisor has stopped"
            old = self._states.pop(program.name, None)
            assert old is None or not old.child.running, f"{program.name} is running"
            child = Child(
                program.name,
                program.command,
                log_path=self.log_path(program.name),
                env={**self._env, **program.env},
                stop_signal=program.stop_signal,
                forked=self._forks and program.command[0] == escrow()[0],
            )
            child.start()
            self._states[program.name] = _State(program, child)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
                self._thread.start()
            return child

    def log_path(self, name: str) -> Path:
        return self.log_dir / f"{name}.log"

    def child(self, name: str) -> Child:
        """The process of that program: to signal it, kill it, read its pid."""
        with self._lock:
            return self._states[name].child

    @property
    def names(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._states)

    @property
    def exited(self) -> dict[str, int]:
        """The exit codes of those that ended by themselves and stay ended."""
        with self._lock:
            return {
                name: code
                for name, state in self._states.items()
                if not (state.stopped or state.program.restart)
                and (code := state.child.returncode) is not None
            }

    def stop(self, name: str, *, grace_seconds: float = 30) -> None:
        """Stop one program; it is not started again unless `start` is called."""
        self._give_up(name).stop(grace_seconds=grace_seconds)

    def stop_all(self, *, grace_seconds: float = 30) -> None:
        """Ask all to stop, the last started first, then wait; who is late is killed. Ends the supervisor."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        children = [self._give_up(name) for name in reversed(self.names)]
        for child in children:
            if child.running:
                child.send_signal(child.stop_signal)
        deadline = time.monotonic() + grace_seconds
        for child in children:
            if child.running and child.wait(max(0.0, deadline - time.monotonic())) is None:
                child.kill()

    def _give_up(self, name: str) -> Child:
        with self._lock:
            state = self._states[name]
            state.stopped, state.restart_at = True, None
            return state.child

    def _watch(self) -> None:
        while not self._closing.wait(_LOOK_SECONDS):
            with self._lock:
                exits = [exit_ for state in self._states.values() if (exit_ := _look(state))]
            for exit_ in exits:
                if self._on_exit is not None:
                    self._on_exit(exit_)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_all()


def _look(state: _State) -> Exit | None:
    """Start again what is due, and tell of an end that nobody was told of yet."""
    now = time.monotonic()
    if state.stopped:
        return None
    if state.restart_at is not None:
        if now >= state.restart_at:
            state.child.start()
            state.started_at, state.restart_at, state.told = now, None, False
        return None
    code = state.child.returncode
    if code is None or state.told:
        return None
    state.told = True
    pause = None
    if state.program.restart:
        if now - state.started_at > STEADY_SECONDS:
            state.pause_seconds = PAUSE_SECONDS_MIN
        pause = state.pause_seconds
        state.restart_at = now + pause
        state.pause_seconds = min(pause * 2, PAUSE_SECONDS_MAX)
    return Exit(
        name=state.program.name,
        pid=state.child.pid,
        returncode=code,
        restarts_in_seconds=pause,
    )
