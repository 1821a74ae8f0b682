"""The real ssh-keygen as the other side, and security keys in software, for which it has no hardware."""

import base64
import hashlib
import os
import subprocess
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bokgu.core.ssh.allowed_signers import check_signer, parse_allowed_signers
from bokgu.core.ssh.revocation import parse_revoked
from bokgu.core.ssh.signature import NAMESPACE, parse_signature, verify_signature
from tests.unit.facts import NOW

MESSAGE = b"bokgu.dev/approval v1\ndigest: sha256:00\n"
ALICE = "alice@example.com"
KINDS = {
    "ed25519": ("-t", "ed25519"),
    "nistp256": ("-t", "ecdsa", "-b", "256"),
    "nistp384": ("-t", "ecdsa", "-b", "384"),
    "nistp521": ("-t", "ecdsa", "-b", "521"),
    "rsa": ("-t", "rsa", "-b", "2048"),
}
SK_KINDS = ("sk-ed25519", "sk-nistp256")
BEGIN, END = "-----BEGIN SSH SIGNATURE-----\n", "\n-----END SSH SIGNATURE-----\n"
IN_UTC = {**os.environ, "TZ": "UTC"}


def run(*arguments: str, message: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", *arguments], input=message, capture_output=True, check=False, env=IN_UTC)


def must(*arguments: str, message: bytes = b"") -> str:
    done = run(*arguments, message=message)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


class Key:
    """A key pair of the real ssh-keygen."""

    def __init__(self, path: Path, *kind: str) -> None:
        self.path = path
        must("-q", *kind, "-N", "", "-C", "", "-f", str(path))
        self.public = path.with_name(f"{path.name}.pub").read_text().strip()

    @property
    def raw(self) -> bytes:
        return base64.b64decode(self.public.split()[1])

    def sign(self, message: bytes = MESSAGE, namespace: str = NAMESPACE, *options: str) -> str:
        return must("-Y", "sign", "-n", namespace, *options, "-f", str(self.path), message=message)

    def certify(self, public: str, folder: Path, *options: str, key_id: str = "id", names: str = ALICE) -> str:
        """The line of a certificate that this key, as a CA, makes of a public key."""
        source = folder / "certified.pub"
        source.write_text(f"{public}\n")
        named = ["-n", names] if names else []
        must("-q", "-s", str(self.path), "-I", key_id, *named, *options, str(source))
        return (folder / "certified-cert.pub").read_text().strip()

    def sign_certified(self, certificate: str, folder: Path, message: bytes = MESSAGE) -> str:
        """As people do it: ssh-keygen finds the private key beside the certificate that `-f` names."""
        for suffix, text in (("", self.path.read_text()), (".pub", self.public), ("-cert.pub", certificate)):
            (folder / f"signer{suffix}").write_text(f"{text.strip()}\n")
            (folder / f"signer{suffix}").chmod(0o600)
        return must("-Y", "sign", "-n", NAMESPACE, "-f", str(folder / "signer-cert.pub"), message=message)


@dataclass
class SecurityKey:
    """What a security key does (PROTOCOL.u2f), in software."""

    kind: str
    application: bytes = b"ssh:"
    private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey = field(init=False)

    def __post_init__(self) -> None:
        if self.kind == "sk-ed25519":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())

    @property
    def type(self) -> bytes:
        return {
            "sk-ed25519": b"sk-ssh-ed25519@openssh.com",
            "sk-nistp256": b"sk-ecdsa-sha2-nistp256@openssh.com",
        }[self.kind]

    @property
    def raw(self) -> bytes:
        public = self.private.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            fields = string(public.public_bytes(Encoding.Raw, PublicFormat.Raw))
        else:
            point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            fields = string(b"nistp256") + string(point)
        return string(self.type) + fields + string(self.application)

    @property
    def public(self) -> str:
        return line(self.raw)

    def press(
        self, flags: int = 1, counter: int = 7, *, application: bytes | None = None, data: bytes | None = None
    ) -> bytes:
        """The signature of some data, by default of what goes for the message into an SSHSIG blob."""
        application = self.application if application is None else application
        tail = bytes([flags]) + counter.to_bytes(4, "big")
        digest = hashlib.sha256(to_sign() if data is None else data).digest()
        covered = hashlib.sha256(application).digest() + tail + digest
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            made = self.private.sign(covered)
        else:
            made = b"".join(
                mpint(n) for n in decode_dss_signature(self.private.sign(covered, ec.ECDSA(hashes.SHA256())))
            )
        return string(self.type) + string(made) + tail


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def mpint(number: int) -> bytes:
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big"))


def line(raw: bytes) -> str:
    """A key in wire form as a line of a .pub file."""
    length = int.from_bytes(raw[:4], "big")
    return f"{raw[4 : 4 + length].decode()} {base64.b64encode(raw).decode()}"


def raw_of(line_: str) -> bytes:
    return base64.b64decode(line_.split()[1])


def armor(blob: bytes) -> str:
    return BEGIN + base64.encodebytes(blob).decode().strip() + END


def dearmor(armored: str) -> bytes:
    return base64.b64decode("".join(armored.split("-----")[2].split()))


def to_sign(message: bytes = MESSAGE) -> bytes:
    """What the key signs (PROTOCOL.sshsig section 3)."""
    parts = (NAMESPACE.encode(), b"", b"sha512", hashlib.sha512(message).digest())
    return b"SSHSIG" + b"".join(map(string, parts))


def sshsig(public_key: bytes, made: bytes, *, reserved: bytes = b"", version: int = 1) -> str:
    """An armored SSHSIG blob; `made` is the whole inner signature."""
    parts = (public_key, NAMESPACE.encode(), reserved, b"sha512", made)
    return armor(b"SSHSIG" + version.to_bytes(4, "big") + b"".join(map(string, parts)))


def we_accept(armored: str, signers: str, name: str = ALICE, revoked: str = "", at: datetime = NOW) -> None:
    """All that an approval goes through. Raises ValueError or BadSignature where it is refused."""
    signature = parse_signature(armored)
    verify_signature(signature, MESSAGE)
    check_signer(signature, name, parse_allowed_signers(signers), parse_revoked(revoked), earliest=at, latest=at)


def do_we_accept(armored: str, signers: str, name: str = ALICE, revoked: str = "", at: datetime = NOW) -> bool:
    try:
        we_accept(armored, signers, name, revoked, at)
    except ValueError:
        return False
    return True


def does_openssh_accept(
    folder: Path, armored: str, signers: str, name: str = ALICE, *, revoked: Path | None = None, at: datetime = NOW
) -> bool:
    """What `ssh-keygen -Y verify` says of the same."""
    (folder / "signature").write_bytes(armored.encode())
    (folder / "allowed_signers").write_bytes(signers.encode())
    files = ["-f", str(folder / "allowed_signers"), "-s", str(folder / "signature")]
    options = ["-I", name, "-n", NAMESPACE, "-O", f"verify-time={at:%Y%m%d%H%M%S}Z"]
    listed = ["-r", str(revoked)] if revoked else []
    return run("-Y", "verify", *files, *options, *listed, message=MESSAGE).returncode == 0
