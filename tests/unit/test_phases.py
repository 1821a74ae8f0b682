"""Which objects are over, and about which of those nothing is left to do."""

from typing import Any

import pytest

from bokgu.api.phases import has_ended, is_settled

NOW = "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("plural", "metadata", "status", "ended", "settled"),
    [
        ("incidents", {}, {"phase": "Resolved"}, True, True),
        ("incidents", {}, {"phase": "Escalated"}, False, False),
        ("recoveryplans", {}, {"phase": "Completed"}, True, True),
        ("recoveryplans", {}, {"phase": "InProgress"}, False, False),
        ("recoveryplans", {}, {"phase": "Resolved"}, False, False),
        ("detectors", {}, {"phase": "Completed"}, False, False),
        ("recoveryplans", {"deletionTimestamp": NOW}, {"phase": "Failed"}, True, False),
        ("recoveryplans", {"generation": 2}, {"phase": "Failed", "observedGeneration": 2}, True, True),
        ("recoveryplans", {"generation": 3}, {"phase": "Failed", "observedGeneration": 2}, True, False),
        ("recoveryplans", {"generation": 3}, {"phase": "Failed", "observedGeneration": {}}, True, False),
        ("recoveryplans", {"generation": 3}, {"phase": ["Failed"]}, False, False),
        ("recoveryplans", {}, "Failed", False, False),
    ],
)
def test_what_is_over_and_whether_anything_is_left_to_do(
    plural: str, metadata: dict[str, Any], status: Any, *, ended: bool, settled: bool
) -> None:
    body = {"metadata": metadata, "status": status}
    assert (has_ended(plural, body), is_settled(plural, body)) == (ended, settled)
