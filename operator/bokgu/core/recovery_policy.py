"""A RecoveryPolicy in a few words, and what in it can never hold."""

from bokgu.api.fields import bounded
from bokgu.api.recovery_policy import RecoveryPolicy
from bokgu.core.approval.auto import NOT_ENABLED


def summarise_policy(policy: RecoveryPolicy) -> str:
    """What the policy says, such as `2 approval rules, 1 automatic action, at most 1 an hour`."""
    spec = policy.spec
    said = [_count(len(spec.approvals), "approval rule")]
    if spec.auto:
        said += [_count(len(spec.auto), "automatic action"), f"at most {spec.max_auto_per_hour} an hour"]
    if spec.dry_run:
        said.append("dry run")
    return bounded(", ".join(said))


def find_problem(policy: RecoveryPolicy, *, auto_enabled: bool, emergency_role: str | None) -> tuple[str, str] | None:
    """(reason, message) of what in the policy does nothing, or None. All the rest of it counts all the same."""
    if policy.spec.auto and not auto_enabled:
        return ("AutoNotEnabled", f"spec.auto has no effect: {NOT_ENABLED}")
    if emergency_role and any(role.name == emergency_role for rule in policy.spec.approvals for role in rule.roles):
        message = f"a rule demands {emergency_role}, whose approval stands in for all roles: demand another one"
        return ("EmergencyRoleDemanded", message)
    return None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
