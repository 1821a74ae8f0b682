"""Keys and certificates that count no more.

Entries, one a line: public keys as in a .pub file (`RevokedKeys` of sshd_config(5)), fingerprints, and the directives
of KEY REVOCATION LISTS of ssh-keygen(1).
"""

import re
from dataclasses import dataclass

from bokgu.core.ssh.certificates import CERTIFICATE_TYPES, Certificate, parse_certificate
from bokgu.core.ssh.keys import PublicKey, parse_public_key

_BINARY = "SSHKRL\n"
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_DIRECTIVE = re.compile(r"(key|sha1|sha256|hash|id|serial):[ \t]*(.+)", re.IGNORECASE)
_SERIALS = re.compile(r"([1-9][0-9]{0,19}|0x[0-9a-f]{1,16})(?:-([1-9][0-9]{0,19}|0x[0-9a-f]{1,16}))?", re.IGNORECASE)
_MAX_SERIAL = 2**64 - 1


@dataclass(frozen=True)
class Revocations:
    """What is revoked: keys by fingerprint, certificates of any CA by key id and by serial number."""

    fingerprints: frozenset[str] = frozenset()
    key_ids: frozenset[str] = frozenset()
    serials: tuple[range, ...] = ()

    def find(self, key: PublicKey, certificate: Certificate | None) -> str | None:
        """What is revoked of a signature by that key, with that certificate. None: nothing."""
        if key.fingerprint in self.fingerprints:
            return f"the key {key.fingerprint}"
        if certificate is None:
            return None
        if certificate.authority.fingerprint in self.fingerprints:
            return f"the CA {certificate.authority.fingerprint}"
        if certificate.key_id in self.key_ids:
            return f"the certificate with id {certificate.key_id!r}"
        if any(certificate.serial in serials for serials in self.serials):
            return f"the certificate with serial number {certificate.serial}"
        return None


def parse_revoked(text: str) -> Revocations:
    """Read a list of revocations. A line that cannot be read raises ValueError with its number.

    `#` begins a comment. A certificate that is listed stands for its key. `id:` and `serial:` go for certificates of
    every CA, as in a list made with `ssh-keygen -k -s none`.
    """
    if text.startswith(_BINARY):
        raise ValueError("revoked is a binary KRL: write what was given to ssh-keygen -k instead, one entry a line")
    fingerprints, key_ids, serials = set(), set(), []
    for number, line in enumerate(text.split("\n"), 1):
        entry = line.split("#", maxsplit=1)[0].strip(" \t\r")
        if not entry:
            continue
        try:
            match _split_entry(entry):
                case "id", key_id:
                    key_ids.add(key_id)
                case "serial", numbers:
                    serials.append(_parse_serials(numbers))
                case _, key:
                    fingerprints.add(_parse_key(key))
        except ValueError as error:
            raise ValueError(f"revoked line {number}: {error}") from error
    return Revocations(frozenset(fingerprints), frozenset(key_ids), tuple(serials))


def _split_entry(entry: str) -> tuple[str, str]:
    """Directive and the rest. A fingerprint could pass for a directive, which may be in capitals."""
    if not entry.replace("\t", " ").isprintable():
        raise ValueError("there is a character in it that cannot be seen")
    match = _DIRECTIVE.fullmatch(entry)
    if match is None or _FINGERPRINT.fullmatch(entry):
        return "key", entry
    return match[1].lower(), match[2]


def _parse_serials(text: str) -> range:
    match = _SERIALS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no serial number and no range of them: write N or N-M, from 1 on")
    low, high = int(match[1], 0), int(match[2] or match[1], 0)
    if not 0 < low <= high <= _MAX_SERIAL:
        raise ValueError(f"{text!r} is no range of serial numbers of 64 bits, from 1 on")
    return range(low, high + 1)


def _parse_key(text: str) -> str:
    """The fingerprint of what is listed by key, certificate or fingerprint."""
    if _FINGERPRINT.fullmatch(text):
        return text
    type_, *fields = text.split()
    if not fields:
        raise ValueError("write a public key as in a .pub file, SHA256:…, id: … or serial: …")
    if type_ in CERTIFICATE_TYPES:
        return parse_certificate(type_, fields[0]).key.fingerprint
    return parse_public_key(type_, fields[0]).fingerprint
