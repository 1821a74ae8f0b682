"""Waiting until an operator has nothing left to do."""

import time

from tests.faults.lane import Lane

QUIET = 3.0
"""Seconds for which its queues must be empty. What is looked at again on a schedule is looked at within a second."""


def wait_until_settled(lane: Lane, seconds: float = 60.0) -> None:
    """Wait until the operator of the lane has made its passes. Raises TimeoutError."""
    deadline, quiet_since = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() - quiet_since < QUIET:
        if time.monotonic() > deadline:
            raise TimeoutError(f"it is busy: {_queued(lane)}\n{lane.world.operator_log_tail(name=lane.operator)}")
        if _queued(lane):
            quiet_since = time.monotonic()
        time.sleep(0.1)


def _queued(lane: Lane) -> dict[str, float]:
    metrics = lane.world.scrape_of(lane.operator)
    return {name: value for name, value in metrics.items() if name.startswith("bokgu_queue_depth") and value}
