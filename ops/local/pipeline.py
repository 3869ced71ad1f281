"""The whole line for as long as the `with` lasts: servers, schema, topics, a process each for the programs.

Ready means that this very line works: each partition and each outbox slice has a writer that was
started here, and the gateway reads. No process outlives it. A program that ends is started again,
unless it says that going on is not safe: then it stays down, and `halted` says why.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Final, Self

from consumers.engine.admin import KafkaUnavailable, apply_topics
from consumers.engine.config import Settings, load_settings
from consumers.engine.records import Partition
from ops.local.child import Child, tail
from ops.local.observed import write_prometheus_files
from ops.local.pipeline_pulse import Taken, gateway_reads, partitions_of, taken, unfinished, untaken
from ops.local.ports import LOOPBACK, free_port, is_open
from ops.local.processes import Exit, Program, Supervisor, escrow
from ops.local.progress import Report, Step, silent
from ops.local.stack import Stack
from schemas.commands import COMMAND_TOPIC
from schemas.facts import STAGE_TOPICS
from storage.migrate import upgrade
from storage.reading import DatabaseTrouble

STAGES: Final = tuple(STAGE_TOPICS)
GATEWAY: Final = "gateway"
WEB: Final = "web"
VIEWS: Final = "views"
READY_SECONDS_MAX: Final = 90.0
STOP_SECONDS_MAX: Final = 15.0
NO_RESTART: Final = (2, 3)  # wrong configuration, halted: starting again would not help
_LOOK_SECONDS: Final = 0.1
OnExit = Callable[[Exit, str], None]  # an end that was not asked for, and what was said last


class StopWanted(Exception):
    """The line was asked to stop before it was ready."""


class NotReady(RuntimeError):
    """The line did not come up; the text says what was missing and shows a log."""


class Pipeline:
    """Everything, from the broker to the gateway simulator."""

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        stack: Stack | None = None,
        gateway: bool = True,
        web: bool = False,
        metrics: bool = False,
        views: bool = False,
        secure: bool = False,
        signed: bool = False,
        env: Mapping[str, str] | None = None,
        stop: threading.Event | None = None,
        report: Report = silent,
        on_exit: OnExit = lambda _exit, _said: None,
    ) -> None:
        """Servers: `stack`, else those that the environment names, else embedded ones.

        Embedded servers keep their data in `data_dir`; without one the data are temporary. `metrics`: with
        the exporter, too. `secure`: TLS, passwords, rights and roles; `signed`: and signatures. Once
        `stop` is set a start gives up with StopWanted. `env` goes to all programs.
        `on_exit` is told, on another thread, of every end that was not asked for.
        """
        self._stop_wanted = stop or threading.Event()
        self._given_report, self._on_exit = report, on_exit
        self.stack = stack or Stack.from_environment(
            data_dir, secure=secure, signed=signed, report=self.report
        )
        self._has_gateway, self._has_metrics, self._has_views = gateway, metrics, views
        self._env = dict(env or {})
        self._web_port = free_port() if web else None
        self._supervisor: Supervisor | None = None
        self._settings: Settings | None = None
        self._before = Taken({}, {})
        self.halted: dict[str, str] = {}  # name → the end of what it said

    @property
    def settings(self) -> Settings:
        """How to reach the servers; what the programs were given, too."""
        assert self._settings is not None, "the line was never started"
        return self._settings

    @property
    def web_url(self) -> str | None:
        """Where the console is; None: there is none."""
        scheme = "http" if self.stack.secure is None else "https"
        return None if self._web_port is None else f"{scheme}://{LOOPBACK}:{self._web_port}/"

    @property
    def pids(self) -> dict[str, int]:
        """Of the programs that run now."""
        children = {name: self._child(name) for name in self._running.names}
        return {name: child.pid for name, child in children.items() if child.running}

    @property
    def gone_server(self) -> str | None:
        """The name of an embedded server that has ended by itself."""
        servers = {"Apache Kafka": self.stack.kafka, "PostgreSQL": self.stack.postgres}
        return next((n for n, server in servers.items() if server and not server.running), None)

    @property
    def log_dir(self) -> Path:
        return self.stack.log_dir

    def report(self, step: Step) -> None:
        """Pass on how far things are; ends what reports once a stop is wanted."""
        self._look_for_stop()
        self._given_report(step)

    def reports_to(self, report: Report) -> None:
        """From now on."""
        self._given_report = report

    def start(self) -> None:
        """Return when the line is ready. Raises StopWanted, NotReady or what the servers raise."""
        try:
            self.stack.start()
            self._look_for_stop()
            self._start_programs()
            self._await_ready()
            if self._has_views:  # nothing waits for them
                self.start_program(VIEWS)
        except BaseException as error:
            self.stop()
            if self._stop_wanted.is_set() and not isinstance(error, StopWanted):
                raise StopWanted from error
            raise

    def stop(self) -> None:
        """End all programs, then the servers. Harmless where nothing runs."""
        if self._supervisor is not None:
            self._supervisor.stop_all(grace_seconds=STOP_SECONDS_MAX)
            self._supervisor = None
        self.stack.stop()

    def kill(self, name: str, *, stays_down: bool = False) -> None:
        """SIGKILL; it comes back by itself after a moment, unless it is to stay down."""
        self._child(name).send_signal(SIGKILL)
        if stays_down:
            self._running.stop(name)
        self._child(name).wait()

    def stop_program(self, name: str) -> None:
        """Let it leave in good order; it stays down until `start_program`."""
        self._running.stop(name, grace_seconds=STOP_SECONDS_MAX)

    def start_program(self, name: str) -> None:
        """Start it, or another one of its kind: `payments-2` is a second worker of `payments`."""
        self.halted.pop(name, None)
        self._running.start(self._program(name))

    def workers(self, stage: str, count: int) -> None:
        """Have so many processes of this stage (or relay)."""
        wanted = [stage, *(f"{stage}-{n}" for n in range(2, count + 1))]
        for name in wanted:
            if name not in self.pids:
                self.start_program(name)
        for name in self.pids:
            if name.partition("-")[0] == stage and name not in wanted:
                self.stop_program(name)

    def wait_idle(self, timeout_seconds: float = 60) -> None:
        """Return when all that was sent before the call is decided, told and answered.

        Commands that the gateway will not answer, or that no gateway is there to answer, do not
        count. Raises TimeoutError that names what is still open, NotReady where one has halted.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = self._unfinished()
            if self.halted:
                raise NotReady(_halted_text(self.halted))
            if not left:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"not finished after {timeout_seconds:g} s: {'; '.join(left)}")
            time.sleep(_LOOK_SECONDS)

    def _unfinished(self) -> list[str]:
        try:
            return unfinished(self.settings, self._gateway_at_work)
        except (KafkaUnavailable, DatabaseTrouble) as trouble:  # killed by a test, or overloaded
            return [str(trouble)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def _running(self) -> Supervisor:
        assert self._supervisor is not None, "the line does not run"
        return self._supervisor

    @property
    def gateway_dir(self) -> Path:
        """Where the gateway simulator keeps its store and log."""
        return self.stack.data_dir / "gateway"

    @property
    def _gateway_at_work(self) -> Path | None:
        return self.gateway_dir if GATEWAY in self.pids else None

    def _child(self, name: str) -> Child:
        return self._running.child(name)

    def _program(self, name: str) -> Program:
        kind = name.partition("-")[0]
        if kind in STAGES:
            command = escrow("consume", kind)
        elif kind == GATEWAY:
            command = escrow("gateway", "--data", str(self.gateway_dir))
        elif kind == WEB:
            command = escrow("web", "--port", str(self._web_port))
        else:
            command = escrow(kind)
        told = self.stack.environment_of(kind, self._env.get("ESCROW_WEB__ROLE"))
        return Program(name=name, command=command, env={**told, **self._env}, restart=True)

    def _start_programs(self) -> None:
        """The schema first; topics while the programs load: stages wait for theirs to exist."""
        database = {"url": self.stack.database_url}
        self._settings = load_settings(database=database, **self.stack.admin)
        self.report(Step("preparing the database"))
        upgrade(self._settings.database.connection_url)
        self.stack.settle(self._settings)
        self._before = taken(self._settings)
        self.report(Step("starting the stages, the relay and the ticker"))
        watched = write_prometheus_files(self.stack.data_dir)
        forks = self.stack.secure is None  # who believes nobody lets programs share no memory
        logs = self.stack.log_dir
        self._supervisor = Supervisor(logs, env=watched, on_exit=self._ended, forks=forks)
        wanted = {GATEWAY: self._has_gateway, WEB: self._web_port, "metrics": self._has_metrics}
        beside = (name for name, there in wanted.items() if there)
        for name in (*STAGES, "relay", "ticker", *beside):
            self._supervisor.start(self._program(name))
        apply_topics(self._settings)

    def _await_ready(self) -> None:
        wanted = partitions_of(self.settings, STAGE_TOPICS.values())
        commands = partitions_of(self.settings, COMMAND_TOPIC.values())
        deadline = time.monotonic() + READY_SECONDS_MAX
        while missing := self._missing(wanted, commands):
            self._look_for_stop()
            if self.halted:
                raise NotReady(_halted_text(self.halted))
            if time.monotonic() > deadline:
                shown = ", ".join(missing[:5])
                text = f"not ready after {READY_SECONDS_MAX:g} s, missing: {shown}"
                raise NotReady(f"{text}; see the logs in {self.log_dir}")
            time.sleep(_LOOK_SECONDS)

    def _missing(self, wanted: Collection[Partition], commands: Collection[Partition]) -> list[str]:
        """What is not there yet; empty when the line is ready."""
        missing = untaken(self._before, taken(self.settings), wanted)
        missing += [name for name in self._running.names if not self._child(name).running]
        if self._has_gateway and not gateway_reads(self.gateway_dir, commands):
            missing.append(GATEWAY)
        if self._web_port is not None and not is_open(self._web_port):
            missing.append(WEB)
        return missing

    def _look_for_stop(self) -> None:
        if self._stop_wanted.is_set():
            raise StopWanted

    def _ended(self, exit_: Exit) -> None:
        """A program ended by itself (the supervisor's thread)."""
        if self._supervisor is None:
            return
        said = tail(self._supervisor.log_path(exit_.name), lines_max=1)
        if exit_.returncode in NO_RESTART:
            self._supervisor.stop(exit_.name)
            self.halted[exit_.name] = said
        with suppress(Exception):
            self._on_exit(exit_, said)


def _halted_text(halted: Mapping[str, str]) -> str:
    return "\n".join(f"{name} does not go on. {said}" for name, said in halted.items())
