"""Everything that a local stack needs to believe nobody: an authority, a password each, rights and roles.

Made once in a folder of the data directory that only we can enter; each program is given its own name
and the files with its own secrets, never a secret itself.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any, Final

from consumers.engine.acls import PRINCIPALS, apply_acls, user_of
from consumers.engine.config import Settings
from ops.local.certificates import Authority, write_secret
from ops.local.kafka import KafkaServer
from ops.local.kafka_security import KafkaSecurity
from ops.local.ports import AT_HOME
from ops.local.postgres import PostgresServer
from ops.local.postgres_security import PostgresSecurity, keep_password
from ops.local.signed import ADMIN, Signed
from storage.granting import grant, make_login
from storage.roles import ROLES

OPERATOR_FILE: Final = "operator.env"
# What a program is called where it is not called after its stage or itself.
_PRINCIPAL_OF: Final = {"web": "console", "gateway": "gateways"}
_ROLES: Final = {role.process: role for role in ROLES}


class Secure:
    """The secrets of one data directory, and who is told which."""

    def __init__(
        self, folder: Path, *, signed: bool = False, near: IPv4Interface = AT_HOME
    ) -> None:
        """`signed`: with a key for each who writes, and signatures asked for.

        `near`: the servers' own address for programs, and the network around it from where they come.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        authority = Authority(folder, near.ip)
        self.kafka = KafkaSecurity.made_by(authority, near.ip)
        self.postgres = PostgresSecurity.made_by(authority, folder, near)
        self._web = authority.issue("console")
        self.authority_file = authority.file
        self._signed = Signed.made_in(folder) if signed else None

    def settle(self, kafka: KafkaServer, settings: Settings) -> None:
        """Names, passwords and rights on both servers, as the catalogues say; the schema is there."""
        named = {_user(who): self._password_file(who).read_text() for who in PRINCIPALS}
        self.kafka.set_passwords(kafka.mutual_servers, named)
        apply_acls(settings, {})
        url = settings.database.connection_url
        grant(url)
        for process, role in _ROLES.items():
            password = self._password_file(process).read_text()
            make_login(url, _login(process), role.name, password)

    def admin(self, kafka: KafkaServer) -> dict[str, Any]:
        """Settings of who sets up: by certificate, and with a key that may say everything."""
        identity = self.kafka.admin
        there = {
            "bootstrap_servers": kafka.mutual_servers,
            "security_protocol": "SSL",
            "ssl_cafile": self.authority_file,
            "ssl_certfile": identity.certificate,
            "ssl_keyfile": identity.key,
        }
        signing = {} if self._signed is None else {"signing": self._signed.settings_of(ADMIN)}
        return {"kafka": there, **signing}

    def environment(
        self, program: str, kafka: KafkaServer, postgres: PostgresServer, *, acts: bool = False
    ) -> dict[str, str]:
        """What this program is told: where the servers are, who it is, where its secrets lie.

        `acts`: a console of people who do not only look.
        """
        who = "operator" if acts else _PRINCIPAL_OF.get(program, program)
        told = {
            "ESCROW_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "ESCROW_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "ESCROW_KAFKA__SASL_USERNAME": _user(who),
            "ESCROW_KAFKA__SASL_PASSWORD_FILE": str(self._password_file(who)),
            "ESCROW_KAFKA__SSL_CAFILE": str(self.authority_file),
        }
        if who in _ROLES:
            url = postgres.url_of(_login(who))
            told["ESCROW_DATABASE__URL"] = url
            told["ESCROW_DATABASE__PASSWORD_FILE"] = str(self._password_file(who))
        if self._signed is not None:
            told |= self._signed.environment_of(who)
        if program == "web":
            told["ESCROW_WEB__SSL_CERTFILE"] = str(self._web.certificate)
            told["ESCROW_WEB__SSL_KEYFILE"] = str(self._web.key)
        return told

    def write_operator_file(self, kafka: KafkaServer, postgres: PostgresServer) -> Path:
        """For a person's shell: `. FILE` makes its commands the operator's."""
        path = self._folder / OPERATOR_FILE
        write_secret(
            path, "".join(_exports(self.environment("operator", kafka, postgres))).encode()
        )
        return path

    def _password_file(self, who: str) -> Path:
        path = self._folder / f"{who}.password"
        keep_password(path)
        return path


def _exports(told: Mapping[str, str]) -> Iterator[str]:
    for name, value in told.items():
        quoted = value.replace("'", "'\\''")
        yield f"export {name}='{quoted}'\n"


def _user(who: str) -> str:
    return user_of(who, {}).removeprefix("User:")


def _login(process: str) -> str:
    """The login beside the group role that says what it may."""
    return f"{process}_login"
