import base64
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.ssh_signature import (
    NAMESPACE,
    AllowedSigner,
    BadSignature,
    Signature,
    find_principals,
    parse_allowed_signers,
    parse_revoked,
    parse_signature,
    verify_signature,
)
from tests.unit.facts import NOW

MESSAGE = b"bokgu.dev/approval v1\ndigest: sha256:00\n"
KINDS = {
    "ed25519": ("-t", "ed25519"),
    "nistp256": ("-t", "ecdsa", "-b", "256"),
    "nistp384": ("-t", "ecdsa", "-b", "384"),
    "nistp521": ("-t", "ecdsa", "-b", "521"),
    "rsa": ("-t", "rsa", "-b", "2048"),
}
BEGIN, END = "-----BEGIN SSH SIGNATURE-----\n", "\n-----END SSH SIGNATURE-----\n"


class Key:
    """A key pair of the real ssh-keygen."""

    def __init__(self, path: Path, *kind: str) -> None:
        self.path = path
        subprocess.run(["ssh-keygen", "-q", *kind, "-N", "", "-C", "", "-f", str(path)], check=True)
        self.public = path.with_name(f"{path.name}.pub").read_text().strip()

    @property
    def raw(self) -> bytes:
        return base64.b64decode(self.public.split()[1])

    def sign(self, message: bytes = MESSAGE, namespace: str = NAMESPACE, *options: str) -> str:
        command = ["ssh-keygen", "-Y", "sign", "-n", namespace, *options, "-f", str(self.path)]
        return subprocess.run(command, input=message, capture_output=True, check=True).stdout.decode()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Key]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: Key(folder / name, *kind) for name, kind in KINDS.items()}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Key:
    return Key(tmp_path_factory.mktemp("other") / "key", *KINDS["ed25519"])


@pytest.fixture(scope="module")
def signed(keys: dict[str, Key]) -> dict[str, str]:
    return {name: key.sign() for name, key in keys.items()}


def armor(blob: bytes) -> str:
    return BEGIN + base64.encodebytes(blob).decode().strip() + END


def dearmor(armored: str) -> bytes:
    return base64.b64decode("".join(armored.split("-----")[2].split()))


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def blob(public_key: bytes, algorithm: bytes, inner: bytes, *, trailing: bytes = b"") -> bytes:
    """An SSHSIG blob (PROTOCOL.sshsig)."""
    parts = (public_key, NAMESPACE.encode(), b"", b"sha512", string(algorithm) + string(inner) + trailing)
    return b"SSHSIG" + (1).to_bytes(4, "big") + b"".join(map(string, parts))


def check(armored: str, signers: tuple[AllowedSigner, ...], revoked: frozenset[bytes] = frozenset()) -> tuple[str, ...]:
    """All that an approval goes through."""
    signature = parse_signature(armored)
    verify_signature(signature, MESSAGE)
    return find_principals(signature, signers, revoked, at=NOW)


def listed(key: Key, options: str = "", principals: str = "alice@example.com") -> tuple[AllowedSigner, ...]:
    return parse_allowed_signers(f"{principals} {options} {key.public}\n")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hash_", ["sha256", "sha512"])
def test_what_ssh_keygen_signs_verifies(keys: dict[str, Key], kind: str, hash_: str) -> None:
    key = keys[kind]
    armored = key.sign(MESSAGE, NAMESPACE, "-O", f"hashalg={hash_}")
    assert check(armored, listed(key)) == ("alice@example.com",)
    assert check("\n " + armored.replace("\n", "\r\n") + "\n", listed(key)) == ("alice@example.com",)


@pytest.mark.parametrize("kind", KINDS)
def test_s8_another_message_namespace_or_key_does_not_verify(keys: dict[str, Key], other: Key, kind: str) -> None:
    key = keys[kind]
    for armored in (key.sign(b"another"), key.sign(namespace="file"), key.sign(namespace=f"{NAMESPACE}x")):
        with pytest.raises(BadSignature):
            check(armored, listed(key))
    with pytest.raises(BadSignature, match="not in allowed_signers"):
        check(key.sign(), listed(other))


@pytest.mark.parametrize("kind", KINDS)
def test_s8_no_flipped_byte_verifies(keys: dict[str, Key], signed: dict[str, str], kind: str) -> None:
    whole = dearmor(signed[kind])
    signers = listed(keys[kind])
    for at in range(len(whole)):
        changed = whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :]
        with pytest.raises(BadSignature):
            check(armor(changed), signers)


@pytest.mark.parametrize("kind", KINDS)
def test_s8_nothing_cut_short_or_longer_verifies(keys: dict[str, Key], signed: dict[str, str], kind: str) -> None:
    whole = dearmor(signed[kind])
    signers = listed(keys[kind])
    for length in range(len(whole)):
        with pytest.raises(BadSignature):
            check(armor(whole[:length]), signers)
    for tail in (b"\0", b"\0\0\0\0", b"x" * 4096):
        with pytest.raises(BadSignature):
            check(armor(whole + tail), signers)


@pytest.mark.parametrize("kind", KINDS)
def test_s8_bytes_after_the_inner_signature_do_not_verify(
    keys: dict[str, Key], signed: dict[str, str], kind: str
) -> None:
    parsed = parse_signature(signed[kind])
    signers = listed(keys[kind])
    algorithm = parsed.algorithm.encode()
    # Built by hand and unchanged it would be fine, so that only the trailing bytes can be at fault.
    reserve = parse_signature(armor(blob(parsed.public_key, algorithm, parsed.blob)))
    assert reserve == replace(parsed, hash_algorithm="sha512")
    for bad in (
        blob(parsed.public_key, algorithm, parsed.blob, trailing=b"\0"),
        blob(parsed.public_key, algorithm, parsed.blob + b"\0"),
        blob(parsed.public_key + b"\0", algorithm, parsed.blob),
    ):
        with pytest.raises(BadSignature):
            check(armor(bad), signers)


@pytest.mark.parametrize(
    "armored",
    [
        "",
        "garbage",
        BEGIN + END,
        BEGIN + "!!!!" + END,
        BEGIN + "QUJ" + END,
        BEGIN + "U1NI=U0lH" + END,
        armor(b"SSHSIG"),
        armor(b"SSHSIG\0\0\0\2"),
        armor(b"SSHSIG\0\0\0\1\xff\xff\xff\xff"),
        armor(b"\0" * 6000),
    ],
)
def test_s8_what_is_no_signature_is_refused(armored: str) -> None:
    with pytest.raises(BadSignature):
        check(armored, ())


def test_s12_no_signature_that_the_schema_admits_takes_long_to_refuse() -> None:
    begun = time.process_time()
    with pytest.raises(BadSignature):
        parse_signature(BEGIN + " " * 800 + "!")  # Of 8192 admitted characters; cubic time would take 1000 times this.
    assert time.process_time() - begun < 0.05


@pytest.mark.parametrize(
    ("key_type", "rest"),
    [
        (b"sk-ecdsa-sha2-nistp256@openssh.com", string(b"nistp256") + string(b"\4" + b"\1" * 64) + string(b"ssh:")),
        (b"sk-ssh-ed25519@openssh.com", string(b"\1" * 32) + string(b"ssh:")),
        (b"ssh-ed25519", string(b"\1" * 31)),
        (b"ssh-ed25519", b""),
        (b"ssh-dss", string(b"\1") * 4),
        (b"ssh-rsa", string(b"\3") + string(b"\0")),
        (b"ecdsa-sha2-nistp256", string(b"nistp256") + string(b"\4" + b"\0" * 64)),
        (b"ssh-ed25519-cert-v01@openssh.com", string(b"n") + string(b"\1" * 32)),
        (b"\xff\n \0", b""),
        (b"", b""),
    ],
)
def test_s12_a_strange_key_is_a_bad_signature_and_nothing_else(key_type: bytes, rest: bytes) -> None:
    for inner in (b"\1" * 64, string(b"\1") + string(b"\1")):
        with pytest.raises(BadSignature):
            check(armor(blob(string(key_type) + rest, key_type, inner)), ())


def test_s12_a_security_key_on_a_real_curve_is_a_bad_signature_and_nothing_else(keys: dict[str, Key]) -> None:
    point = keys["nistp256"].raw[-65:]
    key_type = b"sk-ecdsa-sha2-nistp256@openssh.com"
    public = string(key_type) + string(b"nistp256") + string(point) + string(b"ssh:")
    with pytest.raises(BadSignature):
        check(armor(blob(public, key_type, string(b"\1") + string(b"\1"))), ())


def test_s8_a_weak_rsa_key_does_not_count(tmp_path: Path) -> None:
    weak = Key(tmp_path / "weak", "-t", "rsa", "-b", "1024")
    with pytest.raises(BadSignature, match="unsupported key"):
        check(weak.sign(), listed(weak))


@pytest.mark.parametrize("name", ["sha1", "md5", "ssh-rsa", "none", ""])
def test_s8_an_algorithm_that_is_not_listed_does_not_count(signed: dict[str, str], name: str) -> None:
    parsed = parse_signature(signed["rsa"])
    for changed in (replace(parsed, hash_algorithm=name), replace(parsed, algorithm=name)):
        with pytest.raises(BadSignature, match="unsupported"):
            verify_signature(changed, MESSAGE)


# Who may sign


def date(**delta: float) -> str:
    return (NOW + timedelta(**delta)).strftime("%Y%m%d%H%M%S") + "Z"


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ("", True),
        (f'namespaces="{NAMESPACE}"', True),
        (f'namespaces="file,{NAMESPACE}"', True),
        ('namespaces="file"', False),
        ('namespaces=""', False),
        (f'valid-after="{date(seconds=0)}"', True),
        (f'valid-after="{date(seconds=1)}"', False),
        (f'valid-before="{date(seconds=1)}"', True),
        (f'valid-before="{date(seconds=0)}"', False),
        (f'valid-after="{date(days=-1)}",valid-before="{date(days=1)}"', True),
        (f'VALID-BEFORE="{date(days=-1)}"', False),
        ('valid-after="20261124"', True),
        ('valid-before="202611240801"', True),
        ('valid-before="20261124"', False),
    ],
)
def test_s8_a_key_counts_only_when_and_for_what_it_is_listed(
    keys: dict[str, Key], signed: dict[str, str], options: str, counts: bool
) -> None:
    signers = listed(keys["ed25519"], options)
    if counts:
        assert check(signed["ed25519"], signers)
    else:
        with pytest.raises(BadSignature, match="does not admit"):
            check(signed["ed25519"], signers)


def test_s8_a_revoked_key_does_not_count(keys: dict[str, Key], signed: dict[str, str]) -> None:
    revoked = parse_revoked(f"# gone\n\n{keys['ed25519'].public} alice\n")
    with pytest.raises(BadSignature, match="revoked"):
        check(signed["ed25519"], listed(keys["ed25519"]), revoked)
    assert check(signed["rsa"], listed(keys["rsa"]), revoked)


def test_a_key_speaks_for_the_principals_of_all_its_lines(keys: dict[str, Key], signed: dict[str, str]) -> None:
    key = keys["ed25519"]
    signers = listed(key, principals="alice,admin") + listed(key, principals='"bob"') + listed(key, 'namespaces="x"')
    assert check(signed["ed25519"], signers) == ("alice", "admin", "bob")


def test_comments_and_empty_lines_are_skipped(keys: dict[str, Key]) -> None:
    text = f"# people\n\n  \nalice@example.com {keys['rsa'].public} a comment\n"
    assert [s.principals for s in parse_allowed_signers(text)] == [("alice@example.com",)]


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        "alice ssh-ed25519",
        "alice ssh-ed25519 !!!!",
        "alice AAAA",
        "alice cert-authority ssh-ed25519 AAAA",
        "alice namespaces=file ssh-ed25519 AAAA",
        'alice valid-before="2026" ssh-ed25519 AAAA',
        'alice valid-before="" ssh-ed25519 AAAA',
        'alice valid-before="20261324" ssh-ed25519 AAAA',
        'alice valid-after="tomorrow" ssh-ed25519 AAAA',
        'alice valid-before="20260101 ssh-ed25519 AAAA',
        "alice ssh-ed25519 é",
    ],
)
def test_s6_a_line_that_cannot_be_read_is_an_error_with_its_number(line: str) -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse_allowed_signers(f"# first\n{line}\n")


@pytest.mark.parametrize("line", ["AAAA", "ssh-ed25519", "ssh-ed25519 !!!!", "alice ssh-ed25519 AAAA", "ssh-ed25519 é"])
def test_s6_a_revocation_that_cannot_be_read_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_revoked(line)


def test_s6_a_revocation_without_its_key_type_is_no_other_key(keys: dict[str, Key]) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_revoked(f"{keys['ed25519'].public.split()[1]} bobs")


# Whatever else there is


WORDS = [
    *[
        "alice",
        "a,b",
        "ssh-ed25519",
        "ssh-rsa",
        "AAAA",
        "AAA",
        "#",
        "=",
        ",",
        "cert-authority",
        "é",
        "2026",
        "20261124Z",
        "namespaces",
    ],
    *("valid-before=", 'valid-after="20261124"', 'valid-before="2026"', 'namespaces="x"', '"'),
]
LINES = st.lists(st.sampled_from([*WORDS, "\t", "\n", "\x0b"]) | st.text(max_size=4), max_size=10).flatmap(
    lambda words: st.sampled_from([" ".join(words), "".join(words)])
)


@given(LINES)
@pytest.mark.parametrize("parse", [parse_allowed_signers, parse_revoked])
def test_any_text_is_a_list_of_keys_or_a_value_error(parse: Callable[[str], object], text: str) -> None:
    with suppress(ValueError):
        parse(text)


@given(
    st.text(max_size=200)
    | st.text("AB=\n -", max_size=40).map(lambda t: BEGIN + t + END)
    | st.binary(max_size=200).map(armor)
)
def test_any_text_is_a_signature_or_a_bad_one(text: str) -> None:
    with suppress(BadSignature):
        parse_signature(text)


TYPES = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com"]


@given(
    key_type=st.sampled_from(TYPES) | st.text(max_size=6),
    key=st.binary(max_size=80)
    | st.lists(st.binary(max_size=70), max_size=3).map(lambda parts: b"".join(map(string, parts))),
    algorithm=st.sampled_from([*TYPES, "rsa-sha2-256", "rsa-sha2-512"]),
    inner=st.binary(max_size=70) | st.lists(st.binary(max_size=70), max_size=3).map(lambda p: b"".join(map(string, p))),
    hash_algorithm=st.sampled_from(["sha256", "sha512"]),
)
def test_s12_any_signature_without_the_private_key_is_bad_and_nothing_else(
    key_type: str, key: bytes, algorithm: str, inner: bytes, hash_algorithm: str
) -> None:
    public = string(key_type.encode()) + key
    with pytest.raises(BadSignature):
        verify_signature(Signature(public, NAMESPACE, hash_algorithm, algorithm, inner), MESSAGE)
