"""Public keys, and how each verifies what was signed with it.

Encodings: RFC 4253 section 6.6 and RFC 8332 (RSA), RFC 5656 (ECDSA), RFC 8709 (Ed25519), PROTOCOL.u2f of OpenSSH
(security keys).
"""

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bokgu.core.ssh.wire import Reader, decode_base64, write_string

USER_PRESENT = 0x01
"""Flag of a security key: somebody touched it."""
USER_VERIFIED = 0x04
"""Flag of a security key: it knows who, by PIN or fingerprint."""

ED25519, SK_ED25519 = "ssh-ed25519", "sk-ssh-ed25519@openssh.com"
RSA = "ssh-rsa"
SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
_CURVES: dict[str, ec.EllipticCurve] = {
    "ecdsa-sha2-nistp256": ec.SECP256R1(),
    "ecdsa-sha2-nistp384": ec.SECP384R1(),
    "ecdsa-sha2-nistp521": ec.SECP521R1(),
    SK_ECDSA: ec.SECP256R1(),
}
KEY_TYPES = frozenset({ED25519, SK_ED25519, RSA, *_CURVES})
"""The types that are read; not DSA, which OpenSSH has given up."""

_CURVE_HASHES: dict[int, hashes.HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
_RSA_HASHES: dict[str, hashes.HashAlgorithm] = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 16384
_MAX_RSA_EXPONENT = 2**64  # A larger one buys nothing and costs whoever verifies.
_UNCOMPRESSED = 4  # The first byte of a point (SEC 1 section 2.3.3) in the only form that OpenSSH takes.


@dataclass(frozen=True)
class KeySignature:
    """What a key made: the algorithm and its output. `flags` and `counter` are those of a security key, else None."""

    algorithm: str
    value: bytes
    flags: int | None = None
    counter: int | None = None


@dataclass(frozen=True)
class PublicKey:
    """A public key. `blob` is its wire form, which alone makes two of them equal; `application` a security key's."""

    type: str
    blob: bytes
    key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey = field(compare=False, repr=False)
    application: bytes | None = None

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it: SHA256:…"""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def verify(self, signature: KeySignature, message: bytes) -> None:
        """Check that the key made the signature, of this message. Raises ValueError."""
        if signature.algorithm not in (_RSA_HASHES if self.type == RSA else {self.type}):
            raise ValueError(f"unsupported algorithm {signature.algorithm!r} of a key of type {self.type}")
        if self.application is not None:
            message = _assert_presence(self.application, signature, message)
        try:
            self._verify(signature, message)
        except (InvalidSignature, UnsupportedAlgorithm) as error:
            raise ValueError("the signature is not one of this key over this") from error

    def _verify(self, signature: KeySignature, message: bytes) -> None:
        match self.key:
            case ed25519.Ed25519PublicKey():
                self.key.verify(signature.value, message)
            case ec.EllipticCurvePublicKey():
                self.key.verify(_read_dss(signature.value), message, ec.ECDSA(_CURVE_HASHES[self.key.key_size]))
            case rsa.RSAPublicKey():
                if self.key.key_size < _MIN_RSA_BITS:
                    raise ValueError(f"an RSA key of {self.key.key_size} bits is too weak: {_MIN_RSA_BITS} are needed")
                self.key.verify(signature.value, message, padding.PKCS1v15(), _RSA_HASHES[signature.algorithm])


def parse_public_key(type_: str, encoded: str) -> PublicKey:
    """A key as it stands in a .pub file: its type and its base64. Raises ValueError."""
    key = read_public_key(decode_base64(encoded))
    if key.type != type_:
        raise ValueError(f"the key is of type {key.type}, not {type_} as the line says")
    return key


def read_public_key(blob: bytes) -> PublicKey:
    """A key in its wire form. Raises ValueError."""
    reader = Reader(blob)
    key = read_key_fields(reader.text(), reader)
    reader.end()
    return key


def read_key_fields(type_: str, reader: Reader) -> PublicKey:
    """The fields of a key, which follow its type, or a certificate's nonce. Raises ValueError."""
    if type_ not in KEY_TYPES:
        raise ValueError(f"unsupported key type {type_!r}")
    begin = reader.position
    key = _read_key(type_, reader)
    application = reader.string() if type_ in {SK_ED25519, SK_ECDSA} else None
    return PublicKey(type_, write_string(type_.encode()) + reader.data[begin : reader.position], key, application)


def _read_key(type_: str, reader: Reader) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    match type_:
        case "ssh-rsa":
            exponent, modulus = reader.mpint(), reader.mpint()
            if exponent >= _MAX_RSA_EXPONENT or modulus.bit_length() > _MAX_RSA_BITS:
                raise ValueError("the RSA key is too large")
            return rsa.RSAPublicNumbers(exponent, modulus).public_key()
        case "ssh-ed25519" | "sk-ssh-ed25519@openssh.com":
            return ed25519.Ed25519PublicKey.from_public_bytes(reader.string())
        case _:
            return _read_point(_CURVES[type_], type_, reader)


def _read_point(curve: ec.EllipticCurve, type_: str, reader: Reader) -> ec.EllipticCurvePublicKey:
    name, point = reader.text(), reader.string()
    if name != type_.removesuffix("@openssh.com").rpartition("-")[2]:
        raise ValueError(f"the curve {name!r} is not that of {type_}")
    if point[:1] != bytes([_UNCOMPRESSED]):
        raise ValueError("the point is not in uncompressed form")
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)


def read_key_signature(data: bytes) -> KeySignature:
    """A signature in its wire form. Raises ValueError."""
    reader = Reader(data)
    algorithm = reader.text()
    if algorithm.startswith("webauthn-"):
        raise ValueError("signatures of WebAuthn are not supported: sign with ssh-keygen")
    value = reader.string()
    flags, counter = (reader.byte(), reader.uint32()) if algorithm.startswith("sk-") else (None, None)
    reader.end()
    return KeySignature(algorithm, value, flags, counter)


def _read_dss(value: bytes) -> bytes:
    """The two numbers of an ECDSA signature, as `cryptography` takes them."""
    reader = Reader(value)
    r, s = reader.mpint(), reader.mpint()
    reader.end()
    return encode_dss_signature(r, s)


def _assert_presence(application: bytes, signature: KeySignature, message: bytes) -> bytes:
    """What a security key signs in place of the message (PROTOCOL.u2f, "SSH U2F signatures").

    One that nobody touched signs for any program that asks it, so it proves no person.
    """
    if signature.flags is None or signature.counter is None or not signature.flags & USER_PRESENT:
        raise ValueError("the security key was not touched: sign without the option no-touch-required")
    asserted = bytes([signature.flags]) + signature.counter.to_bytes(4, "big")
    return hashlib.sha256(application).digest() + asserted + hashlib.sha256(message).digest()
