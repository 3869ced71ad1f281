"""The whole line, each program a process of its own that can be armed, killed, frozen and doubled.

What `ops.local.pipeline.Pipeline` does for users, with handles for faults: nothing is started again
unless the one who drives says so.
"""

import contextlib
import resource
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from consumers.engine.admin import apply_topics
from consumers.engine.config import load_settings
from consumers.engine.crash import VARIABLE
from ops.cli.run import HALTED
from ops.local.child import Child, tail
from ops.local.pipeline_pulse import unfinished
from ops.local.processes import escrow
from schemas.facts import STAGE_TOPICS
from storage.migrate import upgrade
from tests.chaos.servers import Servers

STAGES: Final = tuple(STAGE_TOPICS)
PROGRAMS: Final = (*STAGES, "relay", "ticker", "gateway")
SESSION_MS: Final = 3_000  # short, so that a dead member is forgotten soon
REQUEST_MS: Final = 10_000  # and a dead connection noticed soon
MEMORY_BYTES: Final = 1_536 * 1_048_576  # of addresses; who wants more dies of it
STEP_SECONDS: Final = 0.1
WORDS_MAX: Final = 300


class Death(NamedTuple):
    name: str
    crash_at: str | None
    returncode: int


class Line:
    """Servers and programs for as long as the `with` lasts."""

    def __init__(self, servers: Servers | None = None) -> None:
        self.servers = servers or Servers()
        self.running: dict[str, Child] = {}
        self.unexpected: list[Death] = []
        self._ended: list[Death] = []
        self._armed: dict[str, str | None] = {}
        self._lock = threading.RLock()  # faults may strike several at once

    def __enter__(self) -> Self:
        try:
            self.servers.start()
            stack = self.servers.stack
            self.settings = load_settings(
                kafka={"bootstrap_servers": stack.bootstrap_servers},
                database={"url": stack.database_url},
            )
            upgrade(self.settings.database.connection_url)
            self.servers.grant_rights()
            apply_topics(self.settings)
            self.start_missing()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    @property
    def url(self) -> str:
        return self.settings.database.connection_url

    @property
    def gateway_dir(self) -> Path:
        return self.servers.stack.data_dir / "gateway"

    def start_program(
        self, name: str, crash_at: str | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        """`payments-2` is a second worker of `payments`. Nothing where one of that name runs."""
        with self._lock:
            if name not in self.running:
                self._start(name, crash_at, env or {})

    def _start(self, name: str, crash_at: str | None, env: Mapping[str, str]) -> None:
        kind = name.partition("-")[0]
        argv = ["consume", kind] if kind in STAGES else [kind]
        if kind == "gateway":
            argv += ["--data", str(self.gateway_dir)]
        child = Child(
            name,
            escrow(*argv),
            log_path=self.servers.log_dir / f"{name}.log",
            env={**self._env, **env, VARIABLE: crash_at or ""},
            orphan_signal=signal.SIGKILL,
            forked=True,
        )
        child.start()
        with contextlib.suppress(ProcessLookupError):  # killed at its first step
            resource.prlimit(child.pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        self.running[name], self._armed[name] = child, crash_at

    def start_missing(self) -> None:
        for name in PROGRAMS:
            if name not in self.running:
                self.start_program(name)

    def armed(self, name: str) -> str | None:
        return self._armed[name]

    def deaths(self) -> list[Death]:
        """Who has ended since the last question, but for those that were ended by name."""
        self._collect()
        found, self._ended = self._ended, []
        return found

    def halted(self, said: str) -> set[str]:
        """Who has halted since the last question with these words in its log; others stay in `deaths`."""
        self._collect()
        mine = [
            death
            for death in self._ended
            if death.returncode == HALTED and said in self.log_of(death.name)
        ]
        for death in mine:
            self._ended.remove(death)
        return {death.name for death in mine}

    def log_of(self, name: str) -> str:
        """The end of what a program has logged."""
        return tail(self.servers.log_dir / f"{name}.log", 5)

    def last_words(self) -> str:
        """The last line of each program's and server's log, cut: why a line does not come to rest."""
        logs = sorted(self.servers.log_dir.glob("*.log"))
        return "".join(f"    {log.stem}: {tail(log, 1).strip()[:WORDS_MAX]}\n" for log in logs)

    def _collect(self) -> None:
        with self._lock:
            for name, child in list(self.running.items()):
                code = child.returncode
                if code is not None:
                    del self.running[name]
                    self._ended.append(Death(name, self._armed[name], code))

    def send(self, name: str, number: signal.Signals) -> None:
        with contextlib.suppress(KeyError):
            self.running[name].send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL, and wait for the end."""
        self._end_one(name, signal.SIGKILL, 20)

    def stop(self, name: str) -> None:
        """SIGTERM, and wait; SIGKILL for who does not leave."""
        if not self._end_one(name, signal.SIGTERM, 15):
            self.kill(name)

    def stop_all(self) -> None:
        for name in list(self.running):
            self.stop(name)

    def _end_one(self, name: str, number: signal.Signals, seconds: float) -> bool:
        child = self.running.get(name)
        if child is None:
            return True
        self.send(name, number)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._collect()
            if self.running.get(name) is not child:
                for mine in [death for death in self._ended if death.name == name]:
                    self._ended.remove(mine)
                    if mine.returncode not in (0, -signal.SIGKILL):
                        self.unexpected.append(mine)
                return True
            time.sleep(0.02)
        return False

    def wait_idle(self, seconds: float = 60.0) -> float:
        """Seconds until nothing was left to do; TimeoutError names what is. Who ends is started again."""
        began = time.monotonic()
        while True:
            for death in self.deaths():
                if death.returncode != -signal.SIGKILL:
                    self.unexpected.append(death)
                if death.name not in self.running:
                    self.start_program(death.name)
            left = self._left()
            took = time.monotonic() - began
            if not left:
                return took
            if took > seconds:
                raise TimeoutError(f"not finished after {seconds:g} s: {'; '.join(left[:5])}")
            time.sleep(STEP_SECONDS)

    def _left(self) -> list[str]:
        try:
            return unfinished(self.settings, self.gateway_dir)
        except Exception as error:  # noqa: BLE001 -- a server may be away for a moment
            return [f"{type(error).__name__}: {error}"[:200]]

    @property
    def _env(self) -> dict[str, str]:
        return {
            **self.servers.environment,
            "ESCROW_KAFKA__REQUEST_TIMEOUT_MS": str(REQUEST_MS),
            # sent rows are told apart by the judge; a wrong clock must not make them old
            "ESCROW_RELAY__RETENTION_HOURS": "87600",
            "ESCROW_KAFKA__SESSION_TIMEOUT_MS": str(SESSION_MS),
            "ESCROW_KAFKA__HEARTBEAT_INTERVAL_MS": str(SESSION_MS // 4),
        }

    def _end(self) -> None:
        for child in self.running.values():
            child.kill()
        self.servers.stop()
