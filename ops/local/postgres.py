"""One real PostgreSQL 18 on loopback: durable settings, its data directory is its identity, `start` after `kill` goes on.

The programs are run directly: over TCP, with our own settings. Loopback is the only address and trust the only
authentication, unless there is a `security`: then it is TLS and a password, and it may name another address.
"""

import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from ops.local.child import Child, ChildFailedError, end_leftover
from ops.local.guardian import end
from ops.local.ports import LOOPBACK, free_port
from ops.local.postgres_programs import (
    POSTGRES_VERSION,
    programs,
    programs_with_tls,
    refuse_unreachable,
    run,
    run_as,
)
from ops.local.postgres_security import SUPERUSER, PostgresSecurity, begun_with
from ops.local.progress import Report, Step, silent

READY_SECONDS_MAX: Final = 60
_STARTS_MAX = 3  # only where the port was ours to choose: someone else may have taken it first
_ROLE = "escrow"

__all__ = ["POSTGRES_VERSION", "SETTINGS", "PostgresServer"]

SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "replica",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "log_lock_waits": "on",
}


class PostgresServer:
    """A server with one database. Not started by its constructor."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        database: str = "escrow",
        settings: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        security: PostgresSecurity | None = None,
        log_path: Path | None = None,
        report: Report = silent,
    ) -> None:
        """A port that is None is chosen, once: it stays over restarts of this object. `settings` override ours.

        `env` is added to the server's environment: for tests that change what it sees of the system. With
        `security` nobody is let in without TLS and a password; a data directory has it from the beginning or never.
        """
        self.data_dir = data_dir
        self.log_path = log_path or data_dir / "postgres.log"
        self._port_given, self._port = port, 0
        self._database = database
        self._settings = {**SETTINGS, **(settings or {})}
        self._env = env
        self._security = security
        self._report = report
        self._child: Child | None = None

    @property
    def database_url(self) -> str:
        """What SQLAlchemy's `create_engine` takes; known once `start` has been called."""
        return self.url(self._database)

    def url(self, database: str) -> str:
        assert self._port, "PostgreSQL was never started"
        if self._security is not None:
            return f"{self.url_of(_ROLE, database)}&passfile={self._security.passfile}"
        return f"postgresql+psycopg://{_ROLE}@{LOOPBACK}:{self._port}/{database}"

    def url_of(self, login: str, database: str | None = None) -> str:
        """Where somebody logs in who knows his password; over TLS, with a check of the server's name."""
        assert self._security is not None, "everyone is trusted here"
        where = f"{self._security.near.ip}:{self._port}/{database or self._database}"
        return f"postgresql+psycopg://{login}@{where}?{self._security.url_options}"

    @property
    def pid(self) -> int:
        """The postmaster's."""
        assert self._child is not None, "PostgreSQL was never started"
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def start(self) -> None:
        """Return when the database takes connections, after crash recovery if need be. Ends leftovers first."""
        assert not self.running, "PostgreSQL is running"
        self._make_data_dir()
        end_leftover(self._pid_file)
        self._end_orphans()
        self._report(Step("starting PostgreSQL"))
        self._init_once()
        again = self._port != 0
        for attempt in range(1, _STARTS_MAX + 1):
            if not again:
                self._port = self._port_given or free_port()
            try:
                self._start_once()
                break
            except ChildFailedError as error:
                self.stop(immediate=True)
                port_taken = "Address already in use" in str(error)
                if again or self._port_given or not port_taken or attempt == _STARTS_MAX:
                    raise
        self._create_database_once()

    def stop(self, *, immediate: bool = False) -> None:
        """Checkpoint and end, or (`immediate`) abort: the next start recovers from the log."""
        if self._child is not None:
            self._child.stop(number=signal.SIGQUIT if immediate else signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to the postmaster, as a crash would; its backends notice and end."""
        assert self._child is not None, "PostgreSQL was never started"
        self._child.kill()

    def _start_once(self) -> None:
        settings = dict(self._settings)
        if self._security is not None:
            settings |= self._security.settings(self._cluster)
            self._security.move_in(self._cluster, run_as())
        options = [f"-c{name}={value}" for name, value in settings.items()]
        self._child = Child(
            "PostgreSQL",
            [self._programs / "postgres", "-D", self._cluster, f"-cport={self._port}", *options],
            log_path=self.log_path,
            env=self._env,
            cwd=self._cluster,
            user=run_as(),
            pid_file=self._pid_file,
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGQUIT,
        )
        self._child.start()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self._ready():
            if not self._child.running:
                raise self._child.fail("ended while starting")
            if time.monotonic() > deadline:
                raise self._child.fail(f"was not ready within {READY_SECONDS_MAX} s")
            time.sleep(0.02)

    def _ready(self) -> bool:
        """The postmaster says so in the last line of its own pid file; a replica takes questions."""
        with suppress(FileNotFoundError):
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
            return (
                len(lines) >= 8
                and lines[0] == str(self.pid)
                and lines[7].strip() in ("ready", "standby")
            )
        return False

    def _make_data_dir(self) -> None:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if user := run_as():
            refuse_unreachable(self.data_dir, user)

    def _init_once(self) -> None:
        """Make the files in a side folder and rename it when it is whole: no killed initdb is taken for one."""
        if self._cluster.exists():
            return
        fresh = self.data_dir / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if user := run_as():
            shutil.chown(fresh, user)
        locale = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        arguments = ("-D", str(fresh), "--auth=trust", "--encoding=UTF8", "--locale=C", *locale)
        if self._security is None:
            run(self._programs, "initdb", "-U", _ROLE, *arguments, user=user)
        else:
            run(self._programs, "initdb", "-U", SUPERUSER, *arguments, user=user)
            said = begun_with(_ROLE, self._security.owner_password.read_text(), self._database)
            alone = ("--single", "-D", str(fresh), SUPERUSER)
            run(self._programs, "postgres", *alone, user=user, stdin=said)
        fresh.rename(self._cluster)

    def _create_database_once(self) -> None:
        marker = self.data_dir / f"{self._database}.created"
        if marker.exists() or self._security is not None:
            return
        try:
            address = ("-h", LOOPBACK, "-p", str(self._port), "-U", _ROLE)
            run(self._programs, "createdb", *address, self._database)
        except ChildFailedError as error:
            if "already exists" not in str(error):
                raise
        marker.touch()

    def _end_orphans(self) -> None:
        """Backends outlive a killed postmaster for a moment; they work in its data directory."""
        pid_file = self._cluster / "postmaster.pid"
        if not pid_file.exists():
            return
        orphans = [
            process
            for process in psutil.process_iter(["name", "cwd"])
            if process.info["name"] == "postgres" and process.info["cwd"] == str(self._cluster)
        ]
        end(dict.fromkeys(orphans, signal.SIGQUIT), grace_seconds=10)
        pid_file.unlink(
            missing_ok=True
        )  # nobody works here any more: the pid in it may be a stranger's

    @property
    def _programs(self) -> Path:
        return programs() if self._security is None else programs_with_tls(self._report)

    @property
    def _cluster(self) -> Path:
        return self.data_dir.resolve() / "cluster"

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "postgres.pid.json"
