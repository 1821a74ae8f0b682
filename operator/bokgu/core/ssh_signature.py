"""Verifies what `ssh-keygen -Y sign` makes, against an `allowed_signers` file.

Formats: PROTOCOL.sshsig and the ALLOWED SIGNERS section of ssh-keygen(1), both of OpenSSH; wire types of RFC 4251.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

NAMESPACE = "bokgu.dev/approval"
"""What the signature is for (`-n`): one made for another purpose never counts."""

_MAGIC = b"SSHSIG"
_ARMOR = re.compile(r"-----BEGIN SSH SIGNATURE-----\s([A-Za-z0-9+/=\s]+)-----END SSH SIGNATURE-----\Z")
_KEY_TYPE = re.compile(r"(ssh|ecdsa|rsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+\s")
_OPTIONS = re.compile(r'(?:[^\s"]|"[^"]*")+')
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_RSA_HASHES = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}
_EC_HASHES = {
    "ecdsa-sha2-nistp256": hashes.SHA256(),
    "ecdsa-sha2-nistp384": hashes.SHA384(),
    "ecdsa-sha2-nistp521": hashes.SHA512(),
}
_MIN_RSA_BITS = 2048


class BadSignature(ValueError):
    """The signature does not hold; the text says why."""


@dataclass(frozen=True)
class Signature:
    """A parsed SSHSIG blob. `public_key` is the raw key in SSH wire format."""

    public_key: bytes
    namespace: str
    hash_algorithm: str
    algorithm: str
    blob: bytes


@dataclass(frozen=True)
class AllowedSigner:
    """One line of an allowed_signers file."""

    principals: tuple[str, ...]
    public_key: bytes
    namespaces: tuple[str, ...]
    valid_after: datetime | None
    valid_before: datetime | None


class _Reader:
    """Reads the strings and integers of RFC 4251 section 5."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, length: int) -> bytes:
        if length > len(self.data):
            raise BadSignature("the signature is cut short")
        head, self.data = self.data[:length], self.data[length:]
        return head

    def integer(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.integer())

    def text(self) -> str:
        return self.string().decode("ascii", "replace")


def parse_signature(armored: str) -> Signature:
    """Read an armored signature. Raises BadSignature."""
    match = _ARMOR.match(armored.strip())
    if not match:
        raise BadSignature("not an SSH signature: it begins with -----BEGIN SSH SIGNATURE-----")
    try:
        reader = _Reader(base64.b64decode("".join(match[1].split()), validate=True))
    except binascii.Error as error:
        raise BadSignature("not an SSH signature: bad base64") from error
    if reader.take(len(_MAGIC)) != _MAGIC or reader.integer() != 1:
        raise BadSignature("not an SSH signature of version 1")
    public_key, namespace = reader.string(), reader.text()
    reader.string()  # reserved
    hash_algorithm = reader.text()
    inner = _Reader(reader.string())
    algorithm, blob = inner.text(), inner.string()
    if reader.data or (inner.data and not algorithm.startswith("sk-")):
        raise BadSignature("the signature has trailing bytes")
    return Signature(public_key, namespace, hash_algorithm, algorithm, blob)


def verify_signature(signature: Signature, message: bytes) -> None:
    """Check that the signature covers the message. Raises BadSignature."""
    if signature.namespace != NAMESPACE:
        raise BadSignature(f"signed for {signature.namespace!r}: sign with -n {NAMESPACE}")
    if signature.hash_algorithm not in _HASHES:
        raise BadSignature(f"unsupported hash {signature.hash_algorithm!r}")
    digest = _HASHES[signature.hash_algorithm](message).digest()
    signed = _MAGIC + b"".join(
        len(part).to_bytes(4, "big") + part
        for part in (signature.namespace.encode(), b"", signature.hash_algorithm.encode(), digest)
    )
    key_type = _Reader(signature.public_key).text()
    try:
        key = load_ssh_public_key(f"{key_type} {base64.b64encode(signature.public_key).decode()}".encode())
        match key:
            case ed25519.Ed25519PublicKey() if signature.algorithm == key_type:
                key.verify(signature.blob, signed)
            case ec.EllipticCurvePublicKey() if signature.algorithm == key_type and key_type in _EC_HASHES:
                numbers = _Reader(signature.blob)
                r, s = (int.from_bytes(numbers.string(), "big") for _ in range(2))
                if numbers.data:
                    raise BadSignature("the signature has trailing bytes")
                key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(_EC_HASHES[key_type]))
            case rsa.RSAPublicKey() if signature.algorithm in _RSA_HASHES and key.key_size >= _MIN_RSA_BITS:
                key.verify(signature.blob, signed, padding.PKCS1v15(), _RSA_HASHES[signature.algorithm])
            case _:
                raise BadSignature(f"unsupported key or algorithm: {key_type}, {signature.algorithm}")
    except InvalidSignature as error:
        raise BadSignature("the signature does not match the statement") from error
    # cryptography raises NotImplementedError for an EC point in a form that it does not read.
    except (UnsupportedAlgorithm, NotImplementedError, ValueError) as error:
        if isinstance(error, BadSignature):
            raise
        raise BadSignature(f"unreadable key of type {key_type!r}") from error


def parse_allowed_signers(text: str) -> tuple[AllowedSigner, ...]:
    """Read an allowed_signers file. A line that cannot be read raises ValueError with its number: a trust root that is
    half understood is not one."""
    signers = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            try:
                signers.append(_parse_signer(stripped))
            except (ValueError, LookupError) as error:
                raise ValueError(f"allowed_signers line {number}: {error}") from error
    return tuple(signers)


def _parse_signer(line: str) -> AllowedSigner:
    principals, rest = line.split(maxsplit=1)
    options: dict[str, str] = {}
    if not _KEY_TYPE.match(rest):
        word = _OPTIONS.match(rest)
        if not word:
            raise ValueError("write it as: PRINCIPALS [OPTIONS] KEY-TYPE BASE64-KEY")
        options = {name.lower(): value for name, value in re.findall(r'([\w-]+)(?:="([^"]*)")?', word[0])}
        rest = rest[word.end() :]
    unknown = options.keys() - {"namespaces", "valid-after", "valid-before"}
    if unknown:
        raise ValueError(f"unsupported option {min(unknown)!r}")
    return AllowedSigner(
        principals=tuple(principals.strip('"').split(",")),
        public_key=base64.b64decode(rest.split()[1], validate=True),
        namespaces=tuple(options["namespaces"].split(",")) if "namespaces" in options else (),
        valid_after=_parse_date(options.get("valid-after")),
        valid_before=_parse_date(options.get("valid-before")),
    )


def _parse_date(text: str | None) -> datetime | None:
    """YYYYMMDD[HHMM[SS]], in UTC with or without a Z (the operator has no local time zone of its own)."""
    if text is None:
        return None
    digits = text.removesuffix("Z")
    formats = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    return datetime.strptime(digits, formats[len(digits)]).replace(tzinfo=UTC)


def find_principals(
    signature: Signature, signers: tuple[AllowedSigner, ...], revoked: frozenset[bytes], *, at: datetime
) -> tuple[str, ...]:
    """The names that the key may sign for at that moment. Raises BadSignature where there are none."""
    if signature.public_key in revoked:
        raise BadSignature("the key is revoked")
    listed = [s for s in signers if s.public_key == signature.public_key]
    if not listed:
        raise BadSignature("the key is not in allowed_signers")
    now_valid = [
        s
        for s in listed
        if (not s.valid_after or s.valid_after <= at)
        and (not s.valid_before or at < s.valid_before)
        and (not s.namespaces or NAMESPACE in s.namespaces)
    ]
    if not now_valid:
        raise BadSignature("allowed_signers does not admit the key now, or not for this purpose")
    return tuple(p for s in now_valid for p in s.principals)


def parse_revoked(text: str) -> frozenset[bytes]:
    """Read a revocation list: one public key a line, as in a .pub file. Raises ValueError for a line that is none."""
    keys = set()
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            raw = base64.b64decode(fields[1], validate=True)
            if _Reader(raw).text() != fields[0]:
                raise ValueError("the key is not of the type that the line says")
            keys.add(raw)
        except (IndexError, ValueError) as error:
            raise ValueError(f"revoked keys line {number}: write one public key a line") from error
    return frozenset(keys)
