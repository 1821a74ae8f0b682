"""People: whether anybody is told, and what each namespace demands of its recoveries."""

from collections.abc import Collection, Iterable, Mapping

from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_policy import POLICY_NAME, RecoveryPolicy
from bokgu.core.alerts.routing import DEFAULT_RECEIVER
from bokgu.core.doctor.outcome import Outcome, Unread, fail, not_known, warn, well

ALERTS, POLICIES = "alerts", "policies"


def check_receivers(
    secret: str, receivers: Collection[str] | Unread | None, policies: Iterable[RecoveryPolicy]
) -> Iterable[Outcome]:
    """The Secret with the receivers is there, and has those that routes name. `secret` is its namespace and name, and
    `receivers` the names in it, None where there is no Secret."""
    if isinstance(receivers, Unread):
        yield not_known(ALERTS, f"Secret {secret}", receivers, "run bokgu doctor as somebody who may get that Secret")
        return
    namespace, _, name = secret.partition("/")
    create = (
        f"kubectl create secret generic {name} -n {namespace} --from-literal={DEFAULT_RECEIVER}=URL (docs/alerts.md)"
    )
    if not receivers:
        yield warn(ALERTS, f"Secret {secret}", "there are no receivers: nobody is told of anything", create)
    else:
        yield well(ALERTS, f"Secret {secret}", f"receivers: {', '.join(sorted(receivers))}")
    known, routed = frozenset(receivers or ()), False
    for policy in policies:
        routed = routed or bool(policy.spec.alerts)
        named = {receiver for route in policy.spec.alerts for receiver in route.receivers}
        if lost := sorted(named - known):
            message = f"its routes name {', '.join(lost)}, which the Secret does not have: those alerts wait"
            yield fail(
                ALERTS, f"RecoveryPolicy {policy.metadata.namespace}", message, f"add the keys to Secret {secret}"
            )
    if known and DEFAULT_RECEIVER not in known and not routed:
        message = f"no RecoveryPolicy routes alerts, and there is no receiver `{DEFAULT_RECEIVER}`: nobody is told"
        yield warn(ALERTS, "routes", message, f"name a receiver `{DEFAULT_RECEIVER}`, or add spec.alerts to policies")


def check_heartbeat(configured: bool) -> Outcome:
    """Somebody outside the cluster notices when the operator is down. Told from this process's own settings."""
    if configured:
        return well(ALERTS, "heartbeat", "BOKGU_HEARTBEAT_URL is set")
    hint = "set it to a receiver outside the cluster, which calls people when it hears nothing (docs/install.md)"
    return warn(ALERTS, "heartbeat", "BOKGU_HEARTBEAT_URL is not set: who is down cannot say so", hint)


def check_policies(
    services: Iterable[ProtectedService], policies: Mapping[str, RecoveryPolicy] | Unread
) -> Iterable[Outcome]:
    """Each namespace with ProtectedServices has a RecoveryPolicy; `policies` are by namespace."""
    namespaces = sorted({service.metadata.namespace for service in services})
    for namespace in namespaces:
        if isinstance(policies, Unread):
            yield not_known(POLICIES, namespace, policies, "ask for the ClusterRole bokgu-viewer")
            continue
        policy = policies.get(namespace)
        if policy is None:
            hint = f"create a RecoveryPolicy {POLICY_NAME} there (docs/guardrails.md): budgets, windows, roles, alerts"
            yield warn(POLICIES, namespace, "no RecoveryPolicy: the built-in minimum alone holds", hint)
        elif policy.spec.pause:
            yield warn(POLICIES, namespace, "spec.pause: nothing new begins", "take spec.pause out when it is over")
        else:
            yield well(POLICIES, namespace, f"RecoveryPolicy {policy.metadata.name}")
