"""A server that believes nobody: TLS 1.2 or newer, a password for everyone, and no way in for its superuser.

The passwords of people and programs never reach a command line: the server hears them from a file
that only it can read, or as something that checks them and cannot be turned around.
"""

import secrets
import shutil
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Final, NamedTuple

from ops.local.certificates import Authority, Identity, write_secret
from ops.local.ports import AT_HOME, LOOPBACK

SUPERUSER: Final = "postgres"
_PASSWORD_BYTES: Final = 24

# TLS and a password, or nothing: whoever comes in plaintext finds no line.
_WHO_MAY_COME: Final = f"hostssl all {SUPERUSER} all reject\n"
_FROM: Final = "hostssl all all {} scram-sha-256\n"


class PostgresSecurity(NamedTuple):
    """Whom clients trust, who the server is, and how its owner logs in."""

    authority: Authority
    server: Identity
    owner_password: Path  # a file: the password alone
    passfile: Path  # the same in the form of libpq
    near: IPv4Interface  # our own address beside loopback, and the network from where one may come

    @classmethod
    def made_by(cls, authority: Authority, folder: Path, near: IPv4Interface) -> "PostgresSecurity":
        """With a new certificate; the owner's password stays what it was."""
        password = folder / "owner.password"
        keep_password(password)
        passfile = folder / "owner.pgpass"
        said = f"*:*:*:*:{password.read_text()}\n"
        write_secret(passfile, said.encode())
        return cls(authority, authority.issue("postgres"), password, passfile, near)

    @property
    def url_options(self) -> str:
        """What a client needs to believe the server: its name is checked."""
        return f"sslmode=verify-full&sslrootcert={self.authority.file}"

    def settings(self, cluster: Path) -> dict[str, str]:
        """The server's settings."""
        return {
            "listen_addresses": ",".join(dict.fromkeys((LOOPBACK, str(self.near.ip)))),
            "ssl": "on",
            "ssl_cert_file": str(cluster / "server.crt"),
            "ssl_key_file": str(cluster / "server.key"),
            "ssl_min_protocol_version": "TLSv1.2",
            "password_encryption": "scram-sha-256",
        }

    def move_in(self, cluster: Path, user: str | None) -> None:
        """Put certificate, key and the list of who may come where the server's user can read them."""
        networks = dict.fromkeys((AT_HOME.network, self.near.network))
        lines = (_FROM.format(network) for network in networks)
        (cluster / "pg_hba.conf").write_text(_WHO_MAY_COME + "".join(lines))
        shutil.copyfile(self.server.certificate, cluster / "server.crt")
        write_secret(cluster / "server.key", self.server.key.read_bytes())
        if user is not None:
            for name in ("pg_hba.conf", "server.crt", "server.key"):
                shutil.chown(cluster / name, user)


def keep_password(path: Path) -> str:
    """The password in this file; a new one is made where there is none."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(_PASSWORD_BYTES).encode())
    return path.read_text()


def begun_with(owner: str, password: str, database: str) -> str:
    """SQL for the server's single-user mode: an owner who may make roles, and his database."""
    return (
        f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD '{password}'\n"
        f"CREATE DATABASE {database} OWNER {owner}\n"
    )
