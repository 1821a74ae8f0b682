"""What counts no more, against what the real ssh-keygen makes of the same list."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.ssh.keys import read_public_key
from bokgu.core.ssh.revocation import Revocations, parse_revoked
from bokgu.core.ssh.signature import BadSignature
from tests.unit.ssh_keygen import ALICE, Key, do_we_accept, does_openssh_accept, must, we_accept


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def words(folder: Path) -> dict[str, str]:
    """What the entries below are filled with."""
    keys = {name: Key(folder / name, "-t", "ed25519") for name in ("key", "ca", "other")}
    certificate = keys["ca"].certify(keys["key"].public, folder, "-z", "42", key_id="desk 7")
    return {
        **{name: key.public for name, key in keys.items()},
        **{f"{name}_print": read_public_key(key.raw).fingerprint for name, key in keys.items()},
        "certificate": certificate,
        "plain_signature": keys["key"].sign(),
        "certified_signature": keys["key"].sign_certified(certificate, folder),
    }


def verdicts(words: dict[str, str], revoked: str) -> tuple[bool, bool]:
    """Whether the plain signature and the certified one count."""
    signers = f"* {words['key']}\n* cert-authority {words['ca']}\n"
    return (
        do_we_accept(words["plain_signature"], signers, ALICE, revoked),
        do_we_accept(words["certified_signature"], signers, ALICE, revoked),
    )


def openssh_verdicts(folder: Path, words: dict[str, str], list_: Path) -> tuple[bool, bool]:
    signers = f"* {words['key']}\n* cert-authority {words['ca']}\n"
    return (
        does_openssh_accept(folder, words["plain_signature"], signers, revoked=list_),
        does_openssh_accept(folder, words["certified_signature"], signers, revoked=list_),
    )


NOTHING, BOTH, CERTIFIED = (True, True), (False, False), (True, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", NOTHING),
        ("# {key}\n\n  \n", NOTHING),
        ("{other}\n", NOTHING),
        ("{key}\n", BOTH),
        ("\t{key} of alice # who left\r\n", BOTH),
        ("{other}\n{key}", BOTH),
        ("{ca}\n", CERTIFIED),
        ("{certificate}\n", BOTH),
    ],
)
def test_s8_a_list_of_keys_revokes_as_in_openssh(
    folder: Path, words: dict[str, str], text: str, expected: tuple[bool, bool]
) -> None:
    revoked = text.format(**words)
    assert verdicts(words, revoked) == expected
    (folder / "revoked").write_text(revoked)
    assert openssh_verdicts(folder, words, folder / "revoked") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key: {key}", BOTH),
        ("KEY:{key}", BOTH),
        ("key: {certificate}", BOTH),
        ("key: {ca}", CERTIFIED),
        ("key: {other}", NOTHING),
        ("sha1: {key}", BOTH),
        ("sha256: {key} a comment", BOTH),
        ("sha256: {ca}", CERTIFIED),
        ("hash: {key_print}", BOTH),
        ("Hash: {ca_print}", CERTIFIED),
        ("hash: {other_print}", NOTHING),
        ("id: desk 7", CERTIFIED),
        ("id:\tdesk 7  # who left", CERTIFIED),
        ("id: desk 70", NOTHING),
        ("id: Desk 7", NOTHING),
        ("serial: 42", CERTIFIED),
        ("SERIAL: 0x2a", CERTIFIED),
        ("serial: 41-43", CERTIFIED),
        ("serial: 42-0x2b", CERTIFIED),
        ("serial: 1-42", CERTIFIED),
        ("serial: 1-18446744073709551615", CERTIFIED),
        ("serial: 43-99", NOTHING),
        ("serial: 1-41\nserial: 43", NOTHING),
        ("id: x\nserial: 1\n{key}", BOTH),
    ],
)
def test_s8_directives_revoke_as_in_a_krl_of_openssh(
    folder: Path, words: dict[str, str], text: str, expected: tuple[bool, bool]
) -> None:
    revoked = text.format(**words)
    assert verdicts(words, revoked) == expected
    (folder / "specification").write_text(f"{revoked}\n")
    must("-q", "-k", "-s", "none", "-f", str(folder / "krl"), str(folder / "specification"))
    assert openssh_verdicts(folder, words, folder / "krl") == expected


@pytest.mark.parametrize(("text", "expected"), [("{key_print}", BOTH), ("{ca_print} \n", CERTIFIED)])
def test_s8_a_bare_fingerprint_revokes(words: dict[str, str], text: str, expected: tuple[bool, bool]) -> None:
    assert verdicts(words, text.format(**words)) == expected


def test_s8_what_is_revoked_is_named(words: dict[str, str]) -> None:
    signers = f"* cert-authority {words['ca']}"
    for entry, said in (
        (words["key"], f"the key {words['key_print']} is revoked"),
        (words["ca"], f"the CA {words['ca_print']} is revoked"),
        ("id: desk 7", "the certificate with id 'desk 7' is revoked"),
        ("serial: 42", "the certificate with serial number 42 is revoked"),
    ):
        with pytest.raises(BadSignature) as refused:
            we_accept(words["certified_signature"], signers, ALICE, entry)
        assert str(refused.value) == f"{said}: sign with another"


def test_serial_zero_is_none(folder: Path, words: dict[str, str]) -> None:
    """It stands for a certificate that has no number, so no range holds it."""
    key, ca = Key(folder / "plain", "-t", "ed25519"), Key(folder / "ca0", "-t", "ed25519")
    armored = key.sign_certified(ca.certify(key.public, folder), folder)
    we_accept(armored, f"* cert-authority {ca.public}", ALICE, "serial: 1-18446744073709551615")


@pytest.mark.parametrize(
    "entry",
    [
        "AAAA",
        "garbage",
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 é",
        "alice {key}",
        "ssh-rsa {key}",
        "{key_print}A",
        "hash: MD5:00:11",
        "hash: {key_print}=",
        "SHA256:abc",
        "sha256:",
        "key: {key_print}x",
        "id:",
        "serial:",
        "serial: 0",
        "serial: 0-5",
        "serial: 0x0",
        "serial: 5-4",
        "serial: -5",
        "serial: 5-",
        "serial: 1-2-3",
        "serial: 052",
        "serial: 4_2",
        "serial: ٤٢",
        "serial: forty",
        "serial: 18446744073709551616",
        "serial: 42 43",
        "id: desk\x077",
        "id: desk\u20287",
        "unknown: {key}",
    ],
)
def test_s6_a_revocation_that_cannot_be_read_is_an_error_with_its_number(words: dict[str, str], entry: str) -> None:
    text = entry.format(**words)
    if entry.startswith("ssh-rsa"):
        text = text.replace("ssh-ed25519 ", "")
    with pytest.raises(ValueError, match=r"^revoked line 2: "):
        parse_revoked(f"# first\n{text}\n")


def test_s6_a_binary_krl_is_refused_with_what_to_do(folder: Path) -> None:
    (folder / "empty").write_text("")
    must("-q", "-k", "-f", str(folder / "binary"), str(folder / "empty"))
    with pytest.raises(ValueError, match="one entry a line"):
        parse_revoked((folder / "binary").read_bytes().decode("latin-1"))


def test_s6_a_line_that_is_commented_out_stays_so() -> None:
    assert parse_revoked("# a\x0bid: x\n#\u2028id: y\n#\rid: z") == Revocations()


PIECES = st.sampled_from(
    ["id:", "serial:", "key:", "hash:", "SHA256:", "ssh-ed25519", "AAAA", " ", "#", "\n", "-", "1", "0x", "99" * 12]
)


@given(st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join))
def test_any_text_is_a_list_of_revocations_or_a_value_error(text: str) -> None:
    with suppress(ValueError):
        parse_revoked(text)


@given(st.data())
def test_s8_no_changed_entry_is_taken_for_another(words: dict[str, str], data: st.DataObject) -> None:
    """It is the same entry, or an error: never silently one of nobody."""
    entry = words["key"]
    begin = data.draw(st.integers(0, len(entry) - 1))
    end = data.draw(st.integers(begin, min(len(entry), begin + 3)))
    changed = entry[:begin] + data.draw(st.text("Aa1+ =", max_size=2)) + entry[end:]
    try:
        found = parse_revoked(changed)
    except ValueError:
        return
    # Another key of the right form may come out where characters of the key itself are changed for as many.
    assert len(found.fingerprints) == 1
    assert len(changed.split()[1]) == len(entry.split()[1])
