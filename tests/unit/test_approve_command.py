import os
import pty
import select
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bokgu.__main__ import main
from bokgu.commands.approval_file import format_approval, write_approval
from bokgu.commands.approve import MOST_GROUPS, groups_of
from bokgu.commands.ssh_keygen import SigningError, find_comment, find_key, sign_statement
from bokgu.commands.terminal import ask, wants_colour
from bokgu.kube.client import KubeError, current_namespace
from tests.world.people import Person
from tests.world.world import ROOT

STATEMENT = b"bokgu.dev/approval v1\n"
MANIFEST: dict[str, Any] = {
    "metadata": {"name": "plan-1-abcdef"},
    "spec": {"validUntil": "2026-11-24T09:00:00Z", "reason": "장애", "signature": "-----BEGIN\nU1NI\n-----END\n"},
}


# Words


@pytest.mark.parametrize(
    "words",
    [
        ["plan-1", "--role", "Service Owner"],
        ["plan-1", "--valid-for", "0s"],
        ["plan-1", "--valid-for", "9000h"],
        ["plan-1", "--valid-for", "soon"],
        ["plan-1", "--carried-by", "flux"],
        ["plan-1", "--apply", "--out", "approvals"],
        ["plan-1", "--sign", "key", "--carried-by", "flux-system:kustomize-controller"],
        [],
    ],
)
def test_words_that_cannot_be_meant_are_refused_before_anything_is_read(words: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["approve", *words])
    assert refused.value.code == 2


def test_what_another_account_carries_is_not_created_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approve", "plan-1", "--carried-by", "flux-system:kustomize-controller", "--apply"]) == 2
    assert "--out" in capsys.readouterr().err


def test_a_key_that_is_not_there_is_told_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["approve", "plan-1", "--sign", "/none/id"]) == 1
    assert "there is no key /none/id" in capsys.readouterr().err


def test_the_groups_of_an_approver_are_those_that_people_are_put_in() -> None:
    many = tuple(f"g{number}" for number in range(70))
    assert groups_of(("system:authenticated", "g" * 64, *many)) == many[:MOST_GROUPS]


@pytest.mark.parametrize(
    ("context", "namespace"), [({"namespace": "shop"}, "shop"), ({}, "default"), ({"namespace": ""}, "default")]
)
def test_the_namespace_is_that_of_the_context(
    context: dict[str, str], namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = {"cluster": "c", "user": "u"}
    contexts = [
        {"name": "other", "context": {**who, "namespace": "other"}},
        {"name": "mine", "context": {**who, **context}},
    ]
    config = {
        "current-context": "mine",
        "contexts": contexts,
        "clusters": [{"name": "c", "cluster": {}}],
        "users": [{"name": "u", "user": {}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert current_namespace() == namespace


def test_a_kubeconfig_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("{}")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(KubeError, match="config"):
        current_namespace()


# The terminal


def test_nobody_is_asked_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115 - closed with the test
    assert not ask("Approve as service_owner?")
    sys.stdin.close()
    assert "--yes" in capsys.readouterr().err


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    _, inner = pty.openpty()
    with open(inner, "w") as terminal, open(os.devnull, "w") as nothing:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        assert (wants_colour(terminal), wants_colour(nothing)) == (True, False)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not wants_colour(terminal)


# The file


def test_a_file_is_written_once_and_never_over_another(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "new" / "one"
    path, new = write_approval(MANIFEST, folder)
    assert (path, new) == (folder / "plan-1-abcdef.yaml", True)
    assert write_approval(MANIFEST, folder) == (path, False)
    other = {**MANIFEST, "spec": {}}
    with pytest.raises(FileExistsError, match="nothing is overwritten"):
        write_approval(other, folder)
    assert yaml.safe_load(path.read_text()) == MANIFEST


def test_a_signature_stands_line_by_line() -> None:
    text = format_approval(MANIFEST)
    assert "  signature: |\n    -----BEGIN\n    U1NI\n    -----END\n" in text
    assert "reason: 장애" in text
    assert yaml.safe_load(text) == MANIFEST


# Signing


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return Person.create("alice@example.com", tmp_path_factory.mktemp("alice"))


def test_the_fingerprint_of_a_signature_is_that_of_the_key(alice: Person) -> None:
    armored, fingerprint = sign_statement(STATEMENT, find_key(str(alice.key)))
    assert armored.startswith("-----BEGIN SSH SIGNATURE-----\n")
    listed = subprocess.run(["ssh-keygen", "-l", "-f", str(alice.key)], capture_output=True, text=True, check=True)
    assert fingerprint in listed.stdout.split()
    assert find_comment(alice.key) == find_comment(alice.key.with_name("alice.pub")) == "alice@example.com"
    assert find_comment(alice.key.with_name("nobody")) is None


def test_a_key_in_an_agent_is_named_by_its_public_half(
    alice: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = tmp_path / "alone.pub"
    public.write_text(f"{alice.public_key} alice\n")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(SigningError, match="did not sign"):
        sign_statement(STATEMENT, public)
    socket = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL) as agent:
        try:
            deadline = time.monotonic() + 10
            while not socket.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
            subprocess.run(["ssh-add", "-q", str(alice.key)], check=True, capture_output=True)
            assert sign_statement(STATEMENT, public)[0].startswith("-----BEGIN SSH SIGNATURE-----")
        finally:
            agent.terminate()


def test_a_missing_ssh_keygen_and_a_bad_key_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad"
    bad.write_text("no key\n")
    with pytest.raises(SigningError, match="did not sign"):
        sign_statement(STATEMENT, bad)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SigningError, match="ssh-keygen is not installed"):
        find_key(str(bad))


def test_s8_what_is_no_signature_of_the_statement_is_not_passed_on(
    alice: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.sig"
    other.write_text(alice.sign(b"another statement\n"))
    program = tmp_path / "ssh-keygen"
    program.write_text(f"#!/bin/sh\ncat {other}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SigningError, match="would not count"):
        sign_statement(STATEMENT, alice.key)


def test_a_passphrase_is_asked_for_at_the_terminal_on_a_desktop_too(tmp_path: Path) -> None:
    key = tmp_path / "locked"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-f", str(key)]
    subprocess.run(command, check=True, capture_output=True)
    program = (
        "import sys; from pathlib import Path; from bokgu.commands.ssh_keygen import sign_statement;"
        "print(sign_statement(b'x', Path(sys.argv[1]))[0])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "DISPLAY": ":99", "SSH_ASKPASS": "/none"}
    for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS_REQUIRE"):
        environment.pop(name, None)
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-c", program, str(key)], environment)
    said = read_until(terminal, b"passphrase")
    os.write(terminal, b"open sesame\n")
    said += read_until(terminal, b"END SSH SIGNATURE")
    os.waitpid(child, 0)
    os.close(terminal)
    assert b"-----BEGIN SSH SIGNATURE-----" in said


def read_until(terminal: int, words: bytes, within: timedelta = timedelta(seconds=20)) -> bytes:
    said, deadline = b"", time.monotonic() + within.total_seconds()
    while words not in said:
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                said += os.read(terminal, 4096)
            except OSError as error:  # The other side is closed.
                raise AssertionError(said) from error
    return said
