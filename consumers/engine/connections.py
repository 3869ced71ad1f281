"""How to reach Kafka and PostgreSQL: each section is checked in itself, secrets stay wrapped.

A password stands in a variable or, better, in a file of its own that the variable names.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from urllib.parse import SplitResult, parse_qs, quote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

MASK: Final = "********"

Milliseconds = Annotated[int, Field(ge=1, le=3_600_000)]


def read_secret(secret: SecretStr | None, file: Path | None) -> SecretStr | None:
    """The secret itself, or the first line of its file. Raises OSError where it is unreadable."""
    if secret is not None or file is None:
        return secret
    return SecretStr(file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r"))


def is_loopback(host: str) -> bool:
    """True for `localhost` and for addresses of the loopback range."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_password(parts: SplitResult, password: str) -> str:
    user, _, address = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    secret = password if password == MASK else quote(password, safe="")
    return urlunsplit(parts._replace(netloc=f"{name}:{secret}@{address}"))


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class KafkaSettings(Section):
    """How to reach Kafka, and how patient to be with a group's members."""

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "127.0.0.1:9092"  # host:port,...
    client_id: Annotated[str, Field(min_length=1, max_length=200)] = "escrow"
    group_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "escrow"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_password_file: Path | None = None
    ssl_cafile: Path | None = None  # PEM; the system's authorities without it
    ssl_certfile: Path | None = None  # PEM; our own certificate, for mutual TLS
    ssl_keyfile: Path | None = None
    ssl_key_password: SecretStr | None = None
    ssl_key_password_file: Path | None = None
    # Short on purpose: a killed worker holds its partitions for so long, and the fence in the
    # database makes an early takeover harmless.
    session_timeout_ms: Milliseconds = 6_000
    heartbeat_interval_ms: Milliseconds = 2_000
    max_poll_interval_ms: Milliseconds = 120_000
    request_timeout_ms: Milliseconds = 30_000

    @property
    def is_encrypted(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def is_loopback(self) -> bool:
        servers = [server.strip() for server in self.bootstrap_servers.split(",")]
        return all(is_loopback(server.rpartition(":")[0].strip("[]")) for server in servers)

    def group(self, stage: str) -> str:
        """The consumer group of a stage: `escrow.payments`."""
        return f"{self.group_prefix}.{stage}"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for server in self.bootstrap_servers.split(","):
            host, colon, port = server.strip().rpartition(":")
            if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
                raise ValueError("bootstrap_servers: expected host:port, more of them with commas")
        if 3 * self.heartbeat_interval_ms > self.session_timeout_ms:
            raise ValueError("heartbeat_interval_ms: at most a third of session_timeout_ms")
        if self.session_timeout_ms > self.max_poll_interval_ms:
            raise ValueError("max_poll_interval_ms: not below session_timeout_ms")
        has_password = read_secret(self.sasl_password, self.sasl_password_file) is not None
        if self.uses_sasl and not (self.sasl_username and has_password):
            raise ValueError("SASL needs sasl_username and sasl_password or sasl_password_file")
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise ValueError("ssl_certfile and ssl_keyfile belong together")
        return self


class DatabaseSettings(Section):
    """How to reach PostgreSQL; every timeout stays well below `kafka.max_poll_interval_ms`."""

    url: SecretStr = SecretStr("postgresql+psycopg://escrow@127.0.0.1:5432/escrow")
    password_file: Path | None = None  # put into the URL, so that it need not stand there
    pool_size: Annotated[int, Field(ge=1, le=100)] = 2
    pool_overflow: Annotated[int, Field(ge=0, le=100)] = 2
    connect_timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 5
    lock_timeout_ms: Milliseconds = 5_000
    statement_timeout_ms: Milliseconds = 20_000
    idle_in_transaction_session_timeout_ms: Milliseconds = 5_000

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url.get_secret_value())

    @property
    def host(self) -> str:
        """A host name, an address, or the directory of a Unix socket (also empty)."""
        return self._query("host") or self.parts.hostname or ""

    @property
    def is_encrypted(self) -> bool:
        """TLS with a check of the server's name; nothing less counts."""
        return self._query("sslmode") == "verify-full"

    @property
    def is_socket(self) -> bool:
        return not self.host or self.host.startswith("/")

    @property
    def connection_url(self) -> str:
        """The URL with the password of `password_file`, if one is given. Secret."""
        password = read_secret(None, self.password_file)
        if password is None:
            return self.url.get_secret_value()
        return _with_password(self.parts, password.get_secret_value())

    @property
    def shown_url(self) -> str:
        """The URL for people's eyes: the password masked, also one among the parameters."""
        shown = _with_password(self.parts, MASK) if self.parts.password else self.parts.geturl()
        return re.sub(r"(password=)[^&]*", rf"\g<1>{MASK}", shown)

    def _query(self, name: str) -> str:
        return parse_qs(self.parts.query).get(name, [""])[-1]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        try:
            scheme, _ = self.parts.scheme, self.parts.port
        except ValueError:
            raise ValueError("url: not a URL") from None
        if scheme != "postgresql+psycopg":
            raise ValueError("url: expected postgresql+psycopg://user@host:port/database")
        if self.lock_timeout_ms > self.statement_timeout_ms:
            raise ValueError("lock_timeout_ms: not above statement_timeout_ms")
        return self
