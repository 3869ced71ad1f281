"""The whole line, each program a process of its own that can be armed, killed, frozen and doubled.

What `ops.local.pipeline.Pipeline` does for users, with handles for faults: nothing is started again
unless the one who drives says so.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from consumers.engine.admin import apply_topics
from consumers.engine.config import load_settings
from consumers.engine.crash import VARIABLE
from ops.cli.run import HALTED
from ops.local.child import tail
from ops.local.pipeline_pulse import unfinished
from schemas.facts import STAGE_TOPICS
from storage.migrate import upgrade
from tests.chaos.servers import Servers

STAGES: Final = tuple(STAGE_TOPICS)
PROGRAMS: Final = (*STAGES, "relay", "ticker", "gateway")
SESSION_MS: Final = 3_000  # short, so that a dead member is forgotten soon
REQUEST_MS: Final = 10_000  # and a dead connection noticed soon
STEP_SECONDS: Final = 0.1


class Death(NamedTuple):
    name: str
    crash_at: str | None
    returncode: int


class Line:
    """Servers and programs for as long as the `with` lasts."""

    def __init__(self, servers: Servers | None = None) -> None:
        self.servers = servers or Servers()
        self.running: dict[str, int] = {}  # name → pid
        self.unexpected: list[Death] = []
        self._ended: list[Death] = []
        self._armed: dict[int, str | None] = {}
        self._zygote: subprocess.Popen[bytes] | None = None
        self._pids: queue.Queue[int] = queue.Queue()
        self._lock = threading.RLock()  # faults may strike several at once
        self._dead: queue.Queue[tuple[int, int]] = queue.Queue()

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
            self._start_zygote()
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
        order: dict[str, Any] = {
            "argv": argv,
            "env": {**self._env, **env, VARIABLE: crash_at or ""},
            "log": str(self.servers.log_dir / f"{name}.log"),
        }
        assert self._zygote is not None
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(json.dumps(order).encode() + b"\n")
        self._zygote.stdin.flush()
        pid = self._pids.get(timeout=60)
        self.running[name] = pid
        self._armed[pid] = crash_at

    def start_missing(self) -> None:
        for name in PROGRAMS:
            if name not in self.running:
                self.start_program(name)

    def armed(self, name: str) -> str | None:
        return self._armed[self.running[name]]

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

    def _collect(self) -> None:
        with self._lock:
            while not self._dead.empty():
                pid, code = self._dead.get()
                name = next((n for n, p in self.running.items() if p == pid), None)
                if name is not None:
                    del self.running[name]
                    self._ended.append(Death(name, self._armed[pid], code))

    def send(self, name: str, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, KeyError):
            os.kill(self.running[name], number)

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
        pid = self.running.get(name)
        if pid is None:
            return True
        self.send(name, number)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._collect()
            if self.running.get(name) != pid:
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

    def _start_zygote(self) -> None:
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._zygote is not None
        assert self._zygote.stdout is not None
        for line in self._zygote.stdout:
            said = json.loads(line)
            if "pid" in said:
                self._pids.put(said["pid"])
            else:
                self._dead.put((said["dead"], said["code"]))

    def _end(self) -> None:
        if self._zygote is not None and self._zygote.stdin is not None:
            with contextlib.suppress(OSError):
                self._zygote.stdin.close()
            try:
                self._zygote.wait(20)
            except subprocess.TimeoutExpired:
                self._zygote.kill()
        self.servers.stop()
