"""Reading and verifying of signatures, against those of the real ssh-keygen."""

import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bokgu.core.ssh.keys import KeySignature, PublicKey, read_public_key
from bokgu.core.ssh.signature import NAMESPACE, BadSignature, Signature, parse_signature, verify_signature
from bokgu.core.ssh.wire import Reader, decode_base64
from tests.unit.ssh_keygen import (
    ALICE,
    BEGIN,
    END,
    KINDS,
    MESSAGE,
    SK_KINDS,
    Key,
    SecurityKey,
    armor,
    dearmor,
    do_we_accept,
    does_openssh_accept,
    line,
    mpint,
    must,
    sshsig,
    string,
    to_sign,
    we_accept,
)

ALL_KINDS = (*KINDS, *SK_KINDS)
POINT_AT = -65
"""Where the point of a key on P-256 begins."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, Key | SecurityKey]:
    real = {name: Key(folder / name, *kind) for name, kind in KINDS.items()}
    return {**real, **{kind: SecurityKey(kind) for kind in SK_KINDS}}


def sign(key: Key | SecurityKey) -> str:
    return key.sign() if isinstance(key, Key) else sshsig(key.raw, key.press())


@pytest.fixture(scope="module")
def signed(keys: dict[str, Key | SecurityKey]) -> dict[str, str]:
    return {name: sign(key) for name, key in keys.items()}


def real(key: Key | SecurityKey) -> Key:
    assert isinstance(key, Key)
    return key


# What verifies


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hash_", ["sha256", "sha512"])
def test_what_ssh_keygen_signs_verifies(keys: dict[str, Key | SecurityKey], kind: str, hash_: str) -> None:
    key = real(keys[kind])
    armored = key.sign(MESSAGE, NAMESPACE, "-O", f"hashalg={hash_}")
    for form in (armored, armored.replace("\n", "\r\n"), armored.strip()):
        we_accept(form, f"{ALICE} {key.public}")


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_fingerprint_is_what_ssh_keygen_prints(
    keys: dict[str, Key | SecurityKey], signed: dict[str, str], tmp_path: Path, kind: str
) -> None:
    (tmp_path / "key.pub").write_text(f"{keys[kind].public}\n")
    assert parse_signature(signed[kind]).fingerprint == must("-lf", str(tmp_path / "key.pub")).split()[1]


@pytest.mark.parametrize("kind", KINDS)
def test_s8_another_message_namespace_or_key_does_not_verify(keys: dict[str, Key | SecurityKey], kind: str) -> None:
    key = real(keys[kind])
    for armored in (key.sign(b"another"), key.sign(namespace="file"), key.sign(namespace=f"{NAMESPACE}x")):
        with pytest.raises(BadSignature):
            verify_signature(parse_signature(armored), MESSAGE)
    other = next(other for name, other in keys.items() if name != kind)
    swapped = replace(parse_signature(key.sign()), key=read_public_key(other.raw))
    with pytest.raises(BadSignature):
        verify_signature(swapped, MESSAGE)


# Security keys


@pytest.mark.parametrize("kind", SK_KINDS)
@pytest.mark.parametrize(("flags", "counter"), [(0x01, 0), (0x05, 7), (0x01, 2**32 - 1), (0x81, 1)])
def test_a_touched_security_key_verifies_here_and_in_openssh(
    folder: Path, keys: dict[str, Key | SecurityKey], kind: str, flags: int, counter: int
) -> None:
    key = keys[kind]
    assert isinstance(key, SecurityKey)
    armored, signers = sshsig(key.raw, key.press(flags, counter)), f"{ALICE} {key.public}\n"
    we_accept(armored, signers)
    assert does_openssh_accept(folder, armored, signers)


@pytest.mark.parametrize("kind", SK_KINDS)
@pytest.mark.parametrize("flags", [0x00, 0x04, 0xFE])
def test_s8_a_security_key_that_nobody_touched_proves_no_person(
    folder: Path, keys: dict[str, Key | SecurityKey], kind: str, flags: int
) -> None:
    key = keys[kind]
    assert isinstance(key, SecurityKey)
    armored, signers = sshsig(key.raw, key.press(flags)), f"{ALICE} {key.public}\n"
    with pytest.raises(BadSignature, match="not touched"):
        we_accept(armored, signers)
    assert does_openssh_accept(folder, armored, signers)  # It is right in everything else; we are stricter.


@pytest.mark.parametrize("kind", SK_KINDS)
def test_s8_flags_counter_application_and_message_are_signed(
    folder: Path, keys: dict[str, Key | SecurityKey], kind: str
) -> None:
    key = keys[kind]
    assert isinstance(key, SecurityKey)
    made = key.press(0x01, 7)
    for changed in (
        made[:-5] + b"\x05" + made[-4:],
        made[:-1] + b"\x08",
        key.press(application=b"ssh:other"),
        key.press(data=to_sign(b"another")),
    ):
        armored, signers = sshsig(key.raw, changed), f"{ALICE} {key.public}\n"
        assert not does_openssh_accept(folder, armored, signers)
        with pytest.raises(BadSignature, match="does not hold"):
            we_accept(armored, signers)


def test_s8_a_security_key_for_another_application_is_another_key(keys: dict[str, Key | SecurityKey]) -> None:
    key = keys["sk-ed25519"]
    assert isinstance(key, SecurityKey)
    moved = SecurityKey(key.kind, application=b"ssh:other")
    moved.private = key.private
    with pytest.raises(BadSignature, match="not in allowed_signers"):
        we_accept(sshsig(moved.raw, moved.press()), f"{ALICE} {key.public}")


def test_s8_a_security_key_is_not_taken_for_a_plain_one(keys: dict[str, Key | SecurityKey]) -> None:
    """Its flags would go unseen."""
    key = keys["sk-ed25519"]
    plain = b"ssh-ed25519"
    public, made = key.raw.replace(string(key.raw[4:30]), string(plain)), string(plain) + string(b"\1" * 64)
    for blob in (sshsig(key.raw, made), sshsig(public, made + b"\1\0\0\0\1")):
        assert not do_we_accept(blob, f"{ALICE} {key.public}")


def test_s8_webauthn_is_refused_with_a_reason(keys: dict[str, Key | SecurityKey]) -> None:
    made = (
        string(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com") + string(b"") + b"\1\0\0\0\1" + string(b"https://x") * 3
    )
    with pytest.raises(BadSignature, match="WebAuthn"):
        parse_signature(sshsig(keys["sk-nistp256"].raw, made))


# Weak algorithms


def test_s8_a_weak_rsa_key_does_not_count(tmp_path: Path) -> None:
    weak = Key(tmp_path / "weak", "-t", "rsa", "-b", "1024")
    with pytest.raises(BadSignature, match="1024 bits is too weak"):
        we_accept(weak.sign(), f"{ALICE} {weak.public}")


@pytest.mark.parametrize("name", ["sha1", "md5", "ssh-rsa", "none", ""])
def test_s8_an_algorithm_that_is_not_listed_does_not_count(signed: dict[str, str], name: str) -> None:
    parsed = parse_signature(signed["rsa"])
    made = replace(parsed.made, algorithm=name)
    for changed in (replace(parsed, hash_algorithm=name), replace(parsed, made=made)):
        with pytest.raises(BadSignature, match="unsupported"):
            verify_signature(changed, MESSAGE)


# Forms


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_s8_no_flipped_byte_verifies(keys: dict[str, Key | SecurityKey], signed: dict[str, str], kind: str) -> None:
    whole, signers = dearmor(signed[kind]), f"{ALICE} {keys[kind].public}"
    we_accept(armor(whole), signers)
    for at in range(len(whole)):
        changed = whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :]
        with pytest.raises(BadSignature):
            we_accept(armor(changed), signers)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_s8_nothing_cut_short_or_longer_verifies(
    keys: dict[str, Key | SecurityKey], signed: dict[str, str], kind: str
) -> None:
    whole, signers = dearmor(signed[kind]), f"{ALICE} {keys[kind].public}"
    for length in range(len(whole)):
        with pytest.raises(BadSignature):
            we_accept(armor(whole[:length]), signers)
    for tail in (b"\0", b"\0\0\0\0", b"x" * 4096):
        with pytest.raises(BadSignature):
            we_accept(armor(whole + tail), signers)


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_s8_no_field_has_a_second_form(keys: dict[str, Key | SecurityKey], signed: dict[str, str], kind: str) -> None:
    public, made, signers = keys[kind].raw, inner(signed[kind]), f"{ALICE} {keys[kind].public}"
    we_accept(sshsig(public, made), signers)  # So that only what is changed below can be at fault.
    for changed in (
        sshsig(public, made + b"\0"),
        sshsig(public + b"\0", made),
        sshsig(public, made, reserved=b"\0"),
        sshsig(public, made, version=0),
        sshsig(public, made, version=2),
        f" {sshsig(public, made)}",
        sshsig(public, made).replace(END, "\n" + END + "x"),
        sshsig(public, made).replace("SIGNATURE-----\n", "SIGNATURE----- ", 1),
        sshsig(public, made) + sshsig(public, made),
    ):
        with pytest.raises(BadSignature):
            we_accept(changed, signers)


def inner(armored: str) -> bytes:
    """The inner signature of an SSHSIG blob."""
    reader = Reader(dearmor(armored))
    reader.take(10)
    for _ in range(4):
        reader.string()
    return reader.string()


@pytest.mark.parametrize("kind", ["nistp256", "sk-nistp256"])
def test_s8_numbers_have_one_form(keys: dict[str, Key | SecurityKey], signed: dict[str, str], kind: str) -> None:
    public, made = keys[kind].raw, inner(signed[kind])
    reader = Reader(made)
    algorithm, numbers, rest = reader.string(), Reader(reader.string()), made[reader.position :]
    r, s = numbers.mpint(), numbers.mpint()
    right = mpint(r) + mpint(s)
    we_accept(sshsig(public, string(algorithm) + string(right) + rest), f"{ALICE} {keys[kind].public}")
    for value in (
        string(b"\0\0" + r.to_bytes(32, "big")) + mpint(s),
        right + b"\0",
        mpint(r) + string(s.to_bytes(40, "big")),
        mpint(r) + string(b""),
        string(b"") + string(b""),
        mpint(2**4000) + mpint(s),
        b"\0" * 64,
    ):
        with pytest.raises(BadSignature):
            we_accept(sshsig(public, string(algorithm) + string(value) + rest), f"{ALICE} {keys[kind].public}")


def test_base64_has_one_form() -> None:
    assert decode_base64("QQ==") == b"A"
    for other in ("QR==", "QQ", "QQ=", "QQ===", "Q Q==", "QQ==QQ==", "Q-==", "ＱQ=="):
        with pytest.raises(ValueError, match=r"."):
            decode_base64(other)


@pytest.mark.parametrize(
    "armored",
    [
        "",
        "garbage",
        BEGIN + END,
        BEGIN + END[1:],
        BEGIN + "!!!!" + END,
        BEGIN + "QUJ" + END,
        BEGIN + "U1NI=U0lH" + END,
        BEGIN + "é" + END,
        BEGIN + "\ud800" + END,
        armor(b"SSHSIG"),
        armor(b"SSHSIG\0\0\0\2"),
        armor(b"SSHSIG\0\0\0\1\xff\xff\xff\xff"),
        armor(b"\0" * 6000),
    ],
)
def test_s8_what_is_no_signature_is_refused(armored: str) -> None:
    with pytest.raises(BadSignature):
        parse_signature(armored)


def test_s12_what_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(BadSignature, match="longer than"):
        parse_signature(armor(b"\0" * 60_000))
    for exponent, modulus in ((65537, 2**16384 + 1), (2**64 + 1, 2**2048 + 1)):
        with pytest.raises(ValueError, match="RSA key is too large"):
            read_public_key(string(b"ssh-rsa") + mpint(exponent) + mpint(modulus))


def test_s12_no_signature_that_the_schema_admits_takes_long_to_refuse() -> None:
    begun = time.process_time()
    for filler in (" ", "A", "=", "\n", "-----END SSH SIGNATURE-----\n"):
        with pytest.raises(BadSignature):
            parse_signature(BEGIN + filler * (8000 // len(filler)) + "!")
    assert time.process_time() - begun < 0.2


# Strange keys

BIG_RSA = mpint(2**2000 + 1) + mpint(2**3000 + 1)


@pytest.mark.parametrize(
    ("key_type", "rest"),
    [
        (b"sk-ecdsa-sha2-nistp256@openssh.com", string(b"nistp256") + string(b"\4" + b"\1" * 64) + string(b"ssh:")),
        (b"sk-ssh-ed25519@openssh.com", string(b"\1" * 32)),
        (b"sk-ssh-ed25519@openssh.com", string(b"\1" * 32) + string(b"ssh:")),
        (b"ssh-ed25519", string(b"\1" * 31)),
        (b"ssh-ed25519", string(b"\1" * 33)),
        (b"ssh-ed25519", string(b"\0" * 32)),
        (b"ssh-ed25519", string(b"\xff" * 32)),
        (b"ssh-ed25519", b""),
        (b"ssh-dss", string(b"\1") * 4),
        (b"ssh-rsa", string(b"\3") + string(b"\0")),
        (b"ssh-rsa", string(b"") + string(b"")),
        (b"ssh-rsa", mpint(3) + mpint(2**2048)),
        (b"ssh-rsa", mpint(65537) + mpint(2**20000 + 1)),
        (b"ssh-rsa", mpint(2**64 + 1) + mpint(2**4096 + 1)),
        (b"ssh-rsa", BIG_RSA),
        (b"ecdsa-sha2-nistp256", string(b"nistp256") + string(b"\4" + b"\0" * 64)),
        (b"ecdsa-sha2-nistp256", string(b"nistp256") + string(b"\0")),
        (b"ecdsa-sha2-nistp256", string(b"nistp256") + string(b"")),
        (b"ecdsa-sha2-nistp256", string(b"nistp384") + string(b"\4" + b"\1" * 64)),
        (b"ssh-ed25519-cert-v01@openssh.com", string(b"n") + string(b"\1" * 32)),
        (b"ssh-dss-cert-v01@openssh.com", string(b"n") + string(b"\1" * 32)),
        (b"\xff\n \0", b""),
        (b"", b""),
    ],
)
def test_s12_a_strange_key_is_a_bad_signature_and_nothing_else(key_type: bytes, rest: bytes) -> None:
    for algorithm in (key_type, b"rsa-sha2-512"):
        for made in (b"\1" * 64, b"\1" * 256, mpint(1) + mpint(1)):
            for tail in (b"", b"\1\0\0\0\1"):
                with pytest.raises(BadSignature):
                    verify_signature(
                        parse_signature(sshsig(string(key_type) + rest, string(algorithm) + string(made) + tail)),
                        MESSAGE,
                    )


@pytest.mark.parametrize("kind", ["nistp256", "sk-nistp256"])
def test_s8_a_point_has_one_form_and_is_on_its_curve(keys: dict[str, Key | SecurityKey], kind: str) -> None:
    raw = keys["nistp256"].raw
    point = raw[POINT_AT:]
    parity, other = 2 + point[-1] % 2, bytes([point[-1] ^ 1])
    read_public_key(raw)
    for changed in (
        bytes([parity]) + point[1:33],
        bytes([4 + parity]) + point[1:],
        point[:-1] + other,
        point + b"\0",
        b"\4",
    ):
        with pytest.raises(ValueError, match=r"."):
            read_public_key(raw[: POINT_AT - 4] + string(changed))


def test_s8_the_curve_is_that_of_the_type(keys: dict[str, Key | SecurityKey]) -> None:
    raw = keys["nistp384"].raw
    for name in (b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp521", b"sk-ecdsa-sha2-nistp256@openssh.com"):
        with pytest.raises(ValueError, match=r"."):
            read_public_key(string(name) + raw[4 + 19 :])
    public = read_public_key(raw).key
    assert isinstance(public, EllipticCurvePublicKey)
    assert isinstance(public.curve, SECP384R1)
    with pytest.raises(ValueError, match="curve 'nistp384' is not that of"):
        read_public_key(keys["nistp256"].raw.replace(string(b"nistp256"), string(b"nistp384")))
    point = string(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))
    assert read_public_key(string(b"ecdsa-sha2-nistp384") + string(b"nistp384") + point).blob == raw


def test_every_key_that_is_read_is_written_as_it_was(keys: dict[str, Key | SecurityKey]) -> None:
    for key in keys.values():
        assert line(read_public_key(key.raw).blob) == key.public


# Whatever else there is


@given(
    st.text(max_size=200)
    | st.text("AB=\n -", max_size=40).map(lambda t: BEGIN + t + END)
    | st.binary(max_size=200).map(armor)
)
def test_any_text_is_a_signature_or_a_bad_one(text: str) -> None:
    with suppress(BadSignature):
        parse_signature(text)


@given(st.data())
def test_s12_no_changed_signature_is_accepted_nor_anything_else_raised(
    keys: dict[str, Key | SecurityKey], signed: dict[str, str], data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(ALL_KINDS))
    whole, signers = dearmor(signed[kind]), f"{ALICE} {keys[kind].public}"
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 8)))
    put = data.draw(st.binary(max_size=8) | st.sampled_from([whole[begin:end] * 2, whole[:9], b"\xff" * 4]))
    changed = whole[:begin] + put + whole[end:]
    try:
        we_accept(armor(changed), signers)
    except BadSignature:
        assert changed != whole
    else:
        assert changed == whole


TYPES = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com"]
CERTIFIED = [f"{name.removesuffix('@openssh.com')}-cert-v01@openssh.com" for name in TYPES]
FIELDS = st.lists(st.binary(max_size=70) | st.just(b"nistp256"), max_size=3).map(lambda p: b"".join(map(string, p)))


@given(
    key_type=st.sampled_from(TYPES + CERTIFIED) | st.text(max_size=6),
    key=st.binary(max_size=80) | FIELDS,
    algorithm=st.sampled_from([*TYPES, "rsa-sha2-256", "rsa-sha2-512"]),
    made=st.binary(max_size=70) | FIELDS,
    tail=st.binary(max_size=6),
)
def test_s12_any_signature_without_the_private_key_is_bad_and_nothing_else(
    key_type: str, key: bytes, algorithm: str, made: bytes, tail: bytes
) -> None:
    public = string(key_type.encode()) + key
    with pytest.raises(BadSignature):
        verify_signature(parse_signature(sshsig(public, string(algorithm.encode()) + string(made) + tail)), MESSAGE)


@given(
    exponent=st.integers(0, 2**70),
    modulus=st.integers(0, 2**2100) | st.integers(2**2048, 2**2049),
    value=st.binary(max_size=300) | st.just(b"\1" * 256),
)
def test_s12_any_rsa_numbers_are_a_key_or_a_value_error(exponent: int, modulus: int, value: bytes) -> None:
    blob = string(b"ssh-rsa") + mpint(exponent) + mpint(modulus)
    with pytest.raises(ValueError, match=r"."):
        read_public_key(blob).verify(KeySignature("rsa-sha2-512", value), MESSAGE)


def test_keys_are_equal_by_what_they_say(keys: dict[str, Key | SecurityKey]) -> None:
    first, again = (read_public_key(keys["rsa"].raw) for _ in range(2))
    assert first == again
    assert hash(first) == hash(again)
    assert first != read_public_key(keys["ed25519"].raw)
    assert isinstance(first, PublicKey)
    assert isinstance(parse_signature(sign(keys["rsa"])), Signature)
