"""OpenSSH certificates: a key, and who may use it for what, signed by a certificate authority (CA).

Format: PROTOCOL.certkeys of OpenSSH.
"""

from dataclasses import dataclass
from datetime import datetime

from bokgu.core.ssh.keys import (
    KEY_TYPES,
    KeySignature,
    PublicKey,
    read_key_fields,
    read_key_signature,
    read_public_key,
)
from bokgu.core.ssh.wire import Reader, decode_base64

CERTIFICATE_TYPES = {f"{plain.removesuffix('@openssh.com')}-cert-v01@openssh.com": plain for plain in KEY_TYPES}
"""The types of certificates to those of the keys in them."""

_USER = 1  # The type of a certificate; the other is that of a host.
_MAX_PRINCIPALS = 256  # As in OpenSSH.
_VERIFY_REQUIRED = ("verify-required", b"")


@dataclass(frozen=True)
class Certificate:
    """What a certificate says, whether true or not. `valid_after` and `valid_before` are seconds since 1970."""

    key: PublicKey
    serial: int
    type: int
    key_id: str
    principals: tuple[str, ...]
    valid_after: int
    valid_before: int
    critical_options: tuple[tuple[str, bytes], ...]
    authority: PublicKey
    signed: bytes
    signature: KeySignature

    @property
    def needs_verified_user(self) -> bool:
        """Whether a signature counts only if the security key had its PIN."""
        return _VERIFY_REQUIRED in self.critical_options

    def verify(self) -> None:
        """Check that the CA that it names made it. Raises ValueError."""
        self.authority.verify(self.signature, self.signed)

    def check(self, name: str, *, earliest: datetime, latest: datetime) -> None:
        """Check that it lets `name` sign at any time between the two. Raises ValueError.

        An option that is critical forbids all use but one. A command or an address to log in from says nothing of an
        approval, which has neither; only `verify-required` can be kept here.
        """
        if self.type != _USER:
            raise ValueError("the certificate is not one of a user: use one that was made without -h")
        for option in self.critical_options:
            if option != _VERIFY_REQUIRED:
                raise ValueError(f"the certificate is only for use with {option[0]}: have one issued without")
        if name not in self.principals:
            names = ", ".join(self.principals) or "nobody"
            raise ValueError(f"the certificate is for {names}, not for {name}: have one issued with -n {name}")
        if earliest.timestamp() < self.valid_after:
            raise ValueError("the certificate is not valid yet")
        if latest.timestamp() >= self.valid_before:
            raise ValueError("the certificate is not valid any more: have a new one issued and sign with that")


def parse_certificate(type_: str, encoded: str) -> Certificate:
    """A certificate as it stands in a -cert.pub file: its type and its base64. Raises ValueError."""
    blob = decode_base64(encoded)
    if Reader(blob).text() != type_:
        raise ValueError(f"the certificate is not of type {type_}")
    return read_certificate(blob)


def read_certificate(blob: bytes) -> Certificate:
    """A certificate in its wire form. Raises ValueError."""
    reader = Reader(blob)
    type_ = reader.text()
    if type_ not in CERTIFICATE_TYPES:
        raise ValueError(f"unsupported type of certificate {type_!r}")
    reader.string()  # The nonce.
    key = read_key_fields(CERTIFICATE_TYPES[type_], reader)
    serial, kind, key_id = reader.uint64(), reader.uint32(), reader.text()
    principals = _read_names(reader.string())
    valid_after, valid_before = reader.uint64(), reader.uint64()
    critical_options = _read_options(reader.string())
    _read_options(reader.string())  # Extensions: rights in a session, which is not what is asked for here.
    if reader.string():
        raise ValueError("the reserved field of the certificate is not empty")
    authority = read_public_key(reader.string())
    signed = blob[: reader.position]
    signature = read_key_signature(reader.string())
    reader.end()
    return Certificate(
        key=key,
        serial=serial,
        type=kind,
        key_id=key_id,
        principals=principals,
        valid_after=valid_after,
        valid_before=valid_before,
        critical_options=critical_options,
        authority=authority,
        signed=signed,
        signature=signature,
    )


def _read_names(data: bytes) -> tuple[str, ...]:
    reader, names = Reader(data), []
    while reader.has_more():
        names.append(reader.text())
    if len(names) > _MAX_PRINCIPALS:
        raise ValueError(f"the certificate has more than {_MAX_PRINCIPALS} principals")
    return tuple(names)


def _read_options(data: bytes) -> tuple[tuple[str, bytes], ...]:
    reader, options = Reader(data), []
    while reader.has_more():
        options.append((reader.text(), reader.string()))
    names = [name for name, _ in options]
    if names != sorted(set(names)):
        raise ValueError("the options of the certificate are not each there once and in order")
    return tuple(options)
