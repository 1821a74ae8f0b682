"""The audit log tells which rights were used, and which were missing."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.world import rights_tally
from tests.world.rights import OPERATOR, Right, describe, find_missing, list_rights, read_audit, read_requests


def event(verb: str, resource: str, decision: str = "allow", user: str = OPERATOR, **what: str) -> str:
    return json.dumps(
        {
            "verb": verb,
            "user": {"username": user},
            "objectRef": {"resource": resource, **what},
            "annotations": {"authorization.k8s.io/decision": decision},
        }
    )


def test_only_what_the_operator_did_is_read() -> None:
    allowed, forbidden = read_requests(
        [
            event("list", "incidents", apiGroup="bokgu.dev"),
            event("update", "incidents", apiGroup="bokgu.dev", subresource="status"),
            event("get", "secrets", "forbid"),
            event("delete", "secrets", user="admin"),
            json.dumps({**json.loads(event("create", "pods", "forbid")), "userAgent": "kubectl/v1.36.0"}),
            json.dumps({"verb": "get", "user": {"username": OPERATOR}, "requestURI": "/readyz"}),
        ]
    )
    assert allowed == {Right("bokgu.dev", "incidents", "list"), Right("bokgu.dev", "incidents/status", "update")}
    assert forbidden == {Right("", "secrets", "get")}


def test_logs_that_were_put_aside_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "audit-2026-01-01T00-00-00.000.log").write_text("first\n")
    (tmp_path / "audit-2026-01-01T00-00-01.000.log").write_text("second\n")
    (tmp_path / "audit.log").write_text("third\n")
    (tmp_path / "audit-policy.json").write_text("{}\n")
    assert list(read_audit(tmp_path / "audit.log")) == ["first\n", "second\n", "third\n"]


def test_what_nobody_used_and_what_is_missing_is_named() -> None:
    rights = list_rights()
    assert len(rights) > 40
    signers, pods, incidents = (
        Right("", "configmaps", "get"),
        Right("", "pods", "list"),
        Right("bokgu.dev", "incidents", "list"),
    )
    worlds = [(rights - {signers}, {signers, pods, incidents})]
    said = describe(worlds)
    assert "not used: get configmaps" in said
    assert said.endswith("MISSING: get configmaps, list pods")
    assert find_missing(worlds) == {signers, pods}
    assert find_missing([*worlds, ({signers, pods}, set())]) == set(), "a test took it away for a while"
    assert "MISSING" not in describe([(rights, {signers})])


def test_worlds_of_all_processes_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    rights, signers = list_rights(), Right("", "configmaps", "get")
    noted = [(rights - {signers}, set()), (set[Right](), {signers})]
    monkeypatch.setattr(rights_tally, "NOTED", noted)
    worker: Any = SimpleNamespace(config=SimpleNamespace(workeroutput={}), exitstatus=0)
    rights_tally.pytest_sessionfinish(worker)
    monkeypatch.setattr(rights_tally, "NOTED", own := [({signers}, set[Right]())])
    rights_tally.pytest_testnodedown(SimpleNamespace(workeroutput=json.loads(json.dumps(worker.config.workeroutput))))
    rights_tally.pytest_testnodedown(SimpleNamespace())
    lines: list[str] = []
    rights_tally.pytest_terminal_summary(SimpleNamespace(write_line=lines.append))
    assert lines == [f"the operator's rights: {len(rights)} of {len(rights)} used, 0 missing"]
    assert len(own) == 3
