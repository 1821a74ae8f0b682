"""People who approve: their SSH keys, and the Git repository that their approvals are committed to."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from bokgu.api.vocabulary import Decision
from bokgu.core.approval.statement import approval_statement, build_approval
from bokgu.core.ssh.signature import NAMESPACE


@dataclass(frozen=True)
class Person:
    """Somebody with an SSH key. `name` is the principal in allowed_signers."""

    name: str
    key: Path

    @classmethod
    def create(cls, name: str, folder: Path, kind: str = "ed25519") -> "Person":
        """Make a key pair with the real ssh-keygen, or take up the one that is there."""
        key = folder / name.split("@", maxsplit=1)[0]
        if not key.exists():
            folder.mkdir(parents=True, exist_ok=True)
            run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", str(key))
        return cls(name, key)

    @property
    def public_key(self) -> str:
        """The line of the .pub file, without its comment."""
        return " ".join(self.key.with_name(f"{self.key.name}.pub").read_text().split()[:2])

    @property
    def allowed_signers_line(self) -> str:
        """What makes this person's signatures count."""
        return f'{self.name} namespaces="{NAMESPACE}" {self.public_key}'

    @property
    def git_config(self) -> Path:
        """The person's own Git settings: who they are, and that their commits are signed with their key."""
        file = self.key.with_name(f"{self.key.name}.gitconfig")
        if not file.exists():
            user = f"[user]\n\tname = {self.name}\n\temail = {self.name}\n\tsigningkey = {self.key}\n"
            file.write_text(f"{user}[gpg]\n\tformat = ssh\n[commit]\n\tgpgsign = true\n")
        return file

    def sign(self, statement: bytes, namespace: str = NAMESPACE) -> str:
        """Sign with `ssh-keygen -Y sign`."""
        command = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(self.key)]
        return subprocess.run(command, input=statement, capture_output=True, check=True).stdout.decode()

    def approve(
        self,
        plan: dict[str, Any],
        role: str,
        decision: Decision = Decision.APPROVE,
        *,
        approver: str | None = None,
        valid_for: timedelta = timedelta(hours=1),
    ) -> dict[str, Any]:
        """A signed PlanApproval of a plan as kubectl shows it. `approver` claims to be somebody else."""
        valid_until = datetime.now(UTC).replace(microsecond=0) + valid_for
        digest = plan["status"]["digest"]
        return build_approval(
            plan=plan["metadata"]["name"],
            namespace=plan["metadata"]["namespace"],
            digest=digest,
            role=role,
            decision=decision,
            approver=approver or self.name,
            valid_until=valid_until,
            signature=self.sign(approval_statement(digest, role, decision, valid_until)),
        )


class Repository:
    """A local Git repository with a checkout that approvals are applied from."""

    def __init__(self, folder: Path, path: str = "approvals") -> None:
        """`path` is the folder of the repository that approvals are in."""
        self.folder, self.path = folder, path
        self.origin, self.work, self.checkout = folder / "origin.git", folder / "work", folder / "checkout"
        self.approvals = self.checkout / path
        """What is applied. Git keeps no empty folder: it is not there while there are no approvals."""
        if not self.origin.exists():
            run("git", "init", "-q", "--bare", "-b", "main", str(self.origin))
            run("git", "clone", "-q", str(self.origin), str(self.work))
            self._commit("bokgu", "start", {"README": "Approvals of recovery plans.\n"})
            run("git", "clone", "-q", str(self.origin), str(self.checkout))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one, among threads and processes, who changes the repository and applies what is in it.

        An older checkout that is applied after a newer one would prune the newer one's approvals.
        """
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def commit(self, author: str, manifest: dict[str, Any]) -> None:
        """Commit a manifest as that person, push it, and bring the checkout up to date."""
        decision = f"{manifest['spec']['decision']} {manifest['spec']['planRef']['name']}"
        self.write(author, decision, {self.file_of(manifest): yaml.safe_dump(manifest, sort_keys=False)})

    def commit_signed(self, person: Person, message: str, file: Path) -> str:
        """Commit a file of the work tree with the person's own settings. Returns what `git verify-commit` says of it.

        Raises RuntimeError where Git does not know the signature for a person's who has a key here.
        """
        work = ("git", "-C", str(self.work))
        run(*work, "add", str(file))
        run(*work, "commit", "-q", "-m", message, git_config=person.git_config)
        keys = person.key.parent.glob("*.pub")
        signers = self.folder / "allowed_signers"
        signers.write_text("".join(_allow_commits(key) for key in sorted(keys)))
        return run(*work, "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit", "HEAD")

    def publish(self) -> None:
        """Push what was committed, and bring the checkout up to date."""
        run("git", "-C", str(self.work), "push", "-q", "origin", "HEAD:main")
        self._pull()

    def remove(self, author: str, manifest: dict[str, Any]) -> None:
        """Remove a committed manifest as that person, push that, and bring the checkout up to date."""
        (self.work / self.file_of(manifest)).unlink()
        self._commit(author, f"Withdraw {manifest['metadata']['name']}", {})
        self._pull()

    def write(self, author: str, message: str, files: Mapping[str, str]) -> None:
        """Commit any files, by their paths in the repository, push that, and bring the checkout up to date."""
        self._commit(author, message, files)
        self._pull()

    def file_of(self, manifest: dict[str, Any]) -> str:
        """The path that an approval has in the repository."""
        return f"{self.path}/{manifest['metadata']['name']}.yaml"

    def _pull(self) -> None:
        run("git", "-C", str(self.checkout), "pull", "-q")

    def _commit(self, author: str, message: str, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        email = author if "@" in author else f"{author}@example.com"
        identity = ["-c", f"user.name={author}", "-c", f"user.email={email}"]
        run("git", "-C", str(self.work), "add", "-A")
        run("git", "-C", str(self.work), *identity, "commit", "-q", "-m", message)
        run("git", "-C", str(self.work), "push", "-q", "origin", "HEAD:main")


def _allow_commits(key: Path) -> str:
    type_, encoded, name = key.read_text().split()
    return f'{name} namespaces="git" {type_} {encoded}\n'


def run(program: str, *arguments: str, git_config: Path = Path(os.devnull)) -> str:
    """Run a program that must be there and succeed. Its environment keeps other Git settings out. What it says beside
    its output is returned."""
    if shutil.which(program) is None:
        raise FileNotFoundError(f"{program} is not installed: the approvals need it (packages git and openssh-client)")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": str(git_config), "GIT_CONFIG_SYSTEM": os.devnull}
    command: Sequence[str] = (program, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stderr.strip()
