"""Whether a container that ended starts again in place (API type ContainerRestartPolicy)."""

from collections.abc import Mapping
from typing import Any

DEFAULT_RESTART_ATTEMPT_PERIOD = 300
"""Seconds: "By default, a container must run for 300 seconds before a restart can be attempted"."""


def has_restart_policy(container: Mapping[str, Any]) -> bool:
    """Whether the container definition has one that is enabled."""
    return bool(container.get("restartPolicy", {}).get("enabled", False))


def restarts_in_place(container: Mapping[str, Any], exit_code: int, ran_seconds: float) -> bool:
    """Whether ECS restarts the container after it ran `ran_seconds` and ended with `exit_code`.

    "If a container isn't able to run for this time period and exits early, it will not be restarted." Exit codes in
    `ignoredExitCodes` are not restarted either.
    """
    policy = container.get("restartPolicy", {})
    if not has_restart_policy(container) or exit_code in policy.get("ignoredExitCodes", []):
        return False
    return ran_seconds >= float(policy.get("restartAttemptPeriod", DEFAULT_RESTART_ATTEMPT_PERIOD))
