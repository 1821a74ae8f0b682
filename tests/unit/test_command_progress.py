"""What takes long is said at the terminal by every command, in each of its parts, and is taken away again."""

import os
import pty
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from bokgu.__main__ import COMMANDS, main
from bokgu.core.approval.digest import plan_digest
from tests.unit.facts import DIGEST, MINUTE, NOW, PLAN_UID, detector, incident, plan, protected_service
from tests.unit.slow_server import Raw, Slow, slow_server
from tests.world.world import ROOT

CASE = '{"incident": {"type": "high_error_rate", "detectedAt": "2026-03-24T09:59:47Z"}, "evidence": {}}'

QUICK = {
    "runbooks": "prints what is in the package",
    "crds": "writes what is in the package",
    "completion": "prints what is in the package",
    "run": "is the operator, which logs",
}
"""Commands that ask nobody, and so wait for nothing."""

READING, CREATING = "reading the cluster", "creating the PlanApproval"
BREAKER = {"openedAt": NOW, "plans": ["plan-1"]}

ROWS: list[tuple[str, str, str, str]] = [
    ("status -n shop", "GET", "", READING),
    ("watch -n shop", "GET", "", READING),
    ("watch -n shop -o json", "GET", "", READING),
    ("explain incident-1 -n shop", "GET", "incidents/", READING),
    ("plan --incident incident-1 -n shop --dry-run", "GET", "incidents", "reading the cluster and AWS"),
    ("report incident-1 -n shop", "GET", "incidents/", READING),
    ("report gone -n shop", "GET", "configmaps", "reading the history"),
    ("report incident-1 -n shop", "POST", "/", "reading CloudWatch"),
    ("approve plan-1 -n shop --role system_admin --yes", "GET", "recoveryplans/", READING),
    ("approve plan-1 -n shop --role system_admin --yes --apply", "POST", "/planapprovals", CREATING),
    ("reject plan-1 -n shop --yes", "GET", "recoveryplans/", READING),
    ("reject plan-1 -n shop --yes --apply", "POST", "/planapprovals", CREATING),
    ("cancel plan-1 -n shop --yes", "GET", "recoveryplans/", READING),
    ("cancel plan-1 -n shop --yes", "POST", "/planapprovals", CREATING),
    ("cancel plan-1 -n shop --yes --hold", "GET", "recoveryplans/", READING),
    ("cancel plan-1 -n shop --yes --hold", "PUT", "recoveryplans/", "writing the plan"),
    ("cancel held -n shop --yes --release", "PUT", "recoveryplans/", "writing the plan"),
    ("reset api -n shop --yes", "GET", "protectedservices/", READING),
    ("reset api -n shop --yes", "PUT", "protectedservices/", "writing the object"),
    ("reset -n shop --yes", "PUT", "recoverypolicies/", "writing the object"),
    ("doctor -n shop", "POST", "/", "looking at the cluster and AWS"),
    ("iam-policy -n shop", "GET", "protectedservices", READING),
    ("replay -n shop", "GET", "incidents", "reading the cluster and the history"),
    ("replay -n shop -f {case}", "GET", "", "replaying"),
    ("replay -f {slow}", "-", "", "reading the cases"),
    ("diagnose {slow}", "-", "", "reading "),
    ("history init", "POST", "/", "making the tables"),
    ("history import --from-prefix old --from-environment prod --dry-run", "POST", "/", "reading the tables"),
]
"""Words, the request that takes long (`-`: the file {slow}), and what is said meanwhile."""


def objects() -> dict[str, Raw]:
    """What the API server has: a plan that waits, a breaker that is open."""
    soon = datetime.now(UTC).replace(microsecond=0) + 60 * MINUTE
    plans = {}
    for name, suspend in (("plan-1", None), ("held", True)):
        raw = serialised(plan(meta={"name": name}, expiresAt=soon, suspend=suspend))
        raw["status"] = {
            "phase": "AwaitingApproval",
            "requiredApprovals": ["system_admin"],
            "clusterID": "cluster",
            "digest": plan_digest("cluster", raw),
        }
        plans[f"recoveryplans/{name}"] = raw
    known = {"name": "plan-1", "uid": PLAN_UID, "digest": DIGEST}
    policy = {"kind": "RecoveryPolicy", "metadata": {"name": "default", "namespace": "shop", "uid": "p"}, "spec": {}}
    return {
        **plans,
        "incidents/incident-1": serialised(incident(status={"plans": [known]})),
        "protectedservices/api": serialised(protected_service(status={"breaker": BREAKER})),
        "recoverypolicies/default": {**policy, "status": {"breaker": {**BREAKER, "openedAt": "2026-01-01T00:00:00Z"}}},
        "detectors/api-errors": serialised(detector()),
        "runbooks/none": {},
    }


def serialised(resource: Any) -> Raw:
    return {**resource.to_dict(), "metadata": resource.metadata.to_dict()}


class Terminal:
    """What stands on standard error, which is a terminal; `told` once the wait for `what` is told there."""

    def __init__(self, told: threading.Event, what: str) -> None:
        self.text, self._told, self._what = "", told, what
        self._outer, self._inner = pty.openpty()

    @contextmanager
    def shown(self) -> Iterator[None]:
        reader = threading.Thread(target=self._read)
        reader.start()
        try:
            with open(self._inner, "w", closefd=True) as file, redirect_stderr(file):
                yield
        finally:
            reader.join(10)
            os.close(self._outer)

    def _read(self) -> None:
        while True:
            try:
                self.text += os.read(self._outer, 4096).decode(errors="replace")
            except OSError:  # The other side is closed.
                return
            if re.search(f"{self._what}.* … ", self.text):
                self._told.set()


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is waited for is told at once; the settings are this test's own."""
    monkeypatch.setattr("bokgu.commands.terminal.PATIENCE", 0.02)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("BOKGU_HISTORY_REGION", "us-east-1")


def kubeconfig(folder: Path, server: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "slow",
        "contexts": [{"name": "slow", "context": {"cluster": "slow", "user": "alice", "namespace": "shop"}}],
        "clusters": [{"name": "slow", "cluster": {"server": server}}],
        "users": [{"name": "alice", "user": {"token": "none"}}],
    }
    path = folder / "config"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}: {row[3]}" for row in ROWS])
def test_a_wait_is_told_and_taken_away(
    row: tuple[str, str, str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words, method, path, said = row
    slow = Slow(method, path)
    terminal = Terminal(slow.told, said)
    case, pipe = tmp_path / "case.json", tmp_path / "slow.json"
    case.write_text(CASE)
    os.mkfifo(pipe)
    if "history init" in words:
        monkeypatch.setenv("BOKGU_HISTORY", "dynamodb")
    elif "history import" in words:
        words += " --namespace shop"

    def write_late() -> None:
        with open(pipe, "w") as file:
            slow.told.wait(5)
            file.write(CASE)

    with slow_server(objects(), slow) as address:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, address)))
        monkeypatch.setenv("BOKGU_AWS_ENDPOINT_URL", address)
        if "{slow}" in words:
            threading.Thread(target=write_late, daemon=True).start()
        with terminal.shown():
            main(words.format(case=case, slow=pipe).split())
    assert slow.met or method == "-", terminal.text
    assert re.search(rf"\r\x1b\[K{said}.* … \d+s", terminal.text), terminal.text
    assert "\r\x1b[K" in terminal.text.rpartition(" … ")[2], "it is taken away"


def test_every_command_that_waits_is_among_these() -> None:
    known = {module.__name__.rpartition(".")[2].replace("_", "-") for module in COMMANDS}
    assert {row[0].split()[0] for row in ROWS} | QUICK.keys() == known
    assert not {row[0].split()[0] for row in ROWS} & QUICK.keys()


def test_everything_that_is_said_is_among_these() -> None:
    sources = [path.read_text() for path in (ROOT / "operator/bokgu/commands").glob("*.py")]
    said = {text for source in sources for text in re.findall(r'progress\(f?"([^"{]+)', source)}
    assert said == {row[3] for row in ROWS} - {"making the tables", "reading the tables", "importing the tables"}
