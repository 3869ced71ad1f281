"""A certificate authority of one data directory: what it signs is good for a year and for loopback, and one address besides.

Keys are written for their owner alone. Each start makes new certificates; the authority stays.
"""

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ops.local.ports import AT_HOME

_AUTHORITY_DAYS: Final = 3_650
_YEAR_DAYS: Final = 397
_CLOCKS_DIFFER: Final = timedelta(hours=1)


class Identity(NamedTuple):
    """Who somebody is: a certificate, its key, and both in one file. PEM."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs for those who come into its folder; whoever trusts `file` believes what it signed."""

    def __init__(self, folder: Path, address: ipaddress.IPv4Address = AT_HOME.ip) -> None:
        """Made once; the folder holds its key. Certificates name `address`, too."""
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._folder, self._addresses = folder, {AT_HOME.ip, address}
        self.file = folder / "authority.pem"
        key_file = folder / "authority.key"
        if key_file.exists() and self.file.exists():
            key = load_pem_private_key(key_file.read_bytes(), None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            self._key = key
            self._certificate = x509.load_pem_x509_certificate(self.file.read_bytes())
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Escrow, for this machine only")
        self._certificate = (
            _begun(name, self._key.public_key(), _AUTHORITY_DAYS)
            .issuer_name(name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_may(sign=True), critical=True)
            .sign(self._key, SHA256())
        )
        write_secret(key_file, _key_pem(self._key))
        self.file.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def issue(self, name: str) -> Identity:
        """A new certificate for this name, for servers and clients at our addresses."""
        hosts = [x509.DNSName("localhost"), *map(x509.IPAddress, sorted(self._addresses))]
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _begun(_name(name), key.public_key(), _YEAR_DAYS)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_may(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .sign(self._key, SHA256())
        )
        made = Identity(*(self._folder / f"{name}.{end}" for end in ("crt", "key", "pem")))
        chain = certificate.public_bytes(Encoding.PEM)
        made.certificate.write_bytes(chain)
        write_secret(made.key, _key_pem(key))
        write_secret(made.both, _key_pem(key) + chain)
        return made


def write_secret(path: Path, content: bytes) -> None:
    """Nobody else can read it, not even for a moment."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begun(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _may(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
