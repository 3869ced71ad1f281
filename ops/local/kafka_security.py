"""A broker that believes nobody: TLS on every listener, SCRAM or a certificate, and no right without an ACL.

Clients come in by name and password; brokers, controllers and the one who sets up by certificate.
"""

from collections.abc import Mapping
from contextlib import closing
from ipaddress import IPv4Address
from typing import Any, Final, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from ops.local.certificates import Authority, Identity
from ops.local.ports import LOOPBACK

BROKER: Final = "kafka"
ADMIN: Final = "admin"
_PROTOCOLS: Final = "TLSv1.3,TLSv1.2"


class KafkaSecurity(NamedTuple):
    """Whom a broker trusts, who it is, and who may do everything."""

    authority: Authority
    broker: Identity
    admin: Identity
    address: IPv4Address  # where those come in who have a password

    @classmethod
    def made_by(cls, authority: Authority, address: IPv4Address) -> "KafkaSecurity":
        """With new certificates."""
        return cls(authority, authority.issue(BROKER), authority.issue(ADMIN), address)

    @property
    def admin_options(self) -> dict[str, Any]:
        """With these kafka-python is the super user, on the listener for certificates."""
        return {
            "security_protocol": "SSL",
            "ssl_check_hostname": True,
            "ssl_cafile": str(self.authority.file),
            "ssl_certfile": str(self.admin.certificate),
            "ssl_keyfile": str(self.admin.key),
        }

    def properties(self, port: int, mutual_port: int, controller_port: int) -> dict[str, str]:
        """The broker's settings; `port` for SCRAM, `mutual_port` for certificates."""
        with_certificate = {
            f"listener.name.{name}.ssl.client.auth": "required" for name in ("ssl", "controller")
        }
        return {
            "listeners": f"SASL_SSL://{self.address}:{port},SSL://{LOOPBACK}:{mutual_port},"
            f"CONTROLLER://{LOOPBACK}:{controller_port}",
            "advertised.listeners": f"SASL_SSL://{self.address}:{port},SSL://{LOOPBACK}:{mutual_port}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:SSL",
            "inter.broker.listener.name": "SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            **with_certificate,
            "ssl.enabled.protocols": _PROTOCOLS,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.broker.both),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{BROKER};User:{ADMIN}",
        }

    def set_passwords(self, mutual_servers: str, passwords: Mapping[str, str]) -> None:
        """User → password, for SCRAM; the broker keeps what it needs to check one, over TLS only."""
        changes = [
            UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password)
            for user, password in passwords.items()
        ]
        client = KafkaAdminClient(bootstrap_servers=mutual_servers, **self.admin_options)
        with closing(client) as admin:
            refused = {u: e for u, e in admin.alter_user_scram_credentials(changes).items() if e}
        if refused:
            raise RuntimeError(f"Kafka takes no password for {refused}")
