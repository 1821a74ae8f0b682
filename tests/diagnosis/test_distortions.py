"""The labelled incidents as they might also look: what AWS leaves out, what people name, what happens besides.

None of it may bring an action that the label calls harm.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.diagnosis.corpus import LabelledCase, read_corpus

Raw = dict[str, Any]


def _name_container(name: str) -> Callable[[Raw], None]:
    def distort(evidence: Raw) -> None:
        for definition in evidence["taskDefinitions"]:
            for container in definition.get("containerDefinitions", ())[:1]:
                container["name"] = name
        for task in evidence["stoppedTasks"]:
            for container in task.get("containers", ())[:1]:
                container["name"] = name

    return distort


def _deploy_the_same_again(evidence: Raw) -> None:
    """Both revisions are alike, and so are their networks: the deployment was a restart."""
    definitions = evidence["taskDefinitions"]
    if len(definitions) > 1:
        kept = {k: definitions[1][k] for k in ("taskDefinitionArn", "revision") if k in definitions[1]}
        definitions[1] = {**copy.deepcopy(definitions[0]), **kept}
    for deployment in (evidence.get("service") or {}).get("deployments", ()):
        deployment.pop("networkConfiguration", None)


def _leave_out(*members: str) -> Callable[[Raw], None]:
    def distort(evidence: Raw) -> None:
        for task in evidence["stoppedTasks"]:
            for member in members:
                task.pop(member, None)

    return distort


def _list_only_the_primary(evidence: Raw) -> None:
    if service := evidence.get("service"):
        service["deployments"] = [d for d in service["deployments"] if d["status"] == "PRIMARY"]


def _lose_datapoints(evidence: Raw) -> None:
    """Two of three are missing."""
    for metric in evidence["metrics"]:
        metric["timestamps"], metric["values"] = metric["timestamps"][::3], metric["values"][::3]


def _publish_no_zeros(evidence: Raw) -> None:
    """What CloudWatch really does with counts of errors."""
    for metric in evidence["metrics"]:
        if metric["metricName"].startswith("HTTPCode"):
            points = [(t, v) for t, v in zip(metric["timestamps"], metric["values"], strict=True) if v]
            metric["timestamps"], metric["values"] = [t for t, _ in points], [v for _, v in points]


def _lose_metrics(evidence: Raw) -> None:
    evidence["metrics"] = []


DISTORTIONS: dict[str, Callable[[Raw], None]] = {
    "a container named memory-cache": _name_container("memory-cache"),
    "a container named image": _name_container("image"),
    "a container named secrets": _name_container("secrets"),
    "a container named volumes": _name_container("volumes"),
    "no startedBy": _leave_out("startedBy"),
    "only the primary deployment": _list_only_the_primary,
    "two of three datapoints lost": _lose_datapoints,
    "no datapoints of zero": _publish_no_zeros,
    "no metrics": _lose_metrics,
}


def distorted(case: LabelledCase, distort: Callable[[Raw], None]) -> LabelledCase:
    raw = json.loads(json.dumps(case.raw))
    distort(raw["evidence"])
    return LabelledCase(case.name, raw)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_no_distortion_brings_harm(name: str) -> None:
    cases = [distorted(case, DISTORTIONS[name]) for case in read_corpus()]
    assert [case.name for case in cases if case.harms] == []


def test_the_same_revision_again_is_never_rolled_back() -> None:
    cases = [distorted(case, _deploy_the_same_again) for case in read_corpus()]
    rolled = [c.name for c in cases if c.verdict["safeAutomaticAction"] == "rollback_to_previous_version"]
    assert rolled == []


def test_traffic_that_rises_every_morning_explains_no_wrong_data() -> None:
    """Wrong data with more traffic and busier tasks besides gets no action but the one of its label."""
    corrupted = [case for case in read_corpus() if case.raw["incident"]["type"] == "data_corruption"]

    def rise(evidence: Raw) -> None:
        stamps: list[str] = next((m["timestamps"] for m in evidence["metrics"] if m["timestamps"]), [])
        for namespace, name, low, high in (
            ("AWS/ApplicationELB", "RequestCount", 1000.0, 1700.0),
            ("AWS/ECS", "CPUUtilization", 44.0, 74.0),
        ):
            values = [low if i < len(stamps) * 2 // 3 else high for i in range(len(stamps))]
            series: Raw = {"stat": "Sum" if "Count" in name else "Average", "periodSeconds": 60, "dimensions": []}
            evidence["metrics"] += [
                {"namespace": namespace, "metricName": name, "timestamps": stamps, "values": values, **series}
            ]

    assert [case.name for case in corrupted if distorted(case, rise).harms] == []
