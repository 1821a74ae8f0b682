"""`bokgu diagnose`: files that people put together by hand, or that are broken."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bokgu.__main__ import main
from bokgu.commands.case_file import parse_case

DETECTED = "2026-03-24T09:59:47Z"
INCIDENT = {"type": "high_error_rate", "detectedAt": DETECTED}
WRONG: dict[str, Any] = {
    "empty": "",
    "not-json": "{",
    "deep": "[" * 100_000,
    "a-list": "[]",
    "no-incident": {"evidence": {}},
    "no-type": {"incident": {"detectedAt": DETECTED}},
    "no-such-type": {"incident": {**INCIDENT, "type": "fire"}},
    "no-moment": {"incident": {**INCIDENT, "detectedAt": "yesterday"}},
    "moment-too-far": {"incident": {**INCIDENT, "detectedAt": 1e20}},
    "definition-is-text": {"incident": INCIDENT, "evidence": {"taskDefinitions": ["web:1"]}},
    "count-is-text": {"incident": INCIDENT, "evidence": {"service": {"serviceName": "web", "desiredCount": "3"}}},
}

Write = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: Any) -> Path:
        path = tmp_path / f"{name}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write_file


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_no_case_is_named_and_the_next_one_is_read(
    name: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = write(name, WRONG[name]), write("good", {"incident": INCIDENT})
    assert main(["diagnose", str(bad), str(good)]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"bokgu: {bad}: ")
    assert json.loads(out)["file"] == str(good)


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["diagnose", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err


def test_many_files_are_one_line_each(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(write(name, {"incident": INCIDENT, "evidence": {}})) for name in "ab"]
    assert main(["diagnose", *files]) == 0
    verdicts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [v["file"] for v in verdicts] == files
    assert {"rootCause", "newRevisionAtFault", "confidence", "safeAutomaticAction", "evidence"} <= verdicts[0].keys()
    assert verdicts[0]["newRevisionAtFault"] is None


def test_seconds_since_1970_are_moments_as_the_aws_cli_prints_them() -> None:
    event = {"createdAt": 1774346387.5, "message": "(service web) has reached a steady state."}
    service = {"serviceName": "web", "events": [event]}
    found = parse_case({"incident": {**INCIDENT, "detectedAt": 1774346387}, "evidence": {"service": service}})
    assert found.service is not None
    assert (found.service.events[0][0] - found.detected_at).total_seconds() == 0.5


def test_only_moments_of_the_api_are_read_as_such() -> None:
    labels = {"com.acme.builtAt": "build 17"}
    definition = {"taskDefinitionArn": "web:1", "containerDefinitions": [{"name": "app", "dockerLabels": labels}]}
    found = parse_case({"incident": INCIDENT, "evidence": {"taskDefinitions": [definition]}})
    assert found.task_definitions[0].settings["containerDefinitions"][0]["dockerLabels"] == labels


def test_long_lines_are_cut_and_secrets_left_out(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    logs = ["ERROR connection refused db:5432 password=hunter2 " + "x" * 100_000]
    assert main(["diagnose", str(write("long", {"incident": INCIDENT, "evidence": {"logs": logs}}))]) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["rootCause"] == "DependencyFailure"
    assert "hunter2" not in str(verdict)
    assert all(len(item["fact"]) <= 300 for item in verdict["evidence"])
