"""The control plane's certificate authority: one CA for the server's certificate and for client certificates."""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALIDITY = timedelta(days=365)
_SERVER_NAMES = ("localhost", "kubernetes.default.svc")


@dataclass(frozen=True)
class Credential:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority whose files, `ca.crt` and `ca.key`, live in one folder and are made when missing."""

    def __init__(self, folder: Path) -> None:
        """Load the authority from an existing folder, or make a new one there."""
        self.certificate_path = folder / "ca.crt"
        key_path = folder / "ca.key"
        if not key_path.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _self_signed(key)
            self.certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
            write_private(key_path, _private_key_pem(key))
        self.certificate = self.certificate_path.read_bytes()
        self._issuer = x509.load_pem_x509_certificate(self.certificate).subject
        loaded = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key_path} holds no elliptic-curve key")
        self._key = loaded

    def issue_client(self, user: str, groups: Sequence[str]) -> Credential:
        """Issue a certificate by which the API server knows a user and its groups.

        The user is the subject's common name and the groups its organizations
        (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates).

        Raises:
            ValueError: a name is empty or longer than the 64 characters that X.509 allows.
        """
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        return self._issue([*subject, x509.NameAttribute(NameOID.COMMON_NAME, user)], ExtendedKeyUsageOID.CLIENT_AUTH)

    def issue_server(self) -> Credential:
        """Issue the API server's certificate, for 127.0.0.1 and its usual names."""
        names = x509.SubjectAlternativeName(
            [
                x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
                *(x509.DNSName(name) for name in _SERVER_NAMES),
            ]
        )
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")]
        return self._issue(subject, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def _issue(
        self,
        subject: list[x509.NameAttribute[str]],
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None = None,
    ) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _certificate(x509.Name(subject), self._issuer, key)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer_key, False).add_extension(x509.ExtendedKeyUsage([usage]), False)
        if names is not None:
            builder = builder.add_extension(names, False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Credential(certificate.public_bytes(serialization.Encoding.PEM), _private_key_pem(key))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read (0600), new or not."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)


def new_signing_key() -> bytes:
    """A new private key, PEM, as the API server signs service account tokens with."""
    return _private_key_pem(ec.generate_private_key(ec.SECP256R1()))


def _private_key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """A root certificate with all that strict verification (RFC 5280; Python's default from 3.13) asks for."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bokgu-controlplane")])
    usage = x509.KeyUsage(
        key_cert_sign=True,
        crl_sign=True,
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _certificate(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + _VALIDITY)
    )
