"""A RecoveryPolicy in a few words, what in it can never hold, and whom it pauses."""

from dataclasses import dataclass
from datetime import datetime

from bokgu.api.fields import bounded
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.core.approval.auto import NOT_ENABLED
from bokgu.core.surroundings import Surroundings
from bokgu.core.windows import find_unreadable, judge_windows

WINDOW_UNREADABLE = "WindowUnreadable"
"""Reason of a policy, and of the gate, where a change window cannot be read."""


@dataclass(frozen=True)
class PolicyReading:
    """A namespace's RecoveryPolicy, or why it cannot be read: then nothing is approved, and nothing starts (S6)."""

    found: RecoveryPolicy | None
    problem: str | None = None


@dataclass(frozen=True)
class Policies:
    """The policies that a plan heeds: that of its namespace, and that of the operator's, which pauses them all."""

    own: PolicyReading
    operator: PolicyReading


def list_pauses(policies: Policies) -> list[str]:
    """What pauses the namespace, in words. A policy that cannot be read may pause it."""
    found = [_find_pause(policies.own, "")]
    if policies.operator != policies.own:
        found.append(_find_pause(policies.operator, " of the operator's namespace: everything is paused"))
    return [pause for pause in found if pause is not None]


def _find_pause(reading: PolicyReading, whose: str) -> str | None:
    if reading.problem is not None:
        return f"whatever it says: {reading.problem}"
    policy = reading.found
    if policy is None or not policy.spec.pause:
        return None
    return f"spec.pause of RecoveryPolicy {policy.metadata.namespace}/{policy.metadata.name}{whose}"


def count_budget_left(policy: RecoveryPolicy, around: Surroundings, *, paused: bool, now: datetime) -> int:
    """How many more recoveries may begin now: none while anything holds all of them."""
    held = paused or around.storm is not None or around.namespace_breaker is not None
    if held or not judge_windows(policy.spec.windows, now).open:
        return 0
    return max(0, policy.spec.budget.max_concurrent - len(around.load.recovering))


def summarise_policy(policy: RecoveryPolicy) -> str:
    """What the policy says, such as `paused, 2 approval rules, 1 automatic action, at most 1 an hour`."""
    spec = policy.spec
    said = [_count(len(spec.approvals), "approval rule")]
    if spec.auto:
        said += [_count(len(spec.auto), "automatic action"), f"at most {spec.max_auto_per_hour} an hour"]
    if spec.windows:
        said.append(_count(len(spec.windows), "change window"))
    states = [*(["paused"] if spec.pause else []), *(["dry run"] if spec.dry_run else [])]
    return bounded(", ".join([*states, *said]))


def find_problem(policy: RecoveryPolicy, *, auto_enabled: bool, emergency_role: str | None) -> tuple[str, str] | None:
    """(reason, message) of what in the policy blocks or does nothing, or None. All the rest counts all the same."""
    if (unreadable := find_unreadable(policy.spec.windows)) is not None:
        window, why = unreadable
        return (WINDOW_UNREADABLE, bounded(f"window {window.name} cannot be read, and nothing starts: {why}"))
    if policy.spec.auto and not auto_enabled:
        return ("AutoNotEnabled", f"spec.auto has no effect: {NOT_ENABLED}")
    if emergency_role and any(role.name == emergency_role for rule in policy.spec.approvals for role in rule.roles):
        message = f"a rule demands {emergency_role}, whose approval stands in for all roles: demand another one"
        return ("EmergencyRoleDemanded", message)
    return None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
