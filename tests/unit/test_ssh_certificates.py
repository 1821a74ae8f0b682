"""Signatures with certificates, against those of the real ssh-keygen."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.ssh.allowed_signers import check_signer, parse_allowed_signers
from bokgu.core.ssh.certificates import parse_certificate, read_certificate
from bokgu.core.ssh.revocation import Revocations
from bokgu.core.ssh.signature import BadSignature, parse_signature, verify_signature
from bokgu.core.ssh.wire import Reader
from tests.unit.facts import NOW
from tests.unit.ssh_keygen import (
    ALICE,
    KINDS,
    MESSAGE,
    SK_KINDS,
    Key,
    SecurityKey,
    armor,
    dearmor,
    do_we_accept,
    does_openssh_accept,
    must,
    raw_of,
    sshsig,
    string,
    we_accept,
)

VALID = ("-V", "20261124070000Z:20261124090000Z")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, Key]:
    return {name: Key(folder / name, *kind) for name, kind in KINDS.items()}


@pytest.fixture(scope="module")
def authority(folder: Path) -> Key:
    return Key(folder / "ca", "-t", "ed25519")


def trusting(authority: Key, options: str = "cert-authority", principals: str = "*@example.com") -> str:
    return f"{principals} {options} {authority.public}\n"


@pytest.fixture(scope="module")
def certified(folder: Path, keys: dict[str, Key], authority: Key) -> str:
    """A signature with a certificate for alice, valid for an hour around now."""
    key = keys["ed25519"]
    return key.sign_certified(authority.certify(key.public, folder, *VALID), folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", KINDS)
def test_what_ssh_keygen_signs_with_a_certificate_verifies(
    folder: Path, keys: dict[str, Key], kind: str, by: str
) -> None:
    key, authority = keys[kind], keys[by]
    armored = key.sign_certified(authority.certify(key.public, folder, *VALID), folder)
    we_accept(armored, trusting(authority))
    assert does_openssh_accept(folder, armored, trusting(authority))
    assert parse_signature(armored).fingerprint == parse_signature(key.sign()).fingerprint


@pytest.mark.parametrize("kind", SK_KINDS)
@pytest.mark.parametrize(("options", "flags", "counts"), [
    ((), 0x01, True),
    ((), 0x00, False),
    (("-O", "no-touch-required"), 0x00, False),
    (("-O", "verify-required"), 0x01, False),
    (("-O", "verify-required"), 0x04, False),
    (("-O", "verify-required"), 0x05, True),
])  # fmt: skip
def test_s8_a_certified_security_key_counts_with_touch_and_pin_where_it_is_asked_for(
    *, folder: Path, authority: Key, kind: str, options: tuple[str, ...], flags: int, counts: bool
) -> None:
    key = SecurityKey(kind)
    certificate = authority.certify(key.public, folder, *VALID, *options)
    armored = sshsig(raw_of(certificate), key.press(flags))
    assert do_we_accept(armored, trusting(authority)) is counts
    assert does_openssh_accept(folder, armored, trusting(authority))  # Which looks at neither.


def test_s8_a_plain_key_cannot_have_the_pin_that_its_certificate_asks_for(
    folder: Path, keys: dict[str, Key], authority: Key
) -> None:
    key = keys["ed25519"]
    armored = key.sign_certified(authority.certify(key.public, folder, *VALID, "-O", "verify-required"), folder)
    with pytest.raises(BadSignature, match="security key with its PIN"):
        we_accept(armored, trusting(authority))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("-O", "force-command=/bin/true"), "only for use with force-command"),
        (("-O", "source-address=10.0.0.0/8"), "only for use with source-address"),
        (("-O", "critical:new@example.com"), "only for use with new@example.com"),
        (("-O", "critical:verify-required=x"), "only for use with verify-required"),
        (("-O", "verify-required", "-O", "critical:new@example.com=1"), "PIN|only for use with new"),
    ],
)
def test_s8_a_critical_option_that_cannot_be_kept_refuses(
    folder: Path, keys: dict[str, Key], authority: Key, options: tuple[str, ...], reason: str
) -> None:
    key = keys["ed25519"]
    armored = key.sign_certified(authority.certify(key.public, folder, *VALID, *options), folder)
    with pytest.raises(BadSignature, match=reason):
        we_accept(armored, trusting(authority))
    assert does_openssh_accept(folder, armored, trusting(authority))  # Which does not look at them here.


def test_extensions_do_not_matter(folder: Path, keys: dict[str, Key], authority: Key) -> None:
    key = keys["ed25519"]
    for options in (("-O", "clear"), ("-O", "extension:new@example.com=1", "-O", "permit-pty")):
        we_accept(
            key.sign_certified(authority.certify(key.public, folder, *VALID, *options), folder), trusting(authority)
        )


@pytest.mark.parametrize(
    ("names", "signers", "name", "counts"),
    [
        (ALICE, "*@example.com cert-authority", ALICE, True),
        (f"root,{ALICE}", "*@example.com cert-authority", ALICE, True),
        (ALICE, f"{ALICE} cert-authority", ALICE, True),
        (ALICE, "bob@example.com cert-authority", ALICE, False),
        (ALICE, "*@example.com,!alice* cert-authority", ALICE, False),
        (ALICE, "*@example.com cert-authority", "bob@example.com", False),
        ("root", "*@example.com cert-authority", ALICE, False),
        ("root", "* cert-authority", "root", True),
        ("*@example.com", "*@example.com cert-authority", ALICE, False),
        ("", "*@example.com cert-authority", ALICE, False),
        (ALICE, "*@example.com", ALICE, False),
        (ALICE, '*@example.com cert-authority,namespaces="file"', ALICE, False),
        (ALICE, '*@example.com cert-authority,namespaces="file,bokgu.dev/*"', ALICE, True),
        (ALICE, '*@example.com cert-authority,valid-before="20261124"', ALICE, False),
        (ALICE, '*@example.com CERT-AUTHORITY,valid-after="20261124"', ALICE, True),
    ],
)
def test_s8_a_certificate_counts_for_its_own_principals_that_its_ca_may_name(
    *, folder: Path, keys: dict[str, Key], authority: Key, names: str, signers: str, name: str, counts: bool
) -> None:
    key = keys["ed25519"]
    armored = key.sign_certified(authority.certify(key.public, folder, *VALID, names=names), folder)
    text = f"{signers} {authority.public}\n"
    assert do_we_accept(armored, text, name) is counts
    assert does_openssh_accept(folder, armored, text, name) is counts


def test_s8_a_key_line_admits_no_certificate_and_a_ca_line_no_key(
    folder: Path, keys: dict[str, Key], authority: Key, certified: str
) -> None:
    key = keys["ed25519"]
    for armored, signers in (
        (certified, f"{ALICE} {key.public}\n"),
        (certified, f"{ALICE} cert-authority {key.public}\n"),
        (authority.sign(), trusting(authority)),
        (key.sign(), trusting(authority)),
    ):
        assert not do_we_accept(armored, signers)
        assert not does_openssh_accept(folder, armored, signers)
    with pytest.raises(BadSignature, match="sign without the certificate"):
        we_accept(certified, f"{ALICE} {key.public}\n")


@pytest.mark.parametrize(
    ("earliest", "latest", "counts"),
    [
        ("07:00:00", "08:59:59", True),
        ("06:59:59", "08:00:00", False),
        ("08:00:00", "09:00:00", False),
        ("09:00:01", "09:00:01", False),
        ("06:59:59", "09:00:00", False),
    ],
)
def test_s8_a_certificate_is_valid_by_both_clocks(
    *, folder: Path, authority: Key, certified: str, earliest: str, latest: str, counts: bool
) -> None:
    first, last = (NOW.replace(hour=int(t[:2]), minute=int(t[3:5]), second=int(t[6:])) for t in (earliest, latest))
    signers = parse_allowed_signers(trusting(authority))
    signature = parse_signature(certified)
    verify_signature(signature, MESSAGE)
    if counts:
        check_signer(signature, ALICE, signers, Revocations(), earliest=first, latest=last)
    else:
        with pytest.raises(BadSignature, match="certificate is not valid"):
            check_signer(signature, ALICE, signers, Revocations(), earliest=first, latest=last)
    assert counts is all(does_openssh_accept(folder, certified, trusting(authority), at=at) for at in (first, last))


def test_a_certificate_may_be_valid_for_ever(folder: Path, keys: dict[str, Key], authority: Key) -> None:
    key = keys["ed25519"]
    we_accept(key.sign_certified(authority.certify(key.public, folder), folder), trusting(authority))


def test_s8_a_host_certificate_does_not_count(folder: Path, keys: dict[str, Key], authority: Key) -> None:
    key = keys["ed25519"]
    armored = key.sign_certified(authority.certify(key.public, folder, *VALID, "-h"), folder)
    with pytest.raises(BadSignature, match="not one of a user"):
        we_accept(armored, trusting(authority))
    assert not does_openssh_accept(folder, armored, trusting(authority))


def test_s8_a_ca_with_sha_1_does_not_count(folder: Path, keys: dict[str, Key]) -> None:
    key, authority = keys["ed25519"], keys["rsa"]
    for algorithm, counts in (("rsa-sha2-256", True), ("rsa-sha2-512", True), ("ssh-rsa", False)):
        certificate = authority.certify(key.public, folder, *VALID, "-t", algorithm)
        armored = key.sign_certified(certificate, folder)
        assert do_we_accept(armored, trusting(authority)) is counts
    with pytest.raises(BadSignature, match="'ssh-rsa'"):
        we_accept(armored, trusting(authority))


def test_s8_a_weak_ca_does_not_count(folder: Path, keys: dict[str, Key], tmp_path: Path) -> None:
    weak = Key(tmp_path / "weak", "-t", "rsa", "-b", "1024")
    armored = keys["ed25519"].sign_certified(weak.certify(keys["ed25519"].public, folder, *VALID), folder)
    with pytest.raises(BadSignature, match="certificate does not hold: an RSA key of 1024 bits"):
        we_accept(armored, trusting(weak))


def test_s8_a_ca_that_is_certified_itself_certifies_nobody(
    folder: Path, keys: dict[str, Key], authority: Key, certified: str
) -> None:
    middle = raw_of(authority.certify(keys["nistp256"].public, folder, *VALID))
    parts = split(raw_of(authority.certify(keys["ed25519"].public, folder, *VALID)))
    with pytest.raises(BadSignature, match="unsupported key type"):
        parse_signature(sshsig(join({**parts, "authority": string(middle)}), b""))


# The fields, one by one: what a CA of bad will, or a changed certificate, may hold

SIZES = {"serial": 8, "type": 4, "valid after": 8, "valid before": 8}
FIELDS = (
    *("name", "nonce", "key", "serial", "type", "key id", "principals", "valid after", "valid before"),
    *("critical", "extensions", "reserved", "authority", "signature"),
)


def split(blob: bytes) -> dict[str, bytes]:
    """The fields of a certificate of an Ed25519 key, as they stand in it."""
    reader = Reader(blob)
    parts = {name: reader.take(SIZES[name]) if name in SIZES else string(reader.string()) for name in FIELDS}
    reader.end()
    return parts


def join(parts: dict[str, bytes]) -> bytes:
    return b"".join(parts[name] for name in FIELDS)


class Forger:
    """Alice's key and a CA, both in software, to sign what ssh-keygen would not."""

    def __init__(self, folder: Path, authority: Key) -> None:
        self.person, self.authority = SecurityKey("sk-ed25519"), SecurityKey("sk-ed25519")
        made = raw_of(authority.certify(self.person.public, folder, *VALID))
        reader = Reader(made)
        reader.string(), reader.string()
        begin = reader.position
        reader.string(), reader.string()  # The key and its application.
        self.head, self.key, self.tail = made[:begin], made[begin : reader.position], made[reader.position :]

    def certify(self, **changes: bytes) -> bytes:
        """A certificate with some fields changed, signed anew."""
        parts = split(self.head + string(b"") + self.tail)
        parts |= {"key": self.key, "authority": string(self.authority.raw)}
        parts |= {name.replace("_", " "): value for name, value in changes.items()}
        unsigned = join({**parts, "signature": b""})
        return unsigned + string(self.authority.press(data=unsigned))

    def sign(self, certificate: bytes) -> str:
        return sshsig(certificate, self.person.press())

    @property
    def trusting(self) -> str:
        return f"*@example.com cert-authority {self.authority.public}\n"


@pytest.fixture(scope="module")
def forger(folder: Path, authority: Key) -> Forger:
    return Forger(folder, authority)


def test_a_ca_may_be_a_security_key(folder: Path, forger: Forger) -> None:
    armored = forger.sign(forger.certify())
    we_accept(armored, forger.trusting)
    assert does_openssh_accept(folder, armored, forger.trusting)


def test_s8_a_ca_of_dsa_does_not_count(forger: Forger) -> None:
    with pytest.raises(BadSignature, match="unsupported key type 'ssh-dss'"):
        parse_signature(forger.sign(forger.certify(authority=string(string(b"ssh-dss") + string(b"\1") * 4))))


def option(name: bytes, data: bytes = b"") -> bytes:
    return string(name) + string(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": b"\0\0\0\3"},
        {"type": b"\0\0\0\0"},
        {"reserved": string(b"x")},
        {"principals": string(string(ALICE.encode()) + b"\0")},
        {"principals": string(string(ALICE.encode() + b"\0"))},
        {"principals": string(string(ALICE.encode()) + string(b"a\nb"))},
        {"principals": string(string(ALICE.encode()) + string(b"\xff"))},
        {"principals": string(string(ALICE.encode()) * 257)},
        {"key_id": string(b"a\0b")},
        {"critical": string(option(b"verify-required") * 2)},
        {"critical": string(option(b"verify-required") + b"\0")},
        {"critical": string(string(b"verify-required"))},
        {"critical": string(option(b""))},
        {"extensions": string(option(b"b") + option(b"a"))},
        {"extensions": string(option(b"a") + option(b"a"))},
        {"extensions": string(b"a")},
        {"valid_after": b"\xff" * 8},
        {"valid_before": b"\0" * 8},
        {"authority": string(b"")},
    ],
)
def test_s8_a_certificate_has_one_form_whoever_signed_it(forger: Forger, changes: dict[str, bytes]) -> None:
    with pytest.raises(BadSignature):
        we_accept(forger.sign(forger.certify(**changes)), forger.trusting)


def test_s8_another_ca_cannot_put_in_the_name_of_the_trusted_one(folder: Path, forger: Forger, authority: Key) -> None:
    """Signed by the forger, in whom nobody trusts, it names the CA that is listed."""
    armored = forger.sign(forger.certify(authority=string(authority.raw)))
    assert not do_we_accept(armored, trusting(authority))
    assert not does_openssh_accept(folder, armored, trusting(authority))


def test_s8_the_certificate_of_another_key_does_not_help(
    folder: Path, keys: dict[str, Key], authority: Key, certified: str
) -> None:
    stolen = raw_of(authority.certify(keys["ed25519"].public, folder, *VALID))
    thief = Key(folder / "thief", "-t", "ed25519")
    reader = Reader(dearmor(thief.sign()))
    reader.take(10), reader.string(), reader.string(), reader.string(), reader.string()
    armored = sshsig(stolen, reader.string())
    assert not do_we_accept(armored, trusting(authority))
    assert not does_openssh_accept(folder, armored, trusting(authority))


def test_s8_no_flipped_byte_of_a_certified_signature_verifies(authority: Key, certified: str) -> None:
    whole, signers = dearmor(certified), trusting(authority)
    we_accept(armor(whole), signers)
    for at in range(len(whole)):
        changed = whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :]
        with pytest.raises(BadSignature):
            we_accept(armor(changed), signers)


def test_s8_nothing_cut_short_of_a_certificate_can_be_read(folder: Path, keys: dict[str, Key], authority: Key) -> None:
    line = authority.certify(keys["ed25519"].public, folder)
    blob = raw_of(line)
    assert parse_certificate(*line.split()[:2]).key_id == "id"
    for length in range(len(blob)):
        with pytest.raises(ValueError, match=r"."):
            read_certificate(blob[:length])
    with pytest.raises(ValueError, match="trailing"):
        read_certificate(blob + b"\0")
    with pytest.raises(ValueError, match="not of type"):
        parse_certificate("ssh-rsa-cert-v01@openssh.com", line.split()[1])


@given(st.data())
def test_s12_no_changed_certificate_is_accepted_nor_anything_else_raised(
    authority: Key, certified: str, data: st.DataObject
) -> None:
    whole = dearmor(certified)
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 8)))
    put = data.draw(st.binary(max_size=8) | st.sampled_from([whole[begin:end] * 2, b"\0" * 4, b"\xff" * 4]))
    changed = whole[:begin] + put + whole[end:]
    try:
        we_accept(armor(changed), trusting(authority))
    except BadSignature:
        assert changed != whole
    else:
        assert changed == whole


@given(st.data())
def test_s12_any_fields_are_a_certificate_or_a_value_error(forger: Forger, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(FIELDS[:-1]), max_size=3, unique=True))
    changes = {
        name.replace(" ", "_"): data.draw(
            st.binary(min_size=SIZES[name], max_size=SIZES[name])
            if name in SIZES
            else st.binary(max_size=40).map(string)
        )
        for name in names
    }
    with suppress(BadSignature):
        we_accept(forger.sign(forger.certify(**changes)), forger.trusting)


def test_ssh_keygen_shows_what_is_read_here(folder: Path, keys: dict[str, Key], authority: Key) -> None:
    line = authority.certify(
        keys["nistp521"].public, folder, *VALID, "-z", "42", names=f"{ALICE},root", key_id="desk 7"
    )
    certificate = parse_certificate(*line.split()[:2])
    (folder / "shown.pub").write_text(line)
    shown = must("-L", "-f", str(folder / "shown.pub"))
    assert f'Key ID: "{certificate.key_id}"' in shown
    assert f"Serial: {certificate.serial}\n" in shown
    assert certificate.key.fingerprint in shown
    assert certificate.authority.fingerprint in shown
    assert certificate.principals == (ALICE, "root")
    assert (certificate.valid_after, certificate.valid_before) == (
        int((NOW - timedelta(hours=1)).timestamp()),
        int((NOW + timedelta(hours=1)).timestamp()),
    )
