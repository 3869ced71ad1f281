"""A Kafka and a PostgreSQL, side by side, for as long as the `with` lasts, and no process of theirs after it.

Addresses that are given win over embedded servers. A data directory belongs to one stack at a time: its lock says
so, and what a killed run left in it is ended before the servers start on its data. A temporary directory is
removed at the end, also when we are killed.
"""

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Interface
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from consumers.engine.config import Settings
from ops.local.guardian import guardian
from ops.local.kafka import KafkaServer
from ops.local.ports import AT_HOME
from ops.local.postgres import PostgresServer
from ops.local.progress import Report, Step, silent
from ops.local.secure import Secure

KAFKA_VARIABLE = "ESCROW_KAFKA__BOOTSTRAP_SERVERS"
DATABASE_VARIABLE = "ESCROW_DATABASE__URL"
SECURE_VARIABLE = "ESCROW_UP_SECURE"  # 1; `signed`: with signatures, too


class DataInUseError(RuntimeError):
    """Another live stack works in this data directory, or the data were made otherwise."""


class Stack:
    """The two servers. `kafka` and `postgres` are None where an address was given."""

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        bootstrap_servers: str | None = None,
        database_url: str | None = None,
        kafka_port: int | None = None,
        postgres_port: int | None = None,
        heap_mb: int = 512,
        kafka_properties: Mapping[str, str] | None = None,
        postgres_settings: Mapping[str, str] | None = None,
        secure: bool = False,
        signed: bool = False,
        near: IPv4Interface = AT_HOME,
        report: Report = silent,
    ) -> None:
        """Without `data_dir` the data are temporary. Ports that are None are chosen.

        `secure`: with TLS, passwords, rights and roles; embedded servers only. `signed`: with
        keys for all who write, too; that makes it secure. `near`: where secure servers can be reached
        from other machines.
        """
        secure = secure or signed
        assert secure or near == AT_HOME, "beyond loopback nobody is believed"
        assert not secure or not (bootstrap_servers or database_url), (
            "secure: embedded servers only"
        )
        self._temporary = data_dir is None
        # the servers work in folders of their own
        self._data_dir = None if data_dir is None else data_dir.resolve()
        self._given_kafka, self._given_database = bootstrap_servers, database_url
        self._kafka_port, self._postgres_port = kafka_port, postgres_port
        self._heap_mb = heap_mb
        self._secure_wanted, self._signed_wanted, self._near = secure, signed, near
        self.secure: Secure | None = None
        self._kafka_properties, self._postgres_settings = kafka_properties, postgres_settings
        self._given_report = report
        self._cancelled = threading.Event()
        self._lock: IO[str] | None = None
        self.kafka: KafkaServer | None = None
        self.postgres: PostgresServer | None = None

    @classmethod
    def from_environment(
        cls,
        data_dir: Path | None = None,
        *,
        secure: bool = False,
        signed: bool = False,
        report: Report = silent,
        heap_mb: int = 512,
    ) -> Self:
        """The servers that the environment names, embedded ones for those it does not."""
        wanted = os.environ.get(SECURE_VARIABLE)
        signed = signed or wanted == "signed"
        if secure or signed or wanted == "1":
            return cls(data_dir, secure=True, signed=signed, heap_mb=heap_mb, report=report)
        return cls(
            data_dir,
            bootstrap_servers=os.environ.get(KAFKA_VARIABLE) or None,
            database_url=os.environ.get(DATABASE_VARIABLE) or None,
            heap_mb=heap_mb,
            report=report,
        )

    @property
    def bootstrap_servers(self) -> str:
        """Where Kafka is: `host:port`, or a list of them."""
        if self._given_kafka:
            return self._given_kafka
        assert self.kafka is not None, "the stack was never started"
        return self.kafka.bootstrap_servers

    @property
    def database_url(self) -> str:
        """Where PostgreSQL is, as SQLAlchemy takes it."""
        if self._given_database:
            return self._given_database
        assert self.postgres is not None, "the stack was never started"
        return self.postgres.database_url

    @property
    def data_dir(self) -> Path:
        assert self._data_dir is not None, "the stack was never started"
        return self._data_dir

    @property
    def log_dir(self) -> Path:
        """Where the servers log; a place for the logs of what runs beside them, too."""
        return self.data_dir / "logs"

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to find these servers."""
        return {KAFKA_VARIABLE: self.bootstrap_servers, DATABASE_VARIABLE: self.database_url}

    def environment_of(self, program: str, role: str | None = None) -> dict[str, str]:
        """The same for one of our programs, which may be told who it is; `role`: of its people."""
        if self.secure is None:
            return self.environment
        assert self.kafka is not None, "the stack was never started"
        assert self.postgres is not None, "the stack was never started"
        acts = program == "web" and role not in (None, "viewer")
        return self.secure.environment(program, self.kafka, self.postgres, acts=acts)

    @property
    def admin(self) -> dict[str, Any]:
        """The settings of who sets up; the database's are not among them."""
        if self.secure is None or self.kafka is None:
            return {"kafka": {"bootstrap_servers": self.bootstrap_servers}}
        return self.secure.admin(self.kafka)

    @property
    def operator_file(self) -> Path | None:
        """What makes a shell the operator's; None: everyone is believed."""
        if self.secure is None or self.kafka is None or self.postgres is None:
            return None
        return self.secure.write_operator_file(self.kafka, self.postgres)

    def settle(self, settings: Settings) -> None:
        """Where nobody is believed: give out names and rights. The schema is there."""
        if self.secure is not None and self.kafka is not None:
            self.secure.settle(self.kafka, settings)

    def start(self) -> None:
        """Return when both servers answer; where one does not come up, none stays."""
        self._cancelled.clear()
        self._take_data_dir()
        self._take_secrets()
        if not self._given_kafka:
            self.kafka = KafkaServer(
                self.data_dir / "kafka",
                port=self._kafka_port,
                heap_mb=self._heap_mb,
                properties=self._kafka_properties,
                security=None if self.secure is None else self.secure.kafka,
                log_path=self.log_dir / "kafka.log",
                report=self._report,
            )
        if not self._given_database:
            self.postgres = PostgresServer(
                self.data_dir / "postgres",
                port=self._postgres_port,
                settings=self._postgres_settings,
                security=None if self.secure is None else self.secure.postgres,
                log_path=self.log_dir / "postgres.log",
                report=self._report,
            )
        with ThreadPoolExecutor(2) as pool:
            starting = [pool.submit(server.start) for server in self._servers()]
            try:
                for start in starting:
                    start.result()
            except BaseException:  # an interrupt as well
                self._cancelled.set()
                pool.shutdown()
                self.stop()
                raise

    def stop(self) -> None:
        """End both servers: in order where the data are kept, at once where they are thrown away."""
        with ThreadPoolExecutor(2) as pool:
            stopping = [
                pool.submit(server.stop, immediate=self._temporary) for server in self._servers()
            ]
        try:
            for stop in stopping:
                stop.result()
        finally:
            self._leave_data_dir()

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

    def _servers(self) -> list[KafkaServer | PostgresServer]:
        return [server for server in (self.kafka, self.postgres) if server is not None]

    def _report(self, step: Step) -> None:
        """Pass it on; after an interrupt, end the download that reports."""
        if self._cancelled.is_set():
            raise InterruptedError("the stack is not wanted any more")
        self._given_report(step)

    def _take_data_dir(self) -> None:
        if self._data_dir is None or self._temporary:
            self._data_dir = Path(tempfile.mkdtemp(prefix="escrow-"))
            self._data_dir.chmod(0o755)  # PostgreSQL may run as another user, who must get through
            guardian.remove_later(self._data_dir)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._lock = (self.data_dir / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            owner = self._lock.read().strip()
            self._lock.close()
            raise DataInUseError(
                f"{self.data_dir} is in use by the process {owner}: stop that one, or choose another folder"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()
        for log in self.log_dir.glob("*.log"):
            log.replace(log.with_suffix(".log.previous"))

    def _take_secrets(self) -> None:
        """Data that were made with secrets, or without, stay so."""
        folder = self.data_dir / "security"
        if folder.exists() != self._secure_wanted and (self.data_dir / "postgres").exists():
            made = "with --secure" if folder.exists() else "without --secure"
            self._leave_data_dir()
            raise DataInUseError(f"{self.data_dir} was made {made}, and stays so")
        if self._secure_wanted:
            self.secure = Secure(folder, signed=self._signed_wanted, near=self._near)

    def _leave_data_dir(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._temporary and self._data_dir is not None:
            with suppress(OSError):
                shutil.rmtree(self._data_dir)
            guardian.keep(self._data_dir)
