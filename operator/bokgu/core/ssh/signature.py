"""What `ssh-keygen -Y sign` makes: an SSHSIG blob in armor. Format: PROTOCOL.sshsig of OpenSSH."""

import hashlib
from dataclasses import dataclass

from bokgu.core.ssh.certificates import CERTIFICATE_TYPES, Certificate, read_certificate
from bokgu.core.ssh.keys import USER_VERIFIED, KeySignature, PublicKey, read_key_signature, read_public_key
from bokgu.core.ssh.wire import Reader, decode_base64, write_string

NAMESPACE = "bokgu.dev/approval"
"""What the signature is for (`-n`): one made for another purpose never counts."""

_MAGIC, _VERSION = b"SSHSIG", 1
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----\n", "\n-----END SSH SIGNATURE-----"
_LONGEST = 32 * 1024  # Characters in armor: several times what a certificate with keys of 8192 bits takes.
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


class BadSignature(ValueError):
    """The signature does not count; the text says why, and what to do."""


@dataclass(frozen=True)
class Signature:
    """A signature that was read, and not verified yet. `key` is that of the certificate where there is one."""

    key: PublicKey
    certificate: Certificate | None
    namespace: str
    hash_algorithm: str
    made: KeySignature

    @property
    def fingerprint(self) -> str:
        """Of the plain public key, as `ssh-keygen -l` prints it: SHA256:…, the same with and without a certificate."""
        return self.key.fingerprint


def parse_signature(armored: str) -> Signature:
    """Read a signature in armor. Raises BadSignature."""
    if len(armored) > _LONGEST:
        raise BadSignature(f"the signature is longer than {_LONGEST} characters")
    text = armored.replace("\r\n", "\n").rstrip(" \t\n")
    if not text.startswith(_BEGIN) or not text.endswith(_END):
        raise BadSignature(f"not an SSH signature: its lines are {_BEGIN.strip()} to {_END.strip()}")
    encoded = text[len(_BEGIN) : -len(_END)].translate(str.maketrans("", "", " \t\n"))
    try:
        return _read_signature(decode_base64(encoded))
    except ValueError as error:
        raise BadSignature(f"not an SSH signature that can be read: {error}") from error


def _read_signature(blob: bytes) -> Signature:
    reader = Reader(blob)
    if reader.take(len(_MAGIC)) != _MAGIC or reader.uint32() != _VERSION:
        raise ValueError(f"it is none of version {_VERSION}")
    key, certificate = _read_key_or_certificate(reader.string())
    namespace = reader.text()
    if reader.string():  # What stands there is not signed.
        raise ValueError("its reserved field is not empty")
    hash_algorithm, made = reader.text(), read_key_signature(reader.string())
    reader.end()
    return Signature(key, certificate, namespace, hash_algorithm, made)


def _read_key_or_certificate(blob: bytes) -> tuple[PublicKey, Certificate | None]:
    if Reader(blob).text() not in CERTIFICATE_TYPES:
        return read_public_key(blob), None
    certificate = read_certificate(blob)
    return certificate.key, certificate


def verify_signature(signature: Signature, message: bytes) -> None:
    """Check that the signature was made of the message, for approvals, and its certificate by the CA that it names.

    Raises BadSignature. Whether anybody trusts the key or the CA is for `allowed_signers.check_signer` to say.
    """
    if signature.namespace != NAMESPACE:
        raise BadSignature(f"it was signed for {signature.namespace!r}: sign with -n {NAMESPACE}")
    if signature.hash_algorithm not in _HASHES:
        raise BadSignature(f"unsupported hash {signature.hash_algorithm!r}: use sha512 or sha256")
    try:
        signature.key.verify(signature.made, _signed(signature, message))
    except ValueError as error:
        raise BadSignature(f"the signature does not hold for the statement: {error}") from error
    if signature.certificate is not None:
        _verify_certificate(signature.certificate, signature.made)


def _signed(signature: Signature, message: bytes) -> bytes:
    digest = _HASHES[signature.hash_algorithm](message).digest()
    parts = (signature.namespace.encode(), b"", signature.hash_algorithm.encode(), digest)
    return _MAGIC + b"".join(map(write_string, parts))


def _verify_certificate(certificate: Certificate, made: KeySignature) -> None:
    try:
        certificate.verify()
    except ValueError as error:
        raise BadSignature(f"the certificate does not hold: {error}") from error
    if certificate.needs_verified_user and not (made.flags or 0) & USER_VERIFIED:
        raise BadSignature(
            "the certificate asks for a security key with its PIN: sign with one that has verify-required"
        )
