"""Who may sign with which key: an `allowed_signers` file. Format: ALLOWED SIGNERS of ssh-keygen(1)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from bokgu.core.ssh.certificates import CERTIFICATE_TYPES
from bokgu.core.ssh.keys import KEY_TYPES, PublicKey, parse_public_key
from bokgu.core.ssh.patterns import PatternList, parse_patterns
from bokgu.core.ssh.revocation import Revocations
from bokgu.core.ssh.signature import NAMESPACE, BadSignature, Signature

_PRINCIPALS = re.compile(r'(?:"([^"]+)"|([^" \t]+))[ \t]+')
_OPTION = r'[A-Za-z-]+(?:="[^"\\]*")?'
_OPTIONS = re.compile(rf"({_OPTION}(?:,{_OPTION})*)[ \t]+")
_NAMED = re.compile(r'([A-Za-z-]+)(?:="([^"]*)")?')
_VALUED = frozenset({"namespaces", "valid-after", "valid-before"})
_FLAG = "cert-authority"
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:([0-9]{2})([0-9]{2})([0-9]{2})?)?Z?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class AllowedSigner:
    """One line: names, and a key that may sign for them, or a CA whose certificates may. `valid_*` are inclusive."""

    line: int
    principals: PatternList
    key: PublicKey
    is_authority: bool
    namespaces: PatternList | None
    valid_after: datetime | None
    valid_before: datetime | None

    def lists(self, signature: Signature) -> bool:
        """Whether the line is about the signature's key; about its CA and not the key, where it has a certificate."""
        if signature.certificate is None:
            return not self.is_authority and self.key == signature.key
        return self.is_authority and self.key == signature.certificate.authority

    def find_problem(self, *, earliest: datetime, latest: datetime) -> str | None:
        """Why the line admits no approval at some time between the two; None where it does at all of them."""
        if self.namespaces is not None and not self.namespaces.matches(NAMESPACE):
            return f"line {self.line} is only for signatures in {self.namespaces}, not in {NAMESPACE}"
        if self.valid_after is not None and earliest < self.valid_after:
            return f"line {self.line} is not valid before {self.valid_after:%Y-%m-%dT%H:%M:%SZ}"
        if self.valid_before is not None and latest > self.valid_before:
            return f"line {self.line} was valid until {self.valid_before:%Y-%m-%dT%H:%M:%SZ}"
        return None


def parse_allowed_signers(text: str) -> tuple[AllowedSigner, ...]:
    """Read an allowed_signers file. A line that cannot be read raises ValueError with its number: a trust root that is
    half understood is not one. Dates are in UTC, with or without a Z."""
    signers = []
    # Not splitlines(), which would also end a comment where OpenSSH and people do not.
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip(" \t\r")
        if stripped and not stripped.startswith("#"):
            try:
                signers.append(_parse_signer(number, stripped))
            except ValueError as error:
                raise ValueError(f"allowed_signers line {number}: {error}") from error
    return tuple(signers)


def _parse_signer(number: int, line: str) -> AllowedSigner:
    if not line.replace("\t", " ").isprintable():
        raise ValueError("there is a character in it that cannot be seen")
    principals = _PRINCIPALS.match(line)
    if principals is None:
        raise ValueError("write it as: PRINCIPALS [OPTIONS] KEY-TYPE BASE64-KEY")
    options, type_, encoded = _split_key(line[principals.end() :])
    valid_after, valid_before = _parse_date(options.get("valid-after")), _parse_date(options.get("valid-before"))
    if valid_after and valid_before and valid_before <= valid_after:
        raise ValueError("valid-before is not after valid-after")
    return AllowedSigner(
        line=number,
        principals=parse_patterns(principals[1] or principals[2]),
        key=parse_public_key(type_, encoded),
        is_authority=_FLAG in options,
        namespaces=parse_patterns(options["namespaces"]) if "namespaces" in options else None,
        valid_after=valid_after,
        valid_before=valid_before,
    )


def _split_key(text: str) -> tuple[dict[str, str], str, str]:
    """Options, type and base64 of the key; a comment may follow."""
    options: dict[str, str] = {}
    written = _OPTIONS.match(text)
    if text.split(maxsplit=1)[0] not in KEY_TYPES and written is not None:
        options = _parse_options(written[1])
        text = text[written.end() :]
    type_, *rest = text.split()
    if type_ in CERTIFICATE_TYPES:
        # OpenSSH takes one without a look at its dates and principals.
        raise ValueError("it lists a certificate: list its CA with cert-authority")
    if type_ not in KEY_TYPES:
        raise ValueError(f"{type_!r} is no key type or option that is read here")
    if not rest:
        raise ValueError("it lacks the key")
    return options, type_, rest[0]


def _parse_options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for match in _NAMED.finditer(text):
        name, value = match[1].lower(), match[2]
        if name not in ({_FLAG} if value is None else _VALUED):
            raise ValueError(f"{match[0]!r} is no key type or option that is read here")
        if name in options:
            raise ValueError(f"there is more than one {name}")
        options[name] = value or ""
    return options


def _parse_date(text: str | None) -> datetime | None:
    """YYYYMMDD[HHMM[SS]][Z], after 1970 began, as OpenSSH wants it."""
    if text is None:
        return None
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no date: write YYYYMMDD[HHMM[SS]][Z]")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    date = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    if date <= _EPOCH:
        raise ValueError(f"{text!r} is before 1970")
    return date


def check_signer(
    signature: Signature,
    name: str,
    signers: tuple[AllowedSigner, ...],
    revoked: Revocations,
    *,
    earliest: datetime,
    latest: datetime,
) -> None:
    """Check that the key of a signature, which `verify_signature` let pass, may sign for `name` now.

    Now is some time from `earliest` to `latest`, by clocks that may disagree: it must be so at all of them. Raises
    BadSignature, whose text says what to do.
    """
    if what := revoked.find(signature.key, signature.certificate):
        raise BadSignature(f"{what} is revoked: sign with another")
    listed = [signer for signer in signers if signer.lists(signature)]
    if not listed:
        raise BadSignature(_say_unlisted(signature, signers))
    named = [signer for signer in listed if signer.principals.matches(name)]
    if not named:
        patterns = ", ".join(dict.fromkeys(str(signer.principals) for signer in listed))
        raise BadSignature(f"allowed_signers has the key for {patterns}, not for {name}: name the approver as listed")
    problems = [signer.find_problem(earliest=earliest, latest=latest) for signer in named]
    if None not in problems:
        raise BadSignature(f"allowed_signers does not admit the key: {'; '.join(filter(None, problems))}")
    if signature.certificate is not None:
        try:
            signature.certificate.check(name, earliest=earliest, latest=latest)
        except ValueError as error:
            raise BadSignature(str(error)) from error


def _say_unlisted(signature: Signature, signers: tuple[AllowedSigner, ...]) -> str:
    if signature.certificate is None:
        return f"the key {signature.fingerprint} is not in allowed_signers: have it listed"
    hint = "have it listed"
    if any(signer.key == signature.key and not signer.is_authority for signer in signers):
        hint = "sign without the certificate, the key itself is listed"
    authority = signature.certificate.authority.fingerprint
    return f"the CA {authority} of the certificate is not in allowed_signers with cert-authority: {hint}"
