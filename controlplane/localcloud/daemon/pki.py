"""Certificates: an authority, and one serving certificate from it for what is served on loopback.

kubectl sends no token over plain HTTP and google-auth wants https, so there is TLS. The certificates carry what
Python 3.13 and Go check strictly: subject and authority key identifiers, key usage, and critical basic constraints.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

AUTHORITY_DAYS = 3650
SERVING_DAYS = 397
RENEW_BEFORE = timedelta(days=30)
# Issued a little in the past, for clocks that differ.
BACKDATED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pki:
    """Where the certificates and keys are."""

    folder: Path

    @property
    def ca_file(self) -> Path:
        """The authority's certificate."""
        return self.folder / "ca.crt"

    @property
    def ca_key_file(self) -> Path:
        """The authority's key."""
        return self.folder / "ca.key"

    @property
    def cert_file(self) -> Path:
        """The serving certificate."""
        return self.folder / "server.crt"

    @property
    def key_file(self) -> Path:
        """The serving certificate's key."""
        return self.folder / "server.key"

    @property
    def ca_pem(self) -> str:
        """The authority's certificate as text."""
        return self.ca_file.read_text()


def ensure_pki(folder: Path, now: datetime, *, name: str = "local cloud") -> Pki:
    """Make what is missing or about to expire; keep the rest, so that clients' copies of the authority stay good."""
    pki = Pki(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (pki.ca_file.exists() and pki.ca_key_file.exists()) or _expires(pki.ca_file) < now + RENEW_BEFORE:
        _make_authority(pki, now, f"gpu-hunter {name}")
        pki.cert_file.unlink(missing_ok=True)
    if not (pki.cert_file.exists() and pki.key_file.exists()) or _expires(pki.cert_file) < now + RENEW_BEFORE:
        _make_serving(pki, now)
    return pki


def issue(pki: Pki, names: Sequence[str], now: datetime) -> tuple[str, bytes]:
    """Give a serving certificate of the authority for these host names, and its key, both as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    certificate, key = _serving(pki, names[0], [x509.DNSName(name) for name in names], now)
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, from the first byte on, and never half."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    temporary.replace(path)


def _expires(path: Path) -> datetime:
    from cryptography import x509

    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _make_authority(pki: Pki, now: datetime, common_name: str) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    _store(pki.ca_file, pki.ca_key_file, certificate, key)


def _make_serving(pki: Pki, now: datetime) -> None:
    from cryptography import x509

    names: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.DNSName("localhost"),
        x509.DNSName("kubernetes"),
        x509.DNSName("kubernetes.default.svc"),
    ]
    _store(pki.cert_file, pki.key_file, *_serving(pki, "localhost", names, now))


def _serving(
    pki: Pki, subject: str, names: "Sequence[x509.GeneralName]", now: datetime
) -> "tuple[x509.Certificate, ec.EllipticCurvePrivateKey]":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import oid

    authority = x509.load_pem_x509_certificate(pki.ca_file.read_bytes())
    authority_key = serialization.load_pem_private_key(pki.ca_key_file.read_bytes(), password=None)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject[:64])]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=SERVING_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),  # type: ignore[arg-type]
            critical=False,
        )
        .sign(authority_key, hashes.SHA256())  # type: ignore[arg-type]
    )
    return certificate, key


def _usage(*, signs_certificates: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _store(cert_file: Path, key_file: Path, certificate: "x509.Certificate", key: "ec.EllipticCurvePrivateKey") -> None:
    from cryptography.hazmat.primitives import serialization

    write_private(key_file, _pem(key))
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key: "ec.EllipticCurvePrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
