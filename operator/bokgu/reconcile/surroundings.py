"""What stands around a plan in its namespace, from the store. Nothing here waits: what was seen holds until the next
await."""

from collections.abc import Iterable

from bokgu.api.fields import parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import OpenBreaker
from bokgu.api.protected_service import ProtectedService, Recovery
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.recovery_policy import RecoveryPolicy, RecoveryPolicySpec
from bokgu.core.breaker import judge_breaker
from bokgu.core.load import Load, measure_load
from bokgu.core.recoveries import list_recoveries
from bokgu.core.storm import Storm, find_storm
from bokgu.core.surroundings import Surroundings
from bokgu.reconcile.context import Context


def look_around_plan(
    context: Context,
    namespace: str,
    protected: ProtectedService | None,
    policy: RecoveryPolicy | None,
    *,
    plan: str = "",
) -> Surroundings:
    """What stands around the plan of that name, which itself is left out of the load."""
    limits = policy.spec if policy else RecoveryPolicySpec()
    return Surroundings(
        policy=policy,
        load=_find_load(context, namespace, without=plan),
        recoveries=find_recoveries(context, protected) if protected else (),
        service_breaker=find_service_breaker(context, protected, limits) if protected else None,
        namespace_breaker=find_namespace_breaker(context, namespace, policy),
        storm=find_namespace_storm(context, namespace, limits),
    )


def _find_load(context: Context, namespace: str, *, without: str) -> Load:
    services, plans = context.find_all(ProtectedService, namespace), context.find_all(RecoveryPlan, namespace)
    return measure_load(services, plans, context.claims.get(namespace, {}), without=without)


def find_recoveries(context: Context, protected: ProtectedService) -> tuple[Recovery, ...]:
    """The recoveries of a service, the latest first."""
    namespace, name = protected.metadata.namespace, protected.metadata.name
    return list_recoveries(
        protected.status.recoveries,
        context.find_related(RecoveryPlan, namespace, name),
        context.find_related(Incident, namespace, name),
    )


def find_service_breaker(
    context: Context, protected: ProtectedService, limits: RecoveryPolicySpec
) -> OpenBreaker | None:
    """The open breaker of a service."""
    return judge_breaker(
        protected.status.breaker,
        find_recoveries(context, protected),
        failures=limits.breaker.failures,
        within=parse_duration(limits.breaker.within),
        reset_at=protected.spec.reset_breaker_at,
    )


def find_namespace_breaker(context: Context, namespace: str, policy: RecoveryPolicy | None) -> OpenBreaker | None:
    """The open breaker of a namespace. Without a policy nothing stores it: it is open while its failures are known."""
    limits = policy.spec if policy else RecoveryPolicySpec()
    return judge_breaker(
        policy.status.breaker if policy else None,
        _all_recoveries(context, namespace),
        failures=limits.breaker.namespace_failures,
        within=parse_duration(limits.breaker.within),
        reset_at=limits.reset_breaker_at,
    )


def _all_recoveries(context: Context, namespace: str) -> Iterable[Recovery]:
    for protected in context.find_all(ProtectedService, namespace):
        yield from find_recoveries(context, protected)


def find_namespace_storm(context: Context, namespace: str, limits: RecoveryPolicySpec) -> Storm | None:
    """The storm of a namespace."""
    incidents = context.find_all(Incident, namespace)
    return find_storm(
        (at for i in incidents if (at := i.metadata.creation_timestamp)),
        threshold=limits.storm.threshold,
        window=parse_duration(limits.storm.window),
        cooldown=parse_duration(limits.storm.cooldown),
        now=context.clock(),
    )
