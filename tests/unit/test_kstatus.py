"""The rules of kstatus, and that no kind of ours has a condition which it would take for something else."""

from typing import Any

import pytest

from tests.gitops.kstatus import compute_status
from tests.world.world import ROOT


@pytest.mark.parametrize(
    ("status", "metadata", "found"),
    [
        (None, {}, "Current"),
        ({"observedGeneration": 1}, {}, "Current"),
        ({"observedGeneration": 1}, {"generation": 2}, "InProgress"),
        ({"Ready": "True"}, {}, "Current"),
        ({"Ready": "False"}, {}, "InProgress"),
        ({"Ready": "Unknown"}, {}, "InProgress"),
        ({"Ready": "True", "Reconciling": "True"}, {}, "InProgress"),
        ({"Ready": "False", "Stalled": "True"}, {}, "Failed"),
        ({"Ready": "True", "Stalled": "False", "Reconciling": "False"}, {}, "Current"),
        ({"Blocked": "True", "Accepted": "False"}, {}, "Current"),
        ({"Ready": "True"}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "Terminating"),
    ],
)
def test_an_object_is_read_as_kstatus_reads_it(status: Any, metadata: dict[str, Any], found: str) -> None:
    body: dict[str, Any] = {"metadata": {"generation": 1, **metadata}}
    if status is not None:
        conditions = [{"type": k, "status": v} for k, v in status.items() if k != "observedGeneration"]
        body["status"] = {"observedGeneration": status.get("observedGeneration", 1), "conditions": conditions}
    assert compute_status(body) == found


def test_no_condition_of_ours_has_one_of_its_other_names() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "operator/bokgu").rglob("*.py"))
    assert [name for name in ("Reconciling", "Stalled") if f'"{name}"' in sources] == []
