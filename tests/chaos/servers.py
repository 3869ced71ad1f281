"""The servers of a line: PostgreSQL and one or three nodes of Kafka; programs reach them by proxies alone.

The feed and the judge come to the same servers directly: no fault of the network touches them.
"""

import base64
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psycopg

from ops.local.kafka import KafkaServer
from ops.local.ports import LOOPBACK, free_port
from ops.local.postgres import PostgresServer
from ops.local.stack import DATABASE_VARIABLE, KAFKA_VARIABLE, Stack
from tests.chaos.proxy import Proxy

_ONE: Final = {"group.min.session.timeout.ms": "1000"}
_THREE: Final = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}
PROGRAM_ROLE: Final = "programs"  # no superuser: what it may do can be taken from it
_RIGHTS: Final = (
    f"CREATE ROLE {PROGRAM_ROLE} LOGIN",
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {PROGRAM_ROLE}",
    f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {PROGRAM_ROLE}",
)
_POSTGRES: Final = {"max_connections": "60", "shared_buffers": "64MB"}
_SMALL: Final = {"min_wal_size": "32MB", "max_wal_size": "64MB"}
FAKETIME: Final = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Servers:
    """Started by `start`; `nodes`, `postgres` and their proxies are there from then on."""

    def __init__(self, nodes: int = 1, *, disk_mb: int = 0, has_clock: bool = False) -> None:
        """`disk_mb`: each server has a disk of its own, that small; `has_clock`: PostgreSQL's can be put wrong."""
        self._ports = [[free_port() for _ in range(4)] for _ in range(nodes)]
        self._postgres_port = free_port()
        self.stack = Stack(
            bootstrap_servers=",".join(f"{LOOPBACK}:{ports[0]}" for ports in self._ports),
            database_url=f"postgresql+psycopg://escrow@{LOOPBACK}:{self._postgres_port}/escrow",
        )
        self._disk_mb, self._has_clock = disk_mb, has_clock
        self._mounts: list[Path] = []
        self.nodes: list[KafkaServer] = []
        self.kafka_proxies = [Proxy(ports[3], ports[1]) for ports in self._ports]
        self.postgres_proxy = Proxy(free_port(), self._postgres_port)

    def start(self) -> None:
        self.stack.start()  # a folder, no server: both addresses are given
        self.postgres = PostgresServer(
            self._folder("postgres"),
            port=self._postgres_port,
            settings={**_POSTGRES, **(_SMALL if self._disk_mb else {})},
            env=self._clock_env() if self._has_clock else None,
            log_path=self.log_dir / "postgres.log",
        )
        cluster_id = base64.urlsafe_b64encode(b"\0" + os.urandom(15)).decode().rstrip("=")
        self.nodes = [self._node(n, cluster_id) for n in range(1, len(self._ports) + 1)]
        with ThreadPoolExecutor(len(self.nodes) + 1) as pool:
            starts = [self.postgres.start, *(node.start for node in self.nodes)]
            for started in [pool.submit(start) for start in starts]:
                started.result()
        for proxy in self.proxies:
            proxy.start()

    def stop(self) -> None:
        """What is thrown away need not be put in order first."""
        for node in self.nodes:
            node.stop(immediate=True)
        if self.nodes:
            self.postgres.stop(immediate=True)
        for proxy in self.proxies:
            proxy.stop()
        for mount in self._mounts:
            subprocess.run(["umount", "-l", str(mount)], check=True)
        for left in Path("/dev/shm").glob("*faketime*") if self._has_clock else ():
            if not Path("/proc", left.name.rpartition("_")[2]).exists():
                left.unlink(missing_ok=True)
        self.stack.stop()

    def set_clock(self, text: str) -> None:
        """What PostgreSQL takes for now, as an offset: `+1h`, `-400d`."""
        fresh = self.clock.with_suffix(".new")
        fresh.write_text(f"{text}\n")
        fresh.rename(self.clock)

    def _node(self, node_id: int, cluster_id: str) -> KafkaServer:
        ports = self._ports[node_id - 1]
        voters = ",".join(f"{n}@{LOOPBACK}:{p[2]}" for n, p in enumerate(self._ports, 1))
        return KafkaServer(
            self._folder(f"kafka-{node_id}"),
            port=ports[0],
            controller_port=ports[2],
            node_id=node_id,
            cluster_id=cluster_id,
            heap_mb=512 if len(self._ports) == 1 else 256,
            properties={
                **_ONE,
                **(_THREE if len(self._ports) > 1 else {}),
                **_listeners(*ports),
                "controller.quorum.voters": voters,
            },
            log_path=self.log_dir / f"kafka-{node_id}.log",
        )

    def _folder(self, name: str) -> Path:
        """A folder of the stack's, with a disk of its own where one was asked for."""
        folder = self.stack.data_dir / name
        if self._disk_mb:
            folder.mkdir()
            options = f"size={self._disk_mb}m,mode=0755"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)
            self._mounts.append(folder)
        return folder

    @property
    def clock(self) -> Path:
        return self.stack.data_dir / "clock"

    def _clock_env(self) -> dict[str, str]:
        """What goes by the monotonic clock, as sleeping does, stays right: as on a real machine."""
        self.set_clock("+0")
        return {
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
        }

    def grant_rights(self) -> None:
        """Once the tables are there."""
        url = self.stack.database_url.replace("postgresql+psycopg://", "postgresql://")
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in _RIGHTS:
                connection.execute(statement.encode())

    @property
    def proxies(self) -> list[Proxy]:
        return [*self.kafka_proxies, self.postgres_proxy]

    @property
    def log_dir(self) -> Path:
        return self.stack.log_dir

    @property
    def environment(self) -> dict[str, str]:
        """Where the programs find them: behind the proxies."""
        direct, proxied = f":{self._postgres_port}/", f":{self.postgres_proxy.port}/"
        return {
            KAFKA_VARIABLE: ",".join(f"{LOOPBACK}:{proxy.port}" for proxy in self.kafka_proxies),
            DATABASE_VARIABLE: self.stack.database_url.replace(direct, proxied).replace(
                "//escrow@", f"//{PROGRAM_ROLE}@"
            ),
        }


def _listeners(port: int, inner_port: int, controller_port: int, proxy_port: int) -> dict[str, str]:
    """Who comes by the proxy is sent back to the proxy."""
    plain = f"PLAINTEXT://{LOOPBACK}:{port}"
    return {
        "listeners": f"{plain},PROXIED://{LOOPBACK}:{inner_port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"{plain},PROXIED://{LOOPBACK}:{proxy_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }
