"""The only makers of Kafka clients: every one of them reads committed records and loses nothing.

Consumers never reset and never commit by themselves; producers wait for all replicas.
"""

from collections.abc import Callable
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

from consumers.engine import record_parser, record_writer
from consumers.engine.config import Settings
from consumers.engine.connections import read_secret
from consumers.engine.tls import client_context

METADATA_MAX_AGE_MS: Final = 30_000  # how soon new partitions are seen
BOOTSTRAP_MS: Final = 10_000  # how long a new client looks for a broker before it raises


class _TidySocket(KafkaNetSocket):
    """A plain connection; the socket of a failed one is closed at once.

    kafka-python leaves that to the garbage collector, and tries again every second.
    """

    SCHEMES = ("direct",)

    async def sock_connect(
        self, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None
    ) -> Any:
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise


def make_consumer(settings: Settings, group: str | None, **overrides: Any) -> Any:
    """A consumer of a group, or of none. Not subscribed to anything yet."""
    record_parser.install()
    kafka = settings.kafka
    options: dict[str, Any] = {
        "group_id": group,
        "isolation_level": "read_committed",
        "auto_offset_reset": "none",
        "enable_auto_commit": False,
        "check_crcs": True,
        "allow_auto_create_topics": False,
        "fetch_max_wait_ms": 250,
        "fetch_max_bytes": settings.batch.bytes_max,
        "max_partition_fetch_bytes": 4 * 1024 * 1024,
        "session_timeout_ms": kafka.session_timeout_ms,
        "heartbeat_interval_ms": kafka.heartbeat_interval_ms,
        "max_poll_interval_ms": kafka.max_poll_interval_ms,
        "metrics_enabled": False,
    }
    return _made(KafkaConsumer, {**_common(settings), **options, **overrides})


def hold_answers(consumer: Any, wait_ms: int, enough_bytes: int) -> None:
    """From its next request on, an answer may wait so long for so many bytes.

    Kafka takes both with each request; the client only with its making, but reads them each time.
    """
    config = consumer._fetcher.config  # noqa: SLF001 -- there is no other way
    config.update(fetch_max_wait_ms=wait_ms, fetch_min_bytes=enough_bytes)


def make_producer(settings: Settings, **overrides: Any) -> Any:
    """An idempotent producer: in order a partition, acknowledged by all replicas."""
    record_writer.install()
    options: dict[str, Any] = {
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": "lz4",
        "linger_ms": 0,  # what comes while a request is under way goes with the next one
        "batch_size": 256 * 1024,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }
    return _made(KafkaProducer, {**_common(settings), **options, **overrides})


def make_admin(settings: Settings) -> Any:
    """A client for topics, offsets and groups."""
    return _made(KafkaAdminClient, _common(settings))


def cluster_id_of(settings: Settings) -> str:
    """The id of the cluster, which positions are bound to."""
    admin = make_admin(settings)
    try:
        return str(admin.describe_cluster()["cluster_id"])
    finally:
        admin.close()


def _made(kind: Callable[..., Any], options: dict[str, Any]) -> Any:
    """Make a client; one that cannot be made leaves nothing behind.

    Where no broker answers, kafka-python's constructors raise but leave their thread and sockets
    running: a worker that keeps trying would drown in them.
    """
    begun: list[Any] = []

    def net_client(**given: Any) -> Any:
        begun.append(KafkaNetClient(**given))
        return begun[-1]

    try:
        return kind(**options, kafka_client=net_client)
    except BaseException:
        for client in begun:
            client.close()
        raise


def _common(settings: Settings) -> dict[str, Any]:
    kafka = settings.kafka
    common: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in kafka.bootstrap_servers.split(",")],
        "client_id": kafka.client_id,
        "security_protocol": kafka.security_protocol,
        "request_timeout_ms": kafka.request_timeout_ms,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        "bootstrap_timeout_ms": BOOTSTRAP_MS,
        "proxy_url": "direct://",  # names _TidySocket; there is no proxy
        "reconnect_backoff_max_ms": 1_000,
    }
    if kafka.is_encrypted:
        common["ssl_context"] = client_context(kafka)
    if kafka.uses_sasl:
        password = read_secret(kafka.sasl_password, kafka.sasl_password_file)
        common |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": None if password is None else password.get_secret_value(),
        }
    return common
