"""One broker that believes nobody, with a password for each principal of the catalogue."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from consumers.engine.acls import PRINCIPALS, apply_acls, user_of
from consumers.engine.admin import apply_topics
from consumers.engine.config import Settings, load_settings
from ops.local.certificates import Authority
from ops.local.kafka import KafkaServer
from ops.local.kafka_security import KafkaSecurity

STRANGER: Final = "stranger"  # has a password, and no right


class SecureKafka(NamedTuple):
    server: KafkaServer
    security: KafkaSecurity
    passwords: dict[str, str]  # by principal, and one for STRANGER

    def settings(self, principal: str, **kafka: Any) -> Settings:
        """Those of a process of this principal."""
        return load_settings(
            kafka={
                "bootstrap_servers": self.server.bootstrap_servers,
                "security_protocol": "SASL_SSL",
                "sasl_username": user_name(principal),
                "sasl_password": self.passwords[principal],
                "ssl_cafile": self.security.authority.file,
                "request_timeout_ms": 10_000,
                **kafka,
            }
        )

    @property
    def admin(self) -> Settings:
        """Those of who sets up, by certificate."""
        return load_settings(
            kafka={
                "bootstrap_servers": self.server.mutual_servers,
                "security_protocol": "SSL",
                "ssl_cafile": self.security.authority.file,
                "ssl_certfile": self.security.admin.certificate,
                "ssl_keyfile": self.security.admin.key,
            }
        )


def user_name(principal: str) -> str:
    return STRANGER if principal == STRANGER else user_of(principal, {}).removeprefix("User:")


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Topics and rights as the catalogue says."""
    security = KafkaSecurity.made_by(Authority(folder / "security"))
    server = KafkaServer(folder / "kafka", security=security)
    server.start()
    try:
        passwords = {who: f"password-of-{who}" for who in (*PRINCIPALS, STRANGER)}
        named = {user_name(who): password for who, password in passwords.items()}
        security.set_passwords(server.mutual_servers, named)
        made = SecureKafka(server, security, passwords)
        apply_topics(made.admin)
        apply_acls(made.admin, {})
        yield made
    finally:
        server.stop(immediate=True)
