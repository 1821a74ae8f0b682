"""Who may sign, against what the real ssh-keygen makes of the same file."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bokgu.core.ssh.allowed_signers import check_signer, parse_allowed_signers
from bokgu.core.ssh.revocation import Revocations
from bokgu.core.ssh.signature import NAMESPACE, BadSignature, parse_signature
from tests.unit.facts import NOW
from tests.unit.ssh_keygen import ALICE, Key, do_we_accept, does_openssh_accept, we_accept


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def key(folder: Path) -> Key:
    return Key(folder / "key", "-t", "ed25519")


@pytest.fixture(scope="module")
def other(folder: Path) -> Key:
    return Key(folder / "other", "-t", "ed25519")


@pytest.fixture(scope="module")
def signed(key: Key) -> str:
    return key.sign()


# What both say of a line; {key} is the signer's, {other} is not


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("alice@example.com {key}", True),
        ("alice@example.com {key} a comment", True),
        ("  alice@example.com\t {key}\r", True),
        ('"alice@example.com" {key}', True),
        ('"bob smith,alice@example.com" {key}', True),
        ("bob,alice@example.com {key}", True),
        ("*@example.com {key}", True),
        ("al?ce@* {key}", True),
        ("*,!alice@* {key}", False),
        ("!bob {key}", False),
        ("bob {key}", False),
        ("Alice@example.com {key}", False),
        ("alice@example.com {other}", False),
        ("alice@example.com {other}\nalice@example.com {key}", True),
        ("bob {key}\nalice@example.com {key}", True),
        ('alice@example.com namespaces="file" {key}\nalice@example.com {key}', True),
        ("# alice@example.com {key}", False),
        ("#\ralice@example.com {key}", False),
        ("#\x0balice@example.com {key}", False),
        ("#\x85alice@example.com {key}", False),
        ("#\u2028alice@example.com {key}", False),
        ("", False),
        ('alice@example.com namespaces="bokgu.dev/approval" {key}', True),
        ('alice@example.com NameSpaces="file,bokgu.dev/approval" {key}', True),
        ('alice@example.com namespaces="bokgu.dev/*" {key}', True),
        ('alice@example.com namespaces="*,!bokgu.dev/*" {key}', False),
        ('alice@example.com namespaces="!file" {key}', False),
        ('alice@example.com namespaces="file" {key}', False),
        ('alice@example.com namespaces="Bokgu.dev/approval" {key}', False),
        ('alice@example.com namespaces="file,a b" {key}', False),
        ("alice@example.com cert-authority {key}", False),
        ('alice@example.com valid-after="20261124080000Z" {key}', True),
        ('alice@example.com valid-after="20261124080001Z" {key}', False),
        ('alice@example.com valid-before="20261124080000Z" {key}', True),
        ('alice@example.com valid-before="20261124075959Z" {key}', False),
        ('alice@example.com VALID-BEFORE="20261123" {key}', False),
        ('alice@example.com valid-before="20261125" {key}', True),
        ('alice@example.com valid-before="20261124Z" {key}', False),
        ('alice@example.com valid-after="20261124" {key}', True),
        ('alice@example.com valid-before="202611240801" {key}', True),
        ('alice@example.com valid-after="202611240801Z" {key}', False),
        ('alice@example.com valid-after="20261123",valid-before="20261125" {key}', True),
        ('alice@example.com valid-after="20261123",valid-before="20261125",namespaces="file" {key}', False),
    ],
)
def test_s8_a_key_counts_for_whom_when_and_for_what_it_is_listed(
    *, folder: Path, key: Key, other: Key, signed: str, text: str, counts: bool
) -> None:
    signers = text.format(key=key.public, other=other.public) + "\n"
    parse_allowed_signers(signers)
    assert do_we_accept(signed, signers) is counts
    assert does_openssh_accept(folder, signed, signers) is counts


# What neither takes, and what we refuse where it is lenient


@pytest.mark.parametrize(
    ("line", "does_openssh"),
    [
        ("alice@example.com", False),
        ("alice@example.com ssh-ed25519", False),
        ("alice@example.com ssh-ed25519 !!!!", False),
        ("alice@example.com AAAA", False),
        ("alice@example.com ssh-ed25519 {blob}A", False),
        ("alice@example.com ssh-rsa {blob}", False),
        ("alice@example.com {blob}", False),
        ("alice@example.com cert-authority", False),
        ("alice@example.com cert-authority ssh-ed25519", False),
        ("alice@example.com namespaces=bokgu.dev/approval {key}", False),
        ("alice@example.com namespaces {key}", False),
        ('alice@example.com cert-authority="x" {key}', False),
        ('alice@example.com namespaces="*",namespaces="*" {key}', False),
        ('alice@example.com valid-after="20260101",valid-after="20260101" {key}', False),
        ('alice@example.com valid-before="20280101",valid-before="20270101" {key}', False),
        ('alice@example.com namespaces="*"valid-after="20260101" {key}', False),
        ('alice@example.com namespaces="*", {key}', False),
        ("alice@example.com no-touch-required {key}", False),
        ('alice@example.com principals="x" {key}', False),
        ('alice@example.com valid-before="2026" {key}', False),
        ('alice@example.com valid-before="" {key}', False),
        ('alice@example.com valid-before="20271324" {key}', False),
        ('alice@example.com valid-before="20270101T00" {key}', False),
        ('alice@example.com valid-before="tomorrow" {key}', False),
        ('alice@example.com valid-before="+1d" {key}', False),
        ('alice@example.com valid-before="20270101 {key}', False),
        ('alice@example.com valid-after="19700101Z" {key}', False),
        ('alice@example.com valid-before="19600101Z" {key}', False),
        ('alice@example.com valid-after="20260101",valid-before="20250101" {key}', False),
        ('alice@example.com valid-after="20260101",valid-before="20260101" {key}', False),
        ('"alice@example.com {key}', False),
        ("alice@example.com\x0b{key}", False),
        ("alice@example.com ssh-dss {blob}", False),
        # OpenSSH takes these, or does not look at the rest of the line.
        ('alice@example.com valid-before="20270231" {key}', True),
        ('alice@example.com valid-before="20270101UTC" {key}', True),
        ('alice@example.com valid-before="20270101z" {key}', True),
        ('alice@example.com ,namespaces="*" {key}', True),
        ('alice@example.com namespaces="*,\\"" {key}', True),
        ("alice@example.com, {key}", True),
        (",alice@example.com {key}", True),
        ('al"ice@example.com" {key}', True),
        ('"alice@example.com"{key}', True),
        ("alice@example.com {key} a\x07b", True),
        ("alice@example.com {key}\nbob garbage", True),
    ],
)
def test_s6_a_line_that_cannot_be_read_is_an_error_with_its_number(
    *, folder: Path, key: Key, signed: str, line: str, does_openssh: bool
) -> None:
    signers = f"# first\n{line.format(key=key.public, blob=key.public.split()[1])}\n"
    with pytest.raises(ValueError, match=r"^allowed_signers line [23]: "):
        parse_allowed_signers(signers)
    assert does_openssh_accept(folder, signed, signers) is does_openssh


def test_s6_two_flags_are_an_error(key: Key) -> None:
    with pytest.raises(ValueError, match="more than one cert-authority"):
        parse_allowed_signers(f"alice cert-authority,CERT-AUTHORITY {key.public}")


def test_s8_a_certificate_on_a_line_is_an_error(folder: Path, key: Key, other: Key) -> None:
    """OpenSSH takes signatures with that one, however long it has expired."""
    certificate = other.certify(key.public, folder, "-V", "20200101:20200102")
    armored = key.sign_certified(certificate, folder)
    for options in ("", "cert-authority "):
        with pytest.raises(ValueError, match="line 1: it lists a certificate"):
            parse_allowed_signers(f"{ALICE} {options}{certificate}\n")
    assert does_openssh_accept(folder, armored, f"{ALICE} {certificate}\n")


def test_s8_a_wider_list_of_options_in_quotes_is_no_key(key: Key) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_allowed_signers(f'alice namespaces="x {key.public}" {key.public.split()[1]}')


# What is read


def test_a_line_is_read_whole(key: Key) -> None:
    text = f'# people\n\n  \n"a b,c" cert-authority,namespaces="x,y",valid-before="202612010930" {key.public} of a\n'
    (signer,) = parse_allowed_signers(text)
    assert signer.line == 4
    assert signer.principals.patterns == ("a b", "c")
    assert signer.key.blob == key.raw
    assert signer.is_authority
    assert str(signer.namespaces) == "x,y"
    assert signer.valid_after is None
    assert signer.valid_before == datetime(2026, 12, 1, 9, 30, tzinfo=UTC)


# Two clocks


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("option", "earliest", "latest", "counts"),
    [
        ('valid-after="20261124080000Z"', NOW, NOW + HOUR, True),
        ('valid-after="20261124080000Z"', NOW - HOUR, NOW, False),
        ('valid-after="20261124080000Z"', NOW - timedelta(microseconds=1), NOW, False),
        ('valid-before="20261124080000Z"', NOW - HOUR, NOW, True),
        ('valid-before="20261124080000Z"', NOW, NOW + HOUR, False),
        ('valid-before="20261124080000Z"', NOW, NOW + timedelta(microseconds=1), False),
    ],
)
def test_s8_doubt_of_the_time_never_admits(
    *, key: Key, signed: str, option: str, earliest: datetime, latest: datetime, counts: bool
) -> None:
    signature, signers = parse_signature(signed), parse_allowed_signers(f"{ALICE} {option} {key.public}")
    if counts:
        check_signer(signature, ALICE, signers, Revocations(), earliest=earliest, latest=latest)
    else:
        with pytest.raises(BadSignature, match=r"line 1 (is not valid before|was valid until) 2026-11-24T08:00:00Z"):
            check_signer(signature, ALICE, signers, Revocations(), earliest=earliest, latest=latest)


# What people are told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alice@example.com {other}", "the key {fingerprint} is not in allowed_signers"),
        ("alice@example.com cert-authority {key}", "the key {fingerprint} is not in allowed_signers"),
        ("bob {key}\n*.org,!x {key}\nbob {key}", r"the key for bob, \*\.org,!x, not for alice@example\.com: "),
        (
            'alice@example.com namespaces="file,git" {key}',
            f"line 1 is only for signatures in file,git, not in {NAMESPACE}",
        ),
        (
            'bob {key}\n*@* valid-before="20260101" {key}\n*@* valid-after="20270101" {key}',
            "line 2 was valid until 2026-01-01T00:00:00Z; line 3 is not valid before 2027-01-01T00:00:00Z",
        ),
    ],
)
def test_who_is_refused_is_told_why(key: Key, other: Key, signed: str, text: str, said: str) -> None:
    fingerprint = parse_signature(signed).fingerprint.replace("+", r"\+")
    with pytest.raises(BadSignature, match=said.format(fingerprint=fingerprint)):
        we_accept(signed, text.format(key=key.public, other=other.public))


# Whatever else there is


PIECES = st.sampled_from(
    [
        "alice@example.com",
        "*",
        "!",
        ",",
        '"',
        " ",
        "\t",
        "\n",
        "#",
        "cert-authority",
        "namespaces=",
        '"bokgu.dev/*"',
        "\\",
        'valid-before="20270101"',
        'valid-after="20270101Z"',
        "ssh-ed25519",
        "ssh-rsa",
        "=",
        "Z",
        "\r",
        "\x0b",
        "\0",
        "é",
    ]
)


@settings(max_examples=150)
@given(st.data())
def test_s8_no_changed_line_admits_what_openssh_does_not(
    folder: Path, key: Key, signed: str, data: st.DataObject
) -> None:
    options = data.draw(st.sampled_from(["", 'namespaces="bokgu.dev/approval" ', 'valid-before="20270101" ']))
    text = f"{data.draw(st.sampled_from(['*', ALICE, 'bob', f'x,{ALICE}']))} {options}{key.public}\n"
    for _ in range(data.draw(st.integers(1, 3))):
        begin = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(begin, min(len(text), begin + 3)))
        text = text[:begin] + data.draw(PIECES | st.text(max_size=2)) + text[end:]
    if do_we_accept(signed, text):
        assert does_openssh_accept(folder, signed, text)


@given(st.lists(PIECES | st.text(max_size=4), max_size=10).map("".join))
def test_any_text_is_a_list_of_signers_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        parse_allowed_signers(text)
