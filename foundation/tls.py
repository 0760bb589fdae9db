"""A small certificate authority for servers of this installation and for the practice agencies.

Certificates follow the machine's own time, not :mod:`foundation.clock`: TLS libraries do.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from foundation.files import file_lock, make_private_directory, write_private

__all__ = ["LocalAuthority"]

_CA_DAYS = 3650
_LEAF_DAYS = 397
_RENEW_DAYS = 30


class LocalAuthority:
    """A certificate authority in one folder; make it known to clients by :attr:`ca_path`."""

    def __init__(self, directory: Path, name: str = "Lintas local authority") -> None:
        self.directory = directory
        self.name = name

    @property
    def ca_path(self) -> Path:
        """The authority's certificate (PEM), to be trusted by clients."""
        return self.directory / "ca.pem"

    @property
    def ca_pem(self) -> str:
        """The authority's certificate as PEM text."""
        return self.ca_path.read_text(encoding="ascii")

    def ensure(self) -> Path:
        """Make the authority on first use; return :attr:`ca_path`."""
        make_private_directory(self.directory)
        with file_lock(self.directory / ".lock"):
            if not self.ca_path.exists():
                key = ec.generate_private_key(ec.SECP256R1())
                write_private(self.directory / "ca.key", _pem(key))
                write_private(self.ca_path, self._self_signed(key).public_bytes(Encoding.PEM), 0o644)
        return self.ca_path

    def issue(self, name: str, hosts: Sequence[str]) -> tuple[Path, Path]:
        """Return certificate chain and key files for a server (or client) of this name.

        A certificate that covers the hosts and is not about to end is used again.
        """
        self.ensure()
        certificate_path, key_path = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        with file_lock(self.directory / ".lock"):
            if not _still_good(certificate_path, hosts):
                key = ec.generate_private_key(ec.SECP256R1())
                chain = self._leaf(key, name, hosts).public_bytes(Encoding.PEM) + self.ca_path.read_bytes()
                write_private(key_path, _pem(key))
                write_private(certificate_path, chain, 0o644)
        return certificate_path, key_path

    def _self_signed(self, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        subject = _name(f"{self.name} {secrets.token_hex(4)}")
        builder = _builder(subject, subject, key.public_key(), _CA_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(sign_certificates=True), critical=True)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        return builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())

    def _leaf(self, key: ec.EllipticCurvePrivateKey, name: str, hosts: Sequence[str]) -> x509.Certificate:
        authority = x509.load_pem_x509_certificate(self.ca_path.read_bytes())
        signer = load_pem_private_key((self.directory / "ca.key").read_bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        builder = _builder(_name(name), authority.subject, key.public_key(), _LEAF_DAYS)
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_key_usage(sign_certificates=False), True),
            (
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                False,
            ),
            (x509.SubjectAlternativeName([_alternative(host) for host in hosts]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
        ]
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(signer, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    present = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(present - dt.timedelta(minutes=5))
        .not_valid_after(present + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _still_good(path: Path, hosts: Sequence[str]) -> bool:
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    renewal = certificate.not_valid_after_utc - dt.timedelta(days=_RENEW_DAYS)
    return set(names) == {_alternative(host) for host in hosts} and dt.datetime.now(dt.UTC) < renewal


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
