"""The stack in containers, for machines that have Docker: the versions of docker-compose.yml."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from ops.local.jars import KAFKA_VERSION
from ops.local.ports import free_port
from ops.local.postgres import POSTGRES_VERSION

KAFKA_IMAGE: Final = f"apache/kafka:{KAFKA_VERSION}"
POSTGRES_IMAGE: Final = f"postgres:{POSTGRES_VERSION}"
_READY = "Kafka Server started"


class Containers(NamedTuple):
    bootstrap_servers: str
    database_url: str


@contextmanager
def container_stack() -> Iterator[Containers]:
    """A broker must know the address that clients see, so its port outside is chosen before it starts."""
    port = free_port()
    kafka = (
        DockerContainer(KAFKA_IMAGE)
        .with_bind_ports(9092, port)
        .with_envs(
            KAFKA_NODE_ID="1",
            KAFKA_PROCESS_ROLES="broker,controller",
            KAFKA_LISTENERS="PLAINTEXT://:9092,CONTROLLER://:9093",
            KAFKA_ADVERTISED_LISTENERS=f"PLAINTEXT://localhost:{port}",
            KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
            KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            KAFKA_CONTROLLER_QUORUM_VOTERS="1@localhost:9093",
            KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
            KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
            KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR="1",
            KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR="1",
            KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
            KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
        )
        .waiting_for(LogMessageWaitStrategy(_READY))
    )
    postgres = PostgresContainer(
        POSTGRES_IMAGE, username="escrow", dbname="escrow", driver="psycopg"
    )
    with kafka, postgres:
        yield Containers(f"localhost:{port}", postgres.get_connection_url())
