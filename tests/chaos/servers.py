"""The servers of a line: PostgreSQL and one or three nodes of Kafka; programs reach them by proxies alone.

The feed and the judge come to the same servers directly: no fault of the network touches them.
"""

import base64
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

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
_POSTGRES: Final = {"max_connections": "60", "shared_buffers": "64MB"}


class Servers:
    """Started by `start`; `nodes`, `postgres` and their proxies are there from then on."""

    def __init__(self, nodes: int = 1, postgres_settings: Mapping[str, str] | None = None) -> None:
        self._ports = [[free_port() for _ in range(4)] for _ in range(nodes)]
        self._settings = {**_POSTGRES, **(postgres_settings or {})}
        self.stack = Stack(
            bootstrap_servers=",".join(f"{LOOPBACK}:{ports[0]}" for ports in self._ports),
            postgres_settings=self._settings,
        )
        self.nodes: list[KafkaServer] = []
        self.kafka_proxies = [Proxy(ports[3], ports[1]) for ports in self._ports]

    def start(self) -> None:
        self.stack.start()
        self.postgres_proxy = Proxy(free_port(), self._postgres_port)
        cluster_id = base64.urlsafe_b64encode(b"\0" + os.urandom(15)).decode().rstrip("=")
        voters = ",".join(f"{n}@{LOOPBACK}:{p[2]}" for n, p in enumerate(self._ports, 1))
        self.nodes = [
            KafkaServer(
                self.stack.data_dir / f"kafka-{node_id}",
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
                log_path=self.stack.log_dir / f"kafka-{node_id}.log",
            )
            for node_id, ports in enumerate(self._ports, 1)
        ]
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            for started in [pool.submit(node.start) for node in self.nodes]:
                started.result()
        for proxy in self.proxies:
            proxy.start()

    def stop(self) -> None:
        """What is thrown away need not be put in order first."""
        for node in self.nodes:
            node.stop(immediate=True)
        for proxy in self.proxies if self.nodes else ():
            proxy.stop()
        self.stack.stop()

    @property
    def proxies(self) -> list[Proxy]:
        return [*self.kafka_proxies, self.postgres_proxy]

    @property
    def postgres(self) -> PostgresServer:
        assert self.stack.postgres is not None
        return self.stack.postgres

    @property
    def log_dir(self) -> Path:
        return self.stack.log_dir

    @property
    def environment(self) -> dict[str, str]:
        """Where the programs find them: behind the proxies."""
        direct, proxied = f":{self._postgres_port}/", f":{self.postgres_proxy.port}/"
        return {
            KAFKA_VARIABLE: ",".join(f"{LOOPBACK}:{proxy.port}" for proxy in self.kafka_proxies),
            DATABASE_VARIABLE: self.stack.database_url.replace(direct, proxied),
        }

    @property
    def _postgres_port(self) -> int:
        return int(self.stack.database_url.rpartition(":")[2].partition("/")[0])


def _listeners(port: int, inner_port: int, controller_port: int, proxy_port: int) -> dict[str, str]:
    """Who comes by the proxy is sent back to the proxy."""
    plain = f"PLAINTEXT://{LOOPBACK}:{port}"
    return {
        "listeners": f"{plain},PROXIED://{LOOPBACK}:{inner_port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"{plain},PROXIED://{LOOPBACK}:{proxy_port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
    }
