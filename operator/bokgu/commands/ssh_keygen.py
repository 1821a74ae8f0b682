"""Signs an approval with the real `ssh-keygen`: it knows keys in files, in agents and on hardware tokens."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bokgu.core.ssh.signature import NAMESPACE, BadSignature, parse_signature, verify_signature


class SigningError(Exception):
    """There is no signature; the text says why."""


def find_key(name: str) -> Path:
    """The key file, and that ssh-keygen is there to use it. Raises SigningError."""
    if shutil.which("ssh-keygen") is None:
        raise SigningError("ssh-keygen is not installed, and nothing else can sign: install OpenSSH 8.1 or newer")
    key = Path(name).expanduser()
    if not key.is_file():
        raise SigningError(f"there is no key {key}: name the private key, or the .pub of one in your agent")
    return key


def sign_statement(statement: bytes, key: Path) -> tuple[str, str]:
    """(signature in armor, fingerprint of the key). Raises SigningError.

    ssh-keygen talks to the person itself, about passphrases and tokens that want to be touched.
    """
    command = ["ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key)]
    done = subprocess.run(command, input=statement, stdout=subprocess.PIPE, env=_environment(), check=False)
    if done.returncode != 0:
        raise SigningError(f"ssh-keygen did not sign with {key} (exit code {done.returncode}); what it says is above")
    armored = done.stdout.decode(errors="replace")
    try:
        signature = parse_signature(armored)
        verify_signature(signature, statement)
    except BadSignature as error:
        raise SigningError(f"what ssh-keygen made with {key} would not count: {error}") from error
    return armored, signature.fingerprint


def find_comment(key: Path) -> str | None:
    """The comment of a public key, of the file itself or of the .pub beside it."""
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    try:
        fields = public.read_text().split(maxsplit=2)
    except (OSError, UnicodeDecodeError):
        return None
    return fields[2].strip() if len(fields) == 3 else None


def _environment() -> dict[str, str]:
    """Let ssh-keygen ask at the terminal: because its input is the statement, it would look for a window instead."""
    asked = {"SSH_ASKPASS_REQUIRE": "never"} if sys.stdin.isatty() else {}
    return {**asked, **os.environ}
