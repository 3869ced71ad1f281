"""How Faust reaches Kafka: plain values in, Faust's own words out. No secret is shown by `repr`."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faust


@dataclass(frozen=True, kw_only=True)
class Broker:
    """Where Kafka is, and who we are to it. TLS checks the server's name, always."""

    bootstrap_servers: str  # host:port,...
    client_id: str = "escrow-views"
    is_encrypted: bool = False
    cafile: Path | None = None  # PEM; the system's authorities without it
    certfile: Path | None = None
    keyfile: Path | None = None
    key_password: str | None = field(default=None, repr=False)
    sasl_mechanism: str | None = None  # None: no SASL
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)

    @property
    def urls(self) -> list[str]:
        return [f"kafka://{server.strip()}" for server in self.bootstrap_servers.split(",")]

    @property
    def credentials(self) -> Any:
        """None for plaintext. Raises OSError where a file cannot be read."""
        context = self._context() if self.is_encrypted else None
        if self.sasl_mechanism is not None:
            return faust.SASLCredentials(
                username=self.sasl_username,
                password=self.sasl_password,
                mechanism=self.sasl_mechanism,
                ssl_context=context,
            )
        return None if context is None else faust.SSLCredentials(context)

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.cafile)
        if self.certfile is not None:
            context.load_cert_chain(self.certfile, self.keyfile, self.key_password)
        return context
